"""Invariants about numbers are judged by both sides of their requirement, from trials that belong to them."""

from __future__ import annotations

from itertools import product

import msgspec
import pytest

from spak.kg.evidence.numbers import MOST_SETTINGS, WRONG, judge_numbers
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.require import InvariantLaw
from spak.kg.law.kinds.transform import TransformationLaw
from spak.kg.model.op import Op
from spak.kg.model.run import Failure, Measurement, Run, Trial

OP = msgspec.convert(
    {
        "id": "attention",
        "title": "Attention",
        "parameters": {
            "floor": {"values": [-1e20, "-inf"], "default": -1e20, "role": "variant", "description": "floor"},
            "tile": {"values": [32, 64], "default": 64, "role": "tile", "description": "keys"},
        },
        "problem": {"seq": {"type": "int", "default": 128, "description": "keys"}},
    },
    type=Op,
)
BREAKS = "floor == -1.0e+20"
BOTH = {"nan_rows": {"at_most": 0}, "nan_rows_otherwise": {"at_least": 1}}


def invariant(require: str = BREAKS, effect=None, **scope) -> InvariantLaw:
    claim = {"require": require, "otherwise": "NaN", "check": "floor", "effect": BOTH if effect is None else effect}
    raw = {"id": "a", "title": "a", "scope": {"hw": "h", "op": "attention", **scope}, "claim": claim}
    return msgspec.convert({"kind": "invariant", "status": "proposed", **raw}, InvariantLaw)


def trial(floor, tile, seq, nan_rows=None, **more) -> Trial:
    rows = (8 if floor == "-inf" else 0) if nan_rows is None else nan_rows
    found = (Measurement(name="nan_rows", value=rows),)
    return Trial(configuration={"floor": floor, "tile": tile}, problem={"seq": seq}, measurements=found, **more)


EVERY = tuple(trial(floor, tile, seq) for seq, floor, tile in product((128, 256), (-1e20, "-inf"), (32, 64)))


def run(trials=EVERY) -> Run:
    return Run(
        id="r", tier="computed", created="2026-01-01T00:00:00Z", hw="h", op="attention", check="floor", trials=trials
    )


def test_nothing_breaks_inside_and_all_breaks_outside():
    said = judge_numbers(invariant(), run(), OP, {})
    assert (said.verdict, said.effect) == ("supports", {"nan_rows": 0, "nan_rows_otherwise": 8})
    assert said.problems == ("seq=128", "seq=256")
    assert judge_numbers(invariant(), run(), OP, {}, ["seq=256"]).problems == ("seq=256",)


def rewrite(**scope) -> TransformationLaw:
    claim = {"from": "a", "to": "b", "rewrite": "so", "check": "floor", "effect": {"nan_rows": {"at_most": 0}}}
    raw = {"id": "a", "title": "a", "scope": {"hw": "h", "op": "attention", **scope}, "claim": claim}
    return msgspec.convert({"kind": "transformation", "status": "proposed", **raw}, TransformationLaw)


def test_a_rewrite_forbids_nothing_so_one_wrong_trial_refutes_it():
    """There is no other side: whatever its check runs within its scope has to be right."""
    right = tuple(one for one in EVERY if one.configuration["floor"] != "-inf")
    assert judge_numbers(rewrite(), run(right), OP, {}).verdict == "supports"
    said = judge_numbers(rewrite(), run(EVERY), OP, {})
    assert (said.verdict, said.effect) == ("refutes", {"nan_rows": 8})
    assert judge_numbers(rewrite(when="seq > 256"), run(right), OP, {}).reason == "no trial is in scope"


def test_a_rewrite_names_a_check_or_says_in_words_what_would_prove_it():
    """Words are nobody's name, so nothing is looked up and nothing executed."""
    in_words = msgspec.structs.replace(rewrite().claim, check="both agree in float64")
    assert meaning(rewrite()).check == "floor"
    assert meaning(msgspec.structs.replace(rewrite(), claim=in_words)).check == ""


