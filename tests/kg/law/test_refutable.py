"""A claim says what would refute it: the published schema, a load, and what may remove agree on which does not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from spak.kg.errors import InvalidFilesError
from spak.kg.files import schema
from spak.kg.files.loader import load
from spak.kg.law.effects import EFFECTS, FEATURE_VALUES, TIE_LIMIT, TIME_NOISE
from spak.kg.law.kinds import KINDS, AnyLaw, meaning
from spak.kg.law.power import SearchPlace, bearing
from spak.kg.law.refutable import effect_flaws
from spak.kg.law.status import NEEDED
from spak.kg.model.features import COMPILED_FEATURES
from spak.kg.model.law import Bound, Law
from tests.kg.small import ROOT
from tests.shown import shown

HERE = SearchPlace(ROOT, "rtx5070", "tileiras 13.4.92")
SCHEMA = schema.schema("law")
VALIDATOR = Draft202012Validator(SCHEMA)
BOUNDED = {
    law["properties"]["kind"]["enum"][0]: Draft202012Validator(
        SCHEMA["$defs"][law["properties"]["claim"]["$ref"].rpartition("/")[2]]["properties"]["effect"]
    )
    for name, law in SCHEMA["$defs"].items()
    if name.endswith("Law")
}
"""Kind -> what the published schema says of the effects of its claims."""

CLAIMS: dict[str, dict[str, Any]] = {
    "negative": {"avoid": "tile_m >= 128"},
    "positive": {"prefer": {"tile_m": 64}},
    "indifferent": {"over": "v_latency", "values": [4, 5], "within": "1%"},
    "invariant": {"require": "tile_m < 128", "otherwise": "it breaks", "check": "attention-mask-floor"},
    "transformation": {"from": "naive", "to": "fused", "rewrite": "fuse", "check": "equal"},
}


def raw_law(kind: str, claim: Mapping[str, Any]) -> dict[str, Any]:
    scope = {"hw": "sm_120", "op": "fmha"}
    return {"id": "law", "title": "t", "kind": kind, "scope": scope, "claim": dict(claim), "status": "proposed"}


def negative(**effect: Any) -> tuple[str, dict[str, Any]]:
    return "negative", CLAIMS["negative"] | {"effect": effect}


def invariant(**effect: Any) -> tuple[str, dict[str, Any]]:
    return "invariant", CLAIMS["invariant"] | {"effect": effect}


def tie(**changed: Any) -> tuple[str, dict[str, Any]]:
    return "indifferent", CLAIMS["indifferent"] | changed


BAD = {
    "nothing is faster than the best": negative(slowdown={"at_least": 0}),
    "the best has no slowdown": negative(slowdown={"at_least": 1}),
    "below one": negative(slowdown={"at_least": 0.99}),
    "within noise": negative(slowdown={"at_least": 1.04}),
    "everything is below": negative(slowdown={"at_most": 100}),
    "a bound of nothing": negative(slowdown={}),
    "null": negative(slowdown={"at_least": None}),
    "beyond every time": negative(slowdown={"at_least": 1e300}),
    "made up": negative(madeup={"at_least": 1}),
    "an absolute time": negative(time_us={"at_most": 100}),
    "no lower occupancy": negative(occupancy_ratio={"at_most": 1}),
    "any occupancy": negative(occupancy_ratio={"at_least": 0}),
    "no spill is negative": negative(spill_bytes={"at_least": 0}),
    "no thread has as much": negative(spill_bytes={"at_most": 10**9}),
    "every kernel has registers": negative(registers={"at_least": 1}),
    "no thread has more registers": negative(registers={"at_most": 255}),
    "a CTA has a warp": negative(threads={"at_least": 32}),
    "what runs is on an SM": negative(ctas_per_sm={"at_least": 1}),
    "some may run": negative(failure_rate={"at_least": 0.5}),
    "none need fail": negative(failure_rate={"at_least": 0}),
    "more than all": negative(failure_rate={"at_least": 2}),
    "one of two is vacuous": negative(slowdown={"at_least": 1.2}, spill_bytes={"at_least": 0}),
    "one of two is made up": negative(slowdown={"at_least": 1.2}, speed={"at_least": 1}),
    "all fail, and at most all": negative(failure_rate={"at_least": 1, "at_most": 1}),
    "costs so much at least and at most": (
        "positive",
        CLAIMS["positive"] | {"effect": {"cost": {"at_least": -0.5, "at_most": 0}}},
    ),
    "another kind's effect": negative(change={"at_most": 0.01}),
    "no effect": negative(),
    "effect left out": ("negative", CLAIMS["negative"]),
    "no wrong numbers where kept, or wrong": invariant(nan_rows={"at_most": 10**6}),
    "no row breaks": invariant(nan_rows_otherwise={"at_least": 0}),
    "any error": invariant(relative_error={"at_most": 10}),
    "an invariant of time that is none": invariant(slowdown={"at_least": 1}),
    "an invariant without an effect": ("invariant", CLAIMS["invariant"]),
    "everything ties": tie(within="100000%"),
    "ties above noise": tie(within="2.01%"),
    "a tie of one": tie(values=[4]),
    "a tie of none": tie(values=[]),
    "a tie with itself": tie(values=[4, 4]),
    "a tie about something else": tie(effect={"slowdown": {"at_least": 1.2}}),
    "a tie that says another margin": tie(effect={"change": {"at_most": 1000}}),
    "prefers nothing": ("positive", {"prefer": {}}),
    "costs anything": ("positive", CLAIMS["positive"] | {"effect": {"cost": {"at_most": 100}}}),
    "costs something": ("positive", CLAIMS["positive"] | {"effect": {"cost": {"at_least": -1}}}),
    "no speedup": ("positive", CLAIMS["positive"] | {"effect": {"speedup": {"at_least": 1}}}),
    "no time saved": ("transformation", CLAIMS["transformation"] | {"effect": {"time_saved": {"at_least": 0}}}),
}
"""What a claim may not say; the first three, `madeup`, `time_us`, `occupancy_ratio`, `100000%` once removed the best."""

CONTRADICTIONS = {
    "an upper bound below the lower": negative(slowdown={"at_least": 3, "at_most": 2}),
    "an effect that denies within": tie(effect={"change": {"at_most": 0.02}}),
    "preferred over itself": ("positive", {"prefer": {"tile_m": 64}, "over": [{"tile_m": 64}]}),
    "preferred over a part of itself": ("positive", {"prefer": {"tile_m": 64}, "over": [{"tile_m": 64, "tile_n": 64}]}),
}
"""What no schema can see: one field denies another."""

GOOD = {
    "slow": negative(slowdown={"at_least": 1 + TIME_NOISE}),
    "slow, but not hopeless": negative(slowdown={"at_least": 1.2, "at_most": 3}),
    "fails": negative(failure_rate={"at_least": 1}),
    "spills": negative(spill_bytes={"at_least": 1}),
    "spills so much": negative(spill_bytes={"at_least": 8, "at_most": 8}),
    "one CTA": negative(ctas_per_sm={"at_most": 1}),
    "slow and spills": negative(slowdown={"at_least": 1.2}, spill_bytes={"at_least": 1}),
    "slow where violated": invariant(slowdown={"at_least": 1.2}),
    "breaks": invariant(nan_rows={"at_most": 0}, nan_rows_otherwise={"at_least": 1}),
    "a tie": tie(),
    "a tie within 2 %": tie(within="2%"),
    "a tie to the last digit": tie(within="0%"),
    "the same twice": tie(effect={"change": {"at_most": 0.01}}),
    "best or ties": ("positive", CLAIMS["positive"]),
    "beats by a twentieth": ("positive", CLAIMS["positive"] | {"effect": {"cost": {"at_most": -0.05}}}),
    "ten times faster": ("transformation", CLAIMS["transformation"] | {"effect": {"speedup": {"at_least": 10}}}),
}


def confirmed(law: Law) -> Law:
    """`law` with evidence for all that it claims, and a file that says so."""
    return msgspec.structs.replace(shown(law, toolchain="tileiras 13.4.92"), status="confirmed")


def loads(law_root: Any, raw: Mapping[str, Any]) -> str:
    """What a load of a root with this law says; empty if it is content."""
    path = law_root / "sm_120" / "fmha" / "law.yaml"
    path.write_bytes(msgspec.json.encode(raw))  # JSON is YAML
    try:
        load(law_root)
    except InvalidFilesError as error:
        return str(error).removeprefix(str(law_root))
    return ""


def in_power(raw: Mapping[str, Any]) -> str:
    """Why a law with evidence for all that it claims claims nothing; empty if it may have all power of its kind."""
    law = confirmed(msgspec.convert(raw, AnyLaw))
    reason = bearing(law, HERE).reason
    return reason if reason.startswith("it claims nothing") else ""


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_refuted_is_refused_three_times(law_root, case):
    """By an editor, by a load with its place, and by a search, whatever its evidence says."""
    raw = raw_law(*BAD[case])
    assert not VALIDATOR.is_valid(raw)
    said = loads(law_root, raw)
    assert said.startswith("/sm_120/fmha/law.yaml:1:")
    assert "claim" in said
    try:
        law = msgspec.convert(raw, AnyLaw)
    except msgspec.ValidationError:
        return
    assert bearing(confirmed(law), HERE).removes is False
    if meaning(law).power.value == "removes":
        assert in_power(raw)


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_what_denies_itself_is_refused_by_a_load_and_a_search(law_root, case):
    raw = raw_law(*CONTRADICTIONS[case])
    assert "law.yaml:1:" in loads(law_root, raw)
    assert list(meaning(msgspec.convert(raw, AnyLaw)).flaws())


@pytest.mark.parametrize("case", GOOD)
def test_what_can_be_refuted_is_a_claim_three_times(law_root, case):
    raw = raw_law(*GOOD[case])
    if raw["kind"] == "transformation":  # its systems are not in this root
        assert not list(meaning(msgspec.convert(raw, AnyLaw)).flaws())
    else:
        assert loads(law_root, raw) == ""
    assert VALIDATOR.is_valid(raw)
    assert not in_power(raw)


NUMBERS = st.one_of(
    st.sampled_from([0, 1, -1, 0.5, 0.99, 1.04, 1.05, 1.2, 2, 8, 32, 255, 1024, 1e6, 1e9, TIE_LIMIT]),
    st.floats(-2, 3),
    st.integers(-1, 600_000),
)
BOUNDS = st.dictionaries(st.sampled_from(["at_least", "at_most"]), st.none() | NUMBERS, max_size=2)
EFFECT = st.dictionaries(st.sampled_from([*EFFECTS, "madeup", "time_us"]), BOUNDS, max_size=2)


@settings(max_examples=300)
@given(st.sampled_from(list(KINDS)), EFFECT)
def test_the_schema_and_the_rule_agree_on_every_claim(kind, effect):
    """The rule is the schema's, but for bounds that contradict each other; what a load says is what the rule says."""
    raw = raw_law(kind, CLAIMS[kind] | {"effect": effect})
    law: Law = msgspec.convert(raw, AnyLaw)
    flaws = [
        flaw for flaw in meaning(law).flaws() if "swap them" not in flaw.message and "within says" not in flaw.message
    ]
    assert VALIDATOR.is_valid(raw) == (not flaws)


