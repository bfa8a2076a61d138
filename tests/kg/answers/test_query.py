"""Answers: which laws, in which order, in which form."""

from __future__ import annotations

import json

import pytest

from spak.kg.answers.query import Ask, answer_json, nearest_first, query
from spak.kg.errors import KgError, UnknownNameError
from spak.kg.model.recorded import RecordedSize
from tests.kg.small import ROOT


def ids(**ask) -> list[str]:
    return [hit.law.id for hit in query(ROOT, Ask(**{"hw": "rtx5070", "op": "fmha", **ask})).hits]


def test_an_answer_holds_what_speaks_about_the_op_nearest_first():
    """Own, inherited, then transferred laws; other ops, other vendors and withdrawn laws are not in it."""
    assert ids() == [
        "small-tiles",
        "latency-4-or-5",
        "spills",
        "refuted-claim",
        "one-to-two",
        "mask-floor",
        "hopper-tiles",
    ]


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        ({"kinds": frozenset({"positive", "invariant"})}, ["small-tiles", "mask-floor"]),
        ({"statuses": frozenset({"refuted"})}, ["refuted-claim"]),
        ({"statuses": frozenset({"withdrawn"})}, ["old-claim"]),
        ({"params": frozenset({"v_latency"})}, ["latency-4-or-5"]),
        ({"params": frozenset({"mask_value", "tile_n"})}, ["small-tiles", "refuted-claim", "mask-floor"]),
        ({"problem": {"head_dim": 128}, "kinds": frozenset({"negative"})}, ["refuted-claim", "hopper-tiles"]),
    ],
)
def test_filters(ask, expected):
    """Kind, status, name and problem each narrow the answer."""
    assert ids(**ask) == expected


def test_withdrawn_laws_are_counted_not_shown():
    """The reader learns that something was left out, and that it is back when asked for."""
    assert query(ROOT, Ask(hw="rtx5070", op="fmha")).num_withdrawn == 1
    assert query(ROOT, Ask(hw="rtx5070", op="fmha", statuses=frozenset({"withdrawn"}))).num_withdrawn == 0


def test_names_become_canonical():
    """Aliases and device strings end as ids."""
    answer = query(ROOT, Ask(hw="nvidia geforce rtx-5070", op="sdpa"))
    assert (answer.hw, answer.op) == ("rtx5070", "attention")


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        ({"hw": "rtx5071"}, "unknown hardware 'rtx5071'; nearest: rtx5070"),
        ({"op": "atention"}, "unknown op 'atention'; nearest: attention"),
        ({"problem": {"head_dimm": 64}}, "unknown problem parameter 'head_dimm'; nearest: head_dim"),
        ({"params": frozenset({"tile_q"})}, "unknown parameter 'tile_q'; nearest: tile_m"),
    ],
)
def test_unknown_names_get_the_nearest(ask, message):
    """Whatever is misspelled, the error says what was probably meant."""
    with pytest.raises(UnknownNameError) as caught:
        ids(**ask)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ({"head_dim": "wide"}, "head_dim is of type int (got 'wide')"),
        ({"causal": 3}, "causal is of type bool (got 3)"),
    ],
)
def test_a_problem_size_that_no_op_has_is_refused(problem, message):
    """It would decide laws by a value that cannot be."""
    with pytest.raises(KgError) as caught:
        ids(problem=problem)
    assert message in str(caught.value)


def test_json_has_exactly_the_documented_form():
    """The keys that other programs read."""
    found = json.loads(answer_json(query(ROOT, Ask(hw="rtx5070", op="attention", problem={"head_dim": 64}))))
    assert list(found) == ["hw", "op", "laws", "conflicts", "superseded", "recorded"]
    assert (found["hw"], found["op"]) == ("rtx5070", "attention")
    law = next(law for law in found["laws"] if law["id"] == "spills")
    assert list(law) == ["id", "kind", "status", "layer", "title", "claim", "match", "evidence"]
    assert law["claim"] == {
        "avoid": "tile_m >= 128",
        "because": "register-spill",
        "effect": {"slowdown": {"at_least": 1.2}},
    }
    assert law["match"] == {
        "hw": "inherited", "via": ["rtx5070", "sm_120"], "op": "child", "when": None, "op_via": ["attention", "fmha"],
        "dtype": ["fp16", "bf16"], "stale": False, "overridden_by": None,
    }  # fmt: skip
    assert law["evidence"][1] == {
        "run": "run-b", "tier": "measured", "role": "independent", "verdict": "supports", "effect": {"slowdown": 2.5}
    }  # fmt: skip


def test_a_transformation_keeps_its_keys():
    """`claim` is as in the file: `from`, not the model's name for it."""
    found = json.loads(answer_json(query(ROOT, Ask(hw="rtx5070", op="fmha", kinds=frozenset({"transformation"})))))
    assert found["laws"][0]["claim"]["from"] == "v1"


def _size(op: str, trials: int, **problem) -> RecordedSize:
    return RecordedSize(
        hw="h200", op=op, problem=problem, trials=trials, failures=0, best_us=1.0, best={}, tier="measured", runs=("r",)
    )


@pytest.mark.parametrize(
    ("problem", "first"),
    [
        ({}, {"head_dim": 64, "causal": True}),  # the op's defaults
        ({"head_dim": 128}, {"head_dim": 128, "causal": True}),  # as asked, else as usual
        ({"head_dim": 128, "causal": False}, {"head_dim": 128, "causal": False}),
        ({"head_dim": 256}, {"head_dim": 64, "causal": True}),  # nothing agrees
    ],
)
def test_of_what_was_timed_the_size_asked_about_comes_first(problem, first):
    """However many trials another size has; one that a run does not state is the op's default."""
    recorded = (
        _size("fmha", 900, head_dim=128, causal=False),
        _size("attention", 950, head_dim=64, causal=True),
        _size("fmha", 500, head_dim=128, causal=True),
        _size("fmha", 7, head_dim=64, causal=True),
    )
    ordered = nearest_first(recorded, "fmha", problem, ROOT.ops)
    assert ordered[0].problem == first
    assert ordered[0].op == "fmha"
    assert sorted(size.trials for size in ordered) == [7, 500, 900, 950]
    assert nearest_first(recorded[:1], "fmha", problem, {}) == recorded[:1]
