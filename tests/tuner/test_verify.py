"""A law's experiment again: by every recorded run that can speak, or by new trials of its region and beside it."""

from __future__ import annotations

import msgspec
import pytest

from spak.kg.evidence.witness import RunWitness
from spak.kg.model.law import Evidence
from spak.kg.model.run import Failure, Measurement, Run, Trial
from spak.tuner.errors import TunerError
from spak.tuner.verify import (
    MAX_PROBLEMS,
    Experiment,
    check_tier,
    replay_law,
    trials,
    verified,
    with_verdict,
    witnesses,
)
from tests.tuner.searching import OP, avoid, spill, store, time_us
from tests.tuner.spilling import SIZES, SPILLS, few, flat, measured


class Root:
    """A store in memory that has runs."""

    def __init__(self, *runs: Run) -> None:
        held = store()
        self.laws, self.hardware, self.ops, self.systems = held.laws, held.hardware, held.ops, held.systems
        self.run_ids, self._runs = [run.id for run in runs], {run.id: run for run in runs}

    def run(self, name: str) -> Run:
        return self._runs[name]

    def witness(self, name: str) -> RunWitness | None:
        return RunWitness(self._runs[name], self) if name in self._runs else None


def test_replay_judges_every_run_and_each_problem_size():
    root = Root(measured("one", SIZES[:2]), measured("two", SIZES[2:], hw="sm_2"), measured("three", tier="reported"))
    found = replay_law(SPILLS, witnesses(root))
    assert [(line.run, line.problem, line.is_noted) for line in found.lines] == [
        ("one", "dim=64,size=1024", False),
        ("one", "dim=64,size=512", False),
    ]
    assert (found.verdict, found.before, found.after, found.holds) == ("supports", "proposed", "proposed", True)


def test_of_runs_that_a_law_leaves_out_the_earliest_is_where_it_was_found():
    later = measured("a-later-one", SIZES[1:], created="2026-01-02T00:00:00Z")
    found = replay_law(SPILLS, witnesses(Root(later, measured("one"))))
    assert {entry.run: entry.role for entry in found.unnoted} == {"one": "suggested", "a-later-one": "independent"}
    assert (found.before, found.after) == ("proposed", "confirmed")


def test_a_run_made_to_test_a_law_says_so():
    """Else it would be taken for the run in which a person found the law."""
    root = Root(measured("one", SIZES))
    run = with_verdict(SPILLS, root.run("one"), root)
    (verdict,) = run.tested
    assert (verdict.law, verdict.verdict, len(verdict.problems)) == (SPILLS.id, "supports", 3)
    assert verified(SPILLS, root.run("one"), root).after == "proposed"
    assert verified(SPILLS, run, root).after == "confirmed"


def test_replay_finds_an_entry_that_is_not_what_its_run_says():
    honest = RunWitness(measured("one"), store()).entry(SPILLS)
    false = msgspec.structs.replace(
        honest, verdict="supports", effect={"slowdown": 7.0}, interval={"slowdown": (6.9, 7.1)}
    )
    other = Evidence(run="gone", verdict="supports", tier="reported", role="suggested")
    found = replay_law(msgspec.structs.replace(SPILLS, evidence=(other, false)), witnesses(Root(measured("one"))))
    assert {run for run, _ in found.differing} == {"one"}
    assert found.verdict == "supports"
    assert not found.holds


def test_replay_of_a_refuted_law_refutes_and_of_an_unfair_one_cannot_tell():
    run = measured("one", time=flat)
    assert replay_law(SPILLS, witnesses(Root(run))).verdict == "refutes"
    found = replay_law(SPILLS, witnesses(Root(few(run, 4, 5))))
    assert [line.said.reason for line in found.lines] == ["too few trials beside it"]
    assert found.verdict == "inconclusive"
    assert not found.holds
    assert replay_law(SPILLS, []).lines == ()


class Formula:
    """Answers what it is asked, and says how."""

    batch_size, num_compilers, name = 4, 0, "fake"

    def evaluate(self, requests):
        for request in requests:
            value = time_us(request.configuration)
            made = Trial(
                configuration=dict(request.configuration),
                problem=dict(request.problem),
                origin=request.origin,
                invalidity="correct" if value else "compile",
                failure=None if value else Failure(type="x", message="x"),
                measurements=(
                    Measurement(name="time", value=value, low=value * 0.99, high=value * 1.01),
                    Measurement(name="spill_bytes", value=spill(request.configuration)),
                ),
            )
            yield request, made


def test_new_trials_are_of_the_region_and_outside_it_at_the_laws_problem_sizes():
    entry = Evidence(run="r", verdict="supports", tier="reported", role="suggested", problems=("size=2048",))
    big = avoid("big", "m * n > 4096", at_least=1.5, evidence=[msgspec.to_builtins(entry)], status="proposed")
    test = Experiment(big, OP, {"most": 8192})
    assert [size["size"] for size in test.problems] == [2048, 512, 1024]
    made = trials(test, Root(), Formula())
    assert {trial.origin for trial in made} == {"confirm"}
    for size in test.problems:
        inside = [t for t in made if t.problem == size and spill(t.configuration)]
        outside = [t for t in made if t.problem == size and not spill(t.configuration)]
        assert len(inside) >= 3
        assert len(outside) >= 8
    run = measured("new", trials=made)
    found = verified(big, run, Root(run))
    assert (found.verdict, found.after) == ("supports", "confirmed")


def test_a_law_about_compiled_code_is_tried_where_recorded_runs_say_that_it_applies():
    made = trials(Experiment(SPILLS, OP, {"most": 8192}, num_problems=1), Root(measured("one")), Formula())
    assert any(spill(trial.configuration) for trial in made)
    assert {trial.problem["size"] for trial in made} == {512}


def test_what_cannot_be_tried_is_said():
    nowhere = avoid("nowhere", "m > 64", scope={"when": "size > 9000"})
    with pytest.raises(TunerError, match="no problem size"):
        trials(Experiment(nowhere, OP, {"most": 8192}), Root(), Formula())
    with pytest.raises(TunerError, match="no configuration that it names"):
        trials(Experiment(SPILLS, OP, {"most": 8192}), Root(), Formula())


def test_the_compiler_cannot_tell_the_time():
    check_tier(avoid("fact", "m > 64", "spill_bytes", 1), "compiled")
    check_tier(SPILLS, "measured")
    with pytest.raises(TunerError, match="--backend gpu"):
        check_tier(SPILLS, "compiled")
    assert MAX_PROBLEMS > 1