def _beside(name: str) -> list[float | None]:
    """Numbers at and just beyond every end of the ranges of an effect, and none."""
    ends = [end for where in EFFECTS[name].sides.values() for end in (where.least, where.most)]
    return [*sorted({one for end in ends for one in (end - 0.001, end, end + 0.001)} | {0.0, 1.0}), None]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EFFECTS)
def test_the_schema_and_the_rule_agree_at_every_end(kind, name):
    """Off by a thousandth, one side or both, in a law of every kind: each pair of bounds, no matter how odd."""
    for at_least, at_most in product(_beside(name), repeat=2):
        given = {side: value for side, value in (("at_least", at_least), ("at_most", at_most)) if value is not None}
        flaws = list(effect_flaws(kind, {name: Bound(**given)}))
        if any("swap them" in flaw.message for flaw in flaws):
            continue  # no schema compares two fields
        assert BOUNDED[kind].is_valid({name: given}) == (not flaws), given


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_no_bound_is_infinite_or_no_number(bad):
    """No file can hold one; a law made in memory can."""
    for name, effect in EFFECTS.items():
        for side in effect.sides:
            raw = raw_law(effect.kinds[0], CLAIMS[effect.kinds[0]])
            law = msgspec.convert(raw | {"claim": raw["claim"] | {"effect": {name: {side: 1}}}}, AnyLaw)
            law = msgspec.structs.replace(
                law,
                claim=msgspec.structs.replace(
                    law.claim, effect={name: msgspec.structs.replace(law.claim.effect[name], **{side: bad})}
                ),
            )
            assert list(meaning(law).flaws()), (name, side)


