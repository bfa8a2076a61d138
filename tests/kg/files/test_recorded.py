"""What is recorded of an op is told by problem size, from the run files as they are, and shown by query, export and first."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

import spak
from spak.cli.render.query import table
from spak.cli.render.short_answer import short_table
from spak.cli.render.text import Pen
from spak.kg.errors import InvalidFilesError
from spak.kg.files import loader
from spak.kg.files.recorded import recorded_sizes

AT = datetime(2026, 1, 1, tzinfo=UTC)


def told(hw, times, *, checked=True, problem=None, failed=0):
    tried = [spak.Tried({"x": x}, time_us=float(time), problem=problem or {}) for x, time in enumerate(times)]
    tried += [spak.Tried({"x": 100 + x}, failure="out of memory", problem=problem or {}) for x in range(failed)]
    return spak.ToolRun("blur", spak.HardwareName(hw, arch="arch"), tried, "a tuner", AT, checked=checked)


def sizes(root, hw, op="blur"):
    return recorded_sizes(spak.load(root).laws, hw, op)


def test_runs_of_one_size_are_told_together_and_the_fastest_checked_one_is_the_best(tmp_path):
    spak.record(tmp_path, told("a", [5.0, 3.0], failed=2))
    spak.record(tmp_path, told("a", [4.0, 1.0, 6.0], checked=False))
    spak.record(tmp_path, told("b", [2.0]))
    (size,) = sizes(tmp_path, "a")
    assert (size.trials, size.failures, size.best_us, size.best, size.tier) == (7, 2, 3.0, {"x": 1}, "measured")
    assert len(size.runs) == 2
    assert [one.hw for one in sizes(tmp_path, "arch")] == ["a", "b"]


def test_problem_sizes_are_told_apart_most_trials_first(tmp_path):
    spak.record(tmp_path, told("a", [5.0, 3.0], problem={"n": 1}))
    spak.record(tmp_path, told("a", [4.0, 2.0, 6.0], problem={"n": 2}))
    assert [(size.problem, size.best_us) for size in sizes(tmp_path, "a")] == [({"n": 2}, 2.0), ({"n": 1}, 3.0)]


@pytest.mark.parametrize("packed", [False, True])
def test_a_packed_run_is_found_too_and_what_only_failed_is_not_a_best(tmp_path, packed):
    spak.record(tmp_path, told("a", range(1, 4000 if packed else 4)))
    spak.record(tmp_path, told("b", [], failed=3))
    assert any(path.suffix == ".gz" for path in (tmp_path / "evidence").iterdir()) == packed
    assert [size.best_us for size in sizes(tmp_path, "a")] == [1.0]
    assert sizes(tmp_path, "b") == ()


def test_a_packed_run_that_is_damaged_is_a_problem_of_its_file(tmp_path):
    """Whoever looks only at its head as well: what it is about cannot be seen, so it is read, and named."""
    spak.record(tmp_path, told("a", range(1, 4000)))
    (path,) = (tmp_path / "evidence").iterdir()
    packed = bytearray(path.read_bytes())
    packed[20:60] = bytes(40)
    path.write_bytes(packed)
    with pytest.raises(InvalidFilesError, match=path.name):
        sizes(tmp_path, "b")


def test_of_many_runs_some_are_held_and_all_are_what_they_were(tmp_path, monkeypatch):
    """One that was let go of is read again, and one that changed meanwhile is refused."""
    monkeypatch.setattr(loader, "MAX_RUNS_HELD", 2)
    for x in range(1, 5):
        spak.record(tmp_path, told("a", [float(x)]))
    laws = loader.load(tmp_path)
    first = [laws.run(run) for run in laws.run_ids]
    assert len(laws._runs) == 2
    assert [laws.run(run) for run in laws.run_ids] == first
    path = laws.path("run", laws.run_ids[0])
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(InvalidFilesError, match="changed while it was being read"):
        laws.run(laws.run_ids[0])


def test_query_shows_the_best_ready_to_paste_in_80_columns(tmp_path):
    for n in range(1, 6):
        spak.record(tmp_path, told("a", [1500.0 * n, 3000.0 * n], problem={"n": n}, failed=1))
    library = spak.load(tmp_path)
    answer = library.query(hw="a", op="blur")
    text = table(answer, library.laws, Pen(colour=False))
    assert "15 recorded trials on a at 5 problem sizes · 5 failed" in text
    assert '  best 1.5 ms · n=1\nbest = {"x": 0}\n' in text
    assert "... and 2 more problem sizes" in text
    assert "No law yet: tune learn blur looks for some" in text
    assert max(map(len, text.splitlines())) <= 80
    brief = library.brief(hw="a", op="blur")
    assert brief.recorded == answer.recorded
    assert '  best 1.5 ms · n=1\nbest = {"x": 0}\n  ... and 4 more' in short_table(
        brief, library.laws, Pen(colour=False)
    )
    assert library.restrictions("blur", hw="a").recorded == answer.recorded


def test_first_starts_from_its_own_best_though_its_record_does_not_name_the_size(tmp_path):
    spak.record(tmp_path, told("a", [9.0, 1.0, 5.0]))
    for place in range(3):
        spak.record(tmp_path, told(f"b{place}", [1.0 + place, 9.0, 8.0], problem={"n": 64}))
    found = spak.first(spak.load(tmp_path).laws, spak.HardwareName("a"), "blur", {"n": 64})
    assert found.best(2) == [{"x": 1}, {"x": 2}]