REFUTED = {
    "a NaN where it holds": (BREAKS, [*EVERY[:-1], trial(-1e20, 32, 256, 3)], {"nan_rows": 3, "nan_rows_otherwise": 8}),
    "one that breaks it and does not break": (
        BREAKS,
        [*EVERY, trial("-inf", 32, 256, 0)],
        {"nan_rows": 0, "nan_rows_otherwise": 0},
    ),
    "a requirement of something else": ("tile == 64", EVERY, {"nan_rows": 8, "nan_rows_otherwise": 0}),
    "more than is needed": (f"{BREAKS} and tile == 64", EVERY, {"nan_rows": 0, "nan_rows_otherwise": 0}),
    "less than is needed": (f"{BREAKS} or tile == 64", EVERY, {"nan_rows": 8, "nan_rows_otherwise": 8}),
}


@pytest.mark.parametrize("case", REFUTED)
def test_one_trial_refutes_on_either_side(case):
    require, trials, effect = REFUTED[case]
    said = judge_numbers(invariant(require), run(tuple(trials)), OP, {})
    assert (said.verdict, said.effect) == ("refutes", effect)


NO_EVIDENCE = {
    "a name that no trial has": ("warps == 4", EVERY, "no trial in scope has a value for each of warps"),
    "one side alone, kept": (BREAKS, [t for t in EVERY if t.value("nan_rows") == 0], "keeps the requirement"),
    "one side alone, broken": (BREAKS, [t for t in EVERY if t.value("nan_rows")], "breaks the requirement"),
    "what it forbids and nobody tried": (
        f"{BREAKS} and tile == 64",
        [t for t in EVERY if t.configuration["tile"] == 64],
        "it forbids floor=-1e+20, tile=32, which no trial tried",
    ),
    "what it forbids at some size, and nobody tried": (
        f"{BREAKS} and (tile == 64 or seq >= 9000)",
        [t for t in EVERY if t.configuration["tile"] == 64],
        "it forbids floor=-1e+20, tile=32, which no trial tried",
    ),
    "no trials": (BREAKS, [], "no trial in scope"),
    "trials that were not made": (
        BREAKS,
        [msgspec.structs.replace(t, invalidity="constraints", failure=Failure(type="x", message="x")) for t in EVERY],
        "no trial in scope",
    ),
}


@pytest.mark.parametrize("case", NO_EVIDENCE)
def test_trials_that_do_not_belong_are_no_evidence(case):
    require, trials, reason = NO_EVIDENCE[case]
    said = judge_numbers(invariant(require), run(tuple(trials)), OP, {})
    assert (said.verdict, said.effect, said.problems) == ("inconclusive", {}, ())
    assert reason in said.reason


def test_sizes_outside_the_scope_do_not_speak():
    wrong = trial(-1e20, 64, 256, 5)
    said = judge_numbers(invariant(when="seq == 128"), run((*EVERY, wrong)), OP, {})
    assert (said.verdict, said.problems) == ("supports", ("seq=128",))


def test_a_wrong_result_without_a_number_is_the_worst_number():
    nan = Failure(type="NaN", message="all")
    kept = trial(-1e20, 64, 128, 0)
    broken = msgspec.structs.replace(trial("-inf", 64, 128), measurements=(), invalidity="correctness", failure=nan)
    other = msgspec.structs.replace(broken, configuration={"floor": -1e20, "tile": 64})
    claim = {"nan_rows": {"at_most": 0}}
    assert judge_numbers(invariant(effect=claim), run((kept, broken)), OP, {}).verdict == "supports"
    said = judge_numbers(invariant(effect=claim), run((kept, broken, other)), OP, {})
    assert (said.verdict, said.effect) == ("refutes", {"nan_rows": WRONG})


def test_an_effect_that_no_trial_shows_is_not_supported():
    said = judge_numbers(invariant(effect={"bit_differences": {"at_most": 0}}), run(), OP, {})
    assert (said.verdict, said.reason) == ("inconclusive", "no trial shows bit_differences")
    assert judge_numbers(invariant(effect={}), run(), OP, {}).verdict == "inconclusive"


def test_a_requirement_of_too_many_settings_cannot_be_shown():
    many = msgspec.structs.replace(OP.parameters["tile"], values=tuple(range(MOST_SETTINGS)))
    op = msgspec.structs.replace(OP, parameters={**OP.parameters, "tile": many})
    assert "which no trial tried" in judge_numbers(invariant(f"{BREAKS} and tile >= 0"), run(), op, {}).reason