def test_a_word_without_evidence_moves_nothing_out_of_a_search():
    """`status: confirmed` typed into a file is a wish until its evidence says so, checked or not."""
    law = msgspec.convert(raw_law(*GOOD["slow"]) | {"status": "confirmed"}, AnyLaw)
    found = bearing(law, HERE)
    assert not found.removes
    assert found.reason == "it is proposed by its evidence, not confirmed"
    assert bearing(confirmed(law), HERE).removes


def test_what_its_own_evidence_refutes_moves_nothing_at_all():
    law = confirmed(msgspec.convert(raw_law(*GOOD["slow"]), AnyLaw))
    against = {"verdict": "refutes", "effect": {"slowdown": 1.0}, "interval": {"slowdown": (0.99, 1.01)}}
    law = msgspec.structs.replace(
        law, evidence=tuple(msgspec.structs.replace(entry, **against) for entry in law.evidence)
    )
    assert bearing(law, HERE).power.value == "no effect"
    assert bearing(law, HERE).reason == "it is refuted by its evidence, not confirmed"


def test_every_effect_names_the_tier_that_can_show_it():
    """Status asks for it by the same table."""
    assert NEEDED.keys() == EFFECTS.keys()
    assert {name for name, tier in NEEDED.items() if tier == "compiled"} == {*COMPILED_FEATURES, "occupancy_ratio"}
    assert FEATURE_VALUES.keys() == COMPILED_FEATURES.keys()
    assert all(effect.sides for effect in EFFECTS.values())
