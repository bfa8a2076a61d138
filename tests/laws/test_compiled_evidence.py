"""The laws about compiled code say of their runs exactly what judging those runs gives; no compiler is needed to check."""

from __future__ import annotations

import msgspec
import pytest

from bench.compiled_evidence import CORE, FOUND, SAMPLED, configurations, encode
from spak.kg.evidence.judge import judge
from spak.kg.evidence.table import from_runs
from spak.kg.files.seal import sealed
from spak.kg.model.law import Law
from spak.kg.model.run import Run
from tests.shipped import LAWS

COMPILED = sorted(
    law.id
    for law in LAWS.laws.values()
    if law.scope.hw.startswith("sm_") and any(entry.tier == "compiled" for entry in law.evidence)
)


def test_there_are_laws_about_compiled_code() -> None:
    """The parametrised tests below have something to check."""
    assert len(COMPILED) >= 4


@pytest.mark.parametrize("law_id", COMPILED)
def test_evidence_is_what_the_runs_say(law_id: str) -> None:
    """Verdict, effect and problem sizes of every compiled entry are those of its run."""
    law: Law = LAWS.laws[law_id]
    for entry in (entry for entry in law.evidence if entry.tier == "compiled"):
        run = LAWS.run(entry.run)
        table = from_runs([run])
        found = judge(law, table, min_problems=1)
        assert entry.effect == found.effect, (law_id, entry.run)
        assert sorted(entry.problems) == sorted(found.problems)
        # one problem size may be taken for too few
        assert entry.verdict in {found.verdict, judge(law, table).verdict}, (law_id, entry.run)


def test_occupancy_of_the_coarse_claim() -> None:
    """Somewhere tile_m 128 has at least the occupancy of another, so "tile_m = 128 collapses occupancy" is refuted."""
    law = LAWS.laws["blackwell-fmha-tile-m-128-collapses-occupancy"]
    entries = [entry for entry in law.evidence if entry.tier == "compiled"]
    assert entries
    for entry in entries:
        said = judge(law, from_runs([LAWS.run(entry.run)]), min_problems=1)
        assert (said.verdict, said.effect) == ("refutes", entry.effect)
        assert entry.effect["occupancy_ratio"] >= 1


def test_configurations_are_feasible_distinct_and_repeatable() -> None:
    """The core product and the sample name each configuration once, the same ones every time."""
    for experiment in (FOUND, SAMPLED):
        problem = LAWS.ops["fmha"].problems[experiment.problems[0]]
        first, again = (configurations(LAWS, experiment, problem) for _ in range(2))
        assert first == again
        assert len({msgspec.json.encode(dict(item)) for item in first}) == len(first)
    assert {item["occupancy"] for item in configurations(LAWS, FOUND, problem)} == set(CORE["occupancy"])


def test_a_written_run_reads_back() -> None:
    """One trial a line is still the same run."""
    run = LAWS.run(FOUND.run_id("sm_120"))
    assert msgspec.json.decode(encode(run), type=Run) == sealed(run)
