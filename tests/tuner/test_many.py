"""Many targets as one library call: one budget, a run file and a journal for each target, laws tested where they were not found."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from spak.kg.errors import UnknownNameError
from spak.kg.files.loader import read_run
from spak.kg.files.root import LawRoot
from spak.tuner.backend.registry import BACKENDS
from spak.tuner.engine import journal
from spak.tuner.engine.naming import named_devices
from spak.tuner.engine.surroundings import Choice, Surroundings
from spak.tuner.errors import TunerError
from spak.tuner.many import names_targets, search_targets
from spak.tuner.search import SearchRequest
from spak.tuner.targeting import ALL_PARTS, TargetsRequest, plan_targets
from tests.shipped import LAWS, ROOT
from tests.tuner.searching import Formula, store
from tests.tuner.test_search import H100, H200, Card, time_us

SIZES = "m2048,m4096,m8192,b8-m2048"
REQUEST = TargetsRequest(kernel="matmul", problem=SIZES, trials=80, confirm=0.25, seed=3)


@pytest.fixture(autouse=True)
def compiled_nowhere(monkeypatch):
    """Features that no formula here has are not asked for."""
    monkeypatch.setattr("tests.tuner.searching.spill", lambda configuration: 0.0)


def around(tmp_path, make=None, **changes) -> Surroundings:
    ticks = itertools.count()
    made = make or (lambda task: Card(time=time_us))
    found = Surroundings(
        laws=LAWS,
        root=LawRoot(ROOT, writable=False),
        now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        clock=lambda: float(next(ticks)),
        cache=tmp_path / "cache",
        local=tmp_path,
        commit=lambda: "c0ffee",
        device=lambda: H200,
        open=lambda entry, task: made(task),
    )
    return replace(found, **changes)


def predicting(task) -> Formula:
    """A compiler for a device: the same best, other times on each."""
    factor = 1.0 if task.hw == "h200" else 2.0
    return Formula(
        time=lambda configuration: factor * time_us(configuration), objective="predicted_time", name="compile"
    )


def test_all_sizes_share_one_budget_and_nothing_is_written_unless_told_to(tmp_path):
    said: list[str] = []
    found = search_targets(REQUEST, around(tmp_path, say=said.append))
    assert list(tmp_path.iterdir()) == []
    assert [one.name for one in found.targets] == [f"h200 {name}" for name in SIZES.split(",")]
    assert said == [
        "4 targets: 4 problem sizes on h200.",
        "testing on some targets what others suggest, at most 20 trials",
    ]
    tried = [one.result.report.counts.tried for one in found.targets]
    assert sum(tried) == 60
    assert min(tried) >= 4
    assert all(one.gain >= 1.0 for one in found.targets)
    assert all(one.result.run.problem["m"] for one in found.targets)
    assert (found.op, found.interrupted, found.journal) == ("matmul", False, "")
    assert sum(len(run.trials) for run in found.learned.tests) <= 20


def test_what_helped_is_named_by_target(tmp_path):
    found = search_targets(replace(REQUEST, trials=100), around(tmp_path))
    helpers = {name for one in found.targets for name, _ in one.helped}
    assert helpers
    assert helpers <= {one.name for one in found.targets}
    alone = search_targets(replace(REQUEST, flow=False, strategy="transfer"), around(tmp_path))
    assert not any(one.helped for one in alone.targets)
    assert not any(trial.whose for one in alone.targets for trial in one.result.run.trials)


def test_each_target_has_a_run_file_and_a_journal(tmp_path):
    found = search_targets(replace(REQUEST, write="run"), around(tmp_path))
    for one in found.targets:
        run = read_run(one.result.run_file)
        assert run.trials == one.result.run.trials
        assert (run.hw, run.problem, run.seed) == ("h200", one.result.run.problem, 3)
        assert "--problem m2048,m4096,m8192,b8-m2048" in run.reproduce
        kept = journal.read_journal(tmp_path / "journal" / f"{run.id}.jsonl")
        assert len(kept.trials) == len(run.trials)
    assert len(list((tmp_path / "runs").iterdir())) == 4
    assert found.learned is None


def test_an_interrupted_search_goes_on_with_all_its_targets(tmp_path):
    """Every finished trial is kept, none is made twice, and in the end as many were made as in one go."""
    request = replace(REQUEST, write="run")
    first = search_targets(request, around(tmp_path, lambda task: Card(time=time_us, stop_after=17)))
    assert first.interrupted
    assert not (tmp_path / "runs").exists()
    kept = sum(len(journal.read_journal(path).trials) for path in (tmp_path / "journal").iterdir())
    assert kept == 17
    assert names_targets(SearchRequest(resume=first.journal), tmp_path)
    again = Card(time=time_us)
    resumed = TargetsRequest(resume=first.journal, write="run")
    second = search_targets(resumed, around(tmp_path, lambda task: again, now=lambda: datetime(2027, 1, 1, tzinfo=UTC)))
    assert len(again.asked) == 80 - 17
    runs = [one.result.run for one in second.targets]
    assert [run.id for run in runs] == [one.result.run.id for one in first.targets]
    assert sum(len(run.trials) for run in runs) == 80
    for run in runs:
        tried = [tuple(sorted(trial.configuration.items())) for trial in run.trials]
        assert len(tried) == len(set(tried))


def test_a_target_whose_journal_was_never_begun_begins_when_the_search_goes_on(tmp_path):
    request = replace(REQUEST, write="run")
    first = search_targets(request, around(tmp_path, lambda task: Card(time=time_us, stop_after=9)))
    gone = tmp_path / "journal" / f"{first.targets[-1].result.run.id}.jsonl"
    lost = len(journal.read_journal(gone).trials)
    gone.unlink()
    resumed = TargetsRequest(resume=first.journal, write="run")
    second = search_targets(resumed, around(tmp_path))
    assert gone.exists()
    assert sum(len(one.result.run.trials) for one in second.targets) == 80
    assert lost < 9


def test_tests_of_an_interrupted_lesson_are_not_made_again(tmp_path):
    request = replace(REQUEST, write="laws")
    whole = Card(time=planted)
    search_targets(request, around(tmp_path / "whole", lambda task: whole))
    stopped = Card(time=planted, stop_after=len(whole.asked) - 3)
    with pytest.raises(KeyboardInterrupt):
        search_targets(request, around(tmp_path, lambda task: stopped))
    name = next((tmp_path / "journal").iterdir()).stem
    again = Card(time=planted)
    resumed = TargetsRequest(resume=name, write="laws")
    found = search_targets(resumed, around(tmp_path, lambda task: again))
    assert 0 < len(again.asked) <= 20
    assert len({str(one) for one in again.asked}) == len(again.asked)
    assert sum(len(run.trials) for run in found.learned.tests) <= 20


def planted(configuration) -> float:
    """What does not load by TMA is three times slower at every size."""
    return time_us(configuration) * (1.0 if configuration["use_tma"] else 3.0)


def test_what_some_sizes_suggest_is_confirmed_at_the_others(tmp_path):
    found = search_targets(replace(REQUEST, trials=240), around(tmp_path, lambda task: Card(time=planted)))
    learned = found.learned
    assert learned.suggesting
    suggesting = {one.result.run.id for one in found.targets} & set(learned.suggesting)
    assert 0 < len(suggesting) < 4
    confirmed = [law for law in learned.kept if law.status == "confirmed"]
    assert confirmed
    sizes = {one.result.run.id: one.result.run.problem["m"] for one in found.targets}
    for law in confirmed:
        roles = {entry.run: entry.role for entry in law.evidence}
        assert {run for run, role in roles.items() if role == "suggested"} <= suggesting
        assert "independent" in roles.values()
        assert all(run in sizes or run.endswith("-confirm") for run in roles)
    assert all(candidate.outcome for candidate in learned.candidates)
    assert any(run.suggested for run in learned.runs)


def test_devices_that_only_compile_are_searched_beside_each_other(tmp_path):
    request = replace(REQUEST, hw="h200,h100", problem="m2048,m4096", backend="compile", trials=60, write="run")
    found = search_targets(request, around(tmp_path, predicting, device=str))
    assert [one.name for one in found.targets] == ["h200 m2048", "h200 m4096", "h100 m2048", "h100 m4096"]
    assert {one.result.report.objective for one in found.targets} == {"predicted_time"}
    assert {one.result.run.hw for one in found.targets} == {"h100", "h200"}
    labels = {
        label.partition(" ")[0] for one in found.targets for trial in one.result.run.trials for label in trial.whose
    }
    assert labels == {"h100", "h200"}, "a prediction of one device is heard on the other"
    assert found.notes == (
        "4 targets: 2 problem sizes on 2 devices.",
        "compiling for 2 devices; times are predicted, none is measured.",
    )


def measuring(task) -> Card:
    """The GPU of one of several machines."""
    made = Card(time=time_us)
    made.ran_on = H200 if task.hw == "h200" else H100
    return made


def test_devices_of_several_machines_measure_at_the_same_time(tmp_path):
    """Each measures its own targets, is recorded under its own name, and hears of the other."""
    fleet = {"devices": lambda: (H200, H100, H200), "is_fleet": True}
    request = replace(REQUEST, hw="all", problem="m2048,m4096", trials=60, write="run")
    found = search_targets(request, around(tmp_path, measuring, **fleet))
    assert [one.name for one in found.targets] == ["h200 m2048", "h200 m4096", "h100 m2048", "h100 m4096"]
    assert {one.hw: one.result.run.device.name for one in found.targets} == {"h200": H200, "h100": H100}
    assert sum(len(one.result.run.trials) for one in found.targets) == 60
    for one in found.targets:
        kept = journal.read_journal(tmp_path / "journal" / f"{one.result.run.id}.jsonl")
        assert kept.trials == tuple(replace_problem(trial, one) for trial in one.result.run.trials)
    with pytest.raises(
        TunerError, match="hw: no GPU of the fleet is a rtx5070; there are NVIDIA H100 80GB HBM3, NVIDIA H200"
    ):
        search_targets(replace(request, hw="rtx5070"), around(tmp_path, measuring, **fleet))


def replace_problem(trial, one):
    return msgspec.structs.replace(trial, problem=one.result.run.problem)


def test_every_device_that_can_be_compiled_for_or_the_one_that_is_here(tmp_path):
    compiling = named_devices("all", LAWS, Choice(BACKENDS["compile"], "")).ids
    assert {"h100", "h200", "rtx5070"} <= set(compiling)
    assert all(LAWS.hardware[one].kind == "device" for one in compiling)
    assert named_devices("all", LAWS, Choice(BACKENDS["gpu"], H200)).ids == ("h200",)
    assert named_devices("", LAWS, Choice(BACKENDS["gpu"], H200)).ids == ("h200",)
    found = search_targets(replace(REQUEST, problem="all", trials=24, confirm=0.0), around(tmp_path))
    assert [one.problem_name for one in found.targets] == list(LAWS.ops["matmul"].problems)


def test_all_is_what_the_fleet_has_and_what_is_left_out_is_said():
    """A GPU that the tree does not know is no target; a device that no GPU is, or whose times cannot be predicted, neither."""
    gpu, compiler = Choice(BACKENDS["gpu"], H200), Choice(BACKENDS["compile"], "")
    found = named_devices("all", LAWS, gpu, (H200, "NVIDIA X9", H200))
    assert found.ids == ("h200",)
    unknown, others = found.notes
    assert unknown == "left out, as laws/hardware does not know them: NVIDIA X9."
    assert others.startswith("left out, as no GPU here is one: a100, ")
    assert "h200" not in others
    assert "h100" in others
    with pytest.raises(TunerError, match="hw: laws/hardware knows no NVIDIA X9; add it there"):
        named_devices("all", LAWS, gpu, ("NVIDIA X9",))
    predicted = named_devices("all", LAWS, compiler)
    (left_out,) = predicted.notes
    devices = {node.id for node in LAWS.hardware.values() if node.kind == "device"}
    assert devices == {*predicted.ids, *left_out.partition(": ")[2].rstrip(".").split(", ")}
    assert "gb10" in left_out
    with pytest.raises(TunerError, match="of no device do the hardware facts say how fast it is"):
        named_devices("all", store(), compiler)


def test_a_limit_in_seconds_keeps_its_part_for_the_tests_and_holds_for_both(tmp_path):
    """The clock ticks once whenever it is asked."""
    ticks = itertools.count()
    limited = around(tmp_path, lambda task: Card(time=planted), clock=lambda: float(next(ticks)))
    found = search_targets(replace(REQUEST, trials=None, seconds=400.0), limited)
    tested = sum(len(run.trials) for run in found.learned.tests)
    assert 295 <= found.seconds <= 330
    assert found.learned.suggesting
    whole = search_targets(replace(REQUEST, trials=None, seconds=400.0, confirm=0.0), limited)
    assert whole.seconds > 380
    assert sum(len(run.trials) for run in whole.learned.tests) == 0 < tested


def test_of_a_large_space_all_targets_search_the_same_part(tmp_path):
    """What one tries is then known to the others; together the parts are no larger than a bound."""
    request = TargetsRequest(kernel="fmha", problem="all", hw="h200,h100", backend="compile", trials=50, confirm=0.0)
    plan = plan_targets(request, around(tmp_path, predicting, device=str))
    first, *others = (target.where for target in plan.targets)
    assert len(plan.targets) == 2 * len(LAWS.ops["fmha"].problems)
    assert 4096 <= len(first.space) <= ALL_PARTS // len(plan.targets) + 1
    configurations = first.space.codes
    for where in others:
        assert where.feasible > len(where.space) > 0.2 * len(first.space)
        assert (first.space.find(where.space.codes) >= 0).mean() > 0.99
    assert len(configurations) == len(first.space)


def test_weights_move_trials_to_what_takes_more_of_the_time(tmp_path):
    heavy = search_targets(replace(REQUEST, weights="m8192=20", confirm=0.0), around(tmp_path))
    tried = {one.problem_name: one.result.report.counts.tried for one in heavy.targets}
    assert tried["m8192"] > sum(tried.values()) / 2
    assert {one.problem_name: one.weight for one in heavy.targets}["m8192"] == 20.0
    assert "--weights m8192=20" in heavy.targets[0].result.run.reproduce


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": "m1=2"}, "weights: 'm1' is none of the problem sizes searched"),
        ({"weights": "m2048=none"}, "weights: m2048: a positive number"),
        ({"weights": "m2048=-1"}, "weights: m2048: a positive number"),
        ({"seed": -1}, "seed: 0 or more"),
    ],
)
def test_bad_input_names_the_argument(tmp_path, changes, message):
    with pytest.raises(TunerError, match=message):
        search_targets(replace(REQUEST, **changes), around(tmp_path))


def test_an_unknown_size_or_device_is_named(tmp_path):
    with pytest.raises(UnknownNameError, match="h300"):
        search_targets(replace(REQUEST, hw="h300", backend="compile"), around(tmp_path))
    with pytest.raises(Exception, match="m2047"):
        search_targets(replace(REQUEST, problem="m2048,m2047"), around(tmp_path))


def test_what_asks_for_many_targets():
    def many(**names):
        return names_targets(SearchRequest(**names), Path())

    assert many(hw="all")
    assert many(problem="all")
    assert many(hw="h100,h200")
    assert many(problem="m2048,m4096")
    assert not many(hw="h100", problem="m=2048,n=2048")
    assert not many()
