"""One law whole."""

from __future__ import annotations

import pytest

from spak.kg.answers.explain import explain
from spak.kg.errors import UnknownNameError
from spak.kg.model.law import Scope
from spak.kg.model.run import Failure, Measurement, Run, Trial
from tests.kg.small import ROOT, negative


def trial(tile_m: int, time_us: float | None, **problem) -> Trial:
    if time_us is None:
        failure = Failure(type="Timeout", message="after 10 s")
        return Trial(configuration={"tile_m": tile_m}, invalidity="timeout", problem=problem, failure=failure)
    return Trial(
        configuration={"tile_m": tile_m},
        problem=problem,
        measurements=(Measurement(name="time", value=time_us, unit="us"),),
    )


RUN = Run(
    id="run-a",
    tier="measured",
    created="2026-01-01T00:00:00Z",
    hw="rtx5070",
    op="fmha",
    problem={"head_dim": 64, "dtype": "fp16"},
    trials=(
        trial(128, 20.0),
        trial(128, None),
        trial(128, 10.0),
        trial(64, 5.0),
        trial(256, 30.0, head_dim=128),
        trial(256, 40.0, dtype="fp8"),
    ),
)


def load_run(identifier: str) -> Run | None:
    return RUN if identifier == "run-a" else None


def test_trials_are_split_by_what_the_claim_says_of_them():
    """Inside the claim and its scope, best first and failures last; everything else is outside."""
    witness, missing = explain(ROOT, "spills", load_run=load_run, num_trials=2).witnesses
    assert dict(witness.outcomes) == {"correct": 5, "timeout": 1}
    inside, outside = witness.sides
    assert (inside.stance, inside.count, [t.value("time") for t in inside.trials]) == ("against", 3, [10.0, 20.0])
    assert (outside.stance, outside.count, [t.value("time") for t in outside.trials]) == ("silent", 3, [5.0, 30.0])
    assert (missing.run, missing.sides) == (None, ())


def test_links_go_both_ways():
    """Who uses a law and which laws refer to it."""
    found = explain(ROOT, "spills", load_run=load_run)
    assert found.used_by == ("v2",)
    assert found.referred_by == {"latency-4-or-5": "refines"}
    assert found.sentence.startswith("On sm_120, for Fused attention in fp16 or bf16 when head_dim == 64: avoid")


def test_a_former_id_still_finds_its_law():
    """A rename breaks no link in a report."""
    assert explain(ROOT, "old-floor", load_run=load_run).law.id == "mask-floor"
    assert explain(ROOT, "Mask Floor", load_run=load_run).law.id == "mask-floor"


def test_an_unknown_law_gets_the_nearest():
    """A typo is answered with the laws it resembles."""
    with pytest.raises(UnknownNameError, match="unknown law 'spill'; nearest: spills"):
        explain(ROOT, "spill", load_run=load_run)


def test_a_scope_without_files_is_named_by_its_ids():
    """An id stands in where a node has no file."""
    law = negative("law")
    alone = ROOT.with_laws(
        type(law)(**{f: getattr(law, f) for f in law.__struct_fields__} | {"scope": Scope(hw="x", op="y")})
    )
    assert explain(alone, "law", load_run=load_run).sentence.startswith("On x, for y: avoid")
