"""What another tool measured is written by the rules of imports, and says whether its results were checked."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

import spak
from spak.kg.errors import KgError
from spak.kg.files.loader import load
from spak.kg.formats.nodes import HardwareName
from spak.kg.formats.tried import MAX_MESSAGE, ToolRun, Tried

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
GRID = [Tried({"y": y, "x": x}, time_us=float(10 * x + y)) for x in (1, 2, 4) for y in (0, 1)]


def told(tried=GRID, **changes) -> ToolRun:
    given = {"op": "softmax", "hardware": HardwareName("H200"), "tool": "a tuner 1.2", "at": AT, "checked": True}
    return ToolRun(tried=tried, **(given | changes))


def test_trials_become_a_run_with_tool_time_and_toolchain(tmp_path):
    failed = Tried({"x": 8, "y": 0}, failure="ptxas: " + "x" * 9000, stage="compile")
    done = spak.record(tmp_path / "laws", told([*GRID, failed], toolchain={"triton": "3.9.0"}, problem={"n": 4096}))
    run = load(tmp_path / "laws").run(done.run)
    assert (done.trials, done.failures, run.tier, run.created) == (7, 1, "measured", "2026-03-04T05:06:07+00:00")
    assert (run.source, run.toolchain, run.problem) == ("tried by a tuner 1.2", {"triton": "3.9.0"}, {"n": 4096})
    assert run.trials[0].configuration == {"x": 1, "y": 0}
    assert (run.trials[-1].invalidity, len(run.trials[-1].failure.message)) == ("compile", MAX_MESSAGE)
    assert load(tmp_path / "laws").ops["softmax"].open


def test_the_same_twice_changes_nothing(tmp_path):
    first = spak.record(tmp_path / "laws", told())
    again = spak.record(tmp_path / "laws", told(list(reversed(GRID))))
    assert (again.run, again.written) == (first.run, ())


def test_what_nobody_checked_orders_a_search_and_judges_no_law(tmp_path):
    done = spak.record(tmp_path / "laws", told(checked=False))
    laws = spak.load(tmp_path / "laws")
    assert laws.laws.run(done.run).tier == "reported"
    assert not laws.laws.witness(done.run).table
    assert spak.first(laws.laws, HardwareName("B200"), "softmax", {}).best(1) == [{"x": 1, "y": 0}]


def test_single_launches_give_the_time_and_its_interval(tmp_path):
    done = spak.record(tmp_path / "laws", told([Tried({"x": 1}, samples_us=[9.0, 10.0, 11.0])]))
    (time,) = load(tmp_path / "laws").run(done.run).trials[0].measurements
    assert time.value == pytest.approx(10.0)
    assert time.low < 10.0 < time.high


def test_each_trial_may_have_its_own_problem_size(tmp_path):
    tried = [Tried({"x": x}, time_us=float(x * n), problem={"n": n}) for x in (1, 2) for n in (64, 128)]
    done = spak.record(tmp_path / "laws", told(tried, problem={"dtype": "fp16"}))
    runs = [load(tmp_path / "laws").run(name) for name in done.runs]
    assert (done.trials, done.run, len(runs)) == (4, runs[0].id, 2)
    assert [run.problem for run in runs] == [{"dtype": "fp16", "n": 64}, {"dtype": "fp16", "n": 128}]
    assert [trial.value("time") for trial in runs[1].trials] == [128.0, 256.0]
    assert load(tmp_path / "laws").ops["softmax"].problem["n"].default == 64


def test_an_op_of_ones_own_gets_its_file(tmp_path):
    op = spak.op("mine", {"x": [1, 2, 4, 8], "y": [0, 1]}, restrictions=["x * (y + 1) <= 8"])
    spak.record(tmp_path / "laws", told(op=op))
    assert load(tmp_path / "laws").ops["mine"] == op
    spak.record(tmp_path / "laws", told(op=op, hardware=HardwareName("B200"), tried=GRID[:2]))
    other = spak.op("mine", {"x": [1, 2, 4], "y": [0, 1]})
    refused(tmp_path / "laws", "call yours something else", told(op=other))
    beyond = [Tried({"x": 8, "y": 1}, time_us=1.0)]
    refused(tmp_path / "laws", "they break `x * (y + 1) <= 8`", told(beyond, op=op))


def refused(root: Path, reason: str, what: ToolRun) -> None:
    before = sorted(root.rglob("*")) if root.exists() else []
    with pytest.raises(KgError, match=r".*") as caught:
        spak.record(root, what)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (sorted(root.rglob("*")) if root.exists() else []) == before


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("tried: no trial", {"tried": []}),
        ("at: a time with its distance from UTC", {"at": AT.replace(tzinfo=None)}),
        ("tool: name what measured", {"tool": " "}),
        ("tried[0].configuration: an empty configuration", {"tried": [Tried({}, time_us=1.0)]}),
        ("tried[0]: give a time or why it failed", {"tried": [Tried({"x": 1})]}),
        ("tried[0]: give a time or why it failed", {"tried": [Tried({"x": 1}, time_us=1.0, failure="no")]}),
        ("its time is -1.0", {"tried": [Tried({"x": 1}, time_us=-1.0)]}),
        ("its time is nan", {"tried": [Tried({"x": 1}, time_us=float("nan"))]}),
        ("tried[1].configuration: parameters differ", {"tried": [GRID[0], Tried({"x": 1}, time_us=1.0)]}),
        ("tried[0].stage: where it failed is one of", {"tried": [Tried({"x": 1}, failure="no", stage="correct")]}),
        ("tried[0].x: no number, text", {"tried": [Tried({"x": None}, time_us=1.0)]}),
        ("unknown op 'nothing'", {"op": spak.op("mine", {"x": [1]}, is_a=["nothing"])}),
        ("recorded at 1 us and at 20 us", {"tried": [Tried({"x": 1}, time_us=t) for t in (1.0, 20.0)]}),
        ("mixes kinds of values", {"tried": [Tried({"x": 1}, time_us=1.0, problem={"n": n}) for n in (1, "a")]}),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name_and_leaves_nothing(tmp_path, reason, changes):
    refused(tmp_path / "laws", reason, told(**changes))


def test_laws_that_may_not_be_written_are_not(tmp_path):
    spak.record(tmp_path / "laws", told())
    library = spak.load(tmp_path / "laws")
    with pytest.raises(KgError, match="read-only"):
        spak.record(spak.Library(library.laws, writable=False), told(GRID[:2]))
    assert spak.record(library, told(GRID[:2])).written
