"""What is recorded of an op is told by problem size, from the run files as they are, and shown by query, export and first."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

import spak
from spak.cli.render.query import table
from spak.cli.render.short_answer import short_table
from spak.cli.render.text import Pen
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
    assert '  best 1.5 ms · n=1\nbest = {"x": 0}\n  ... and 4 more' in short_table(
        answer, library.laws, Pen(colour=False)
    )
    assert library.restrictions("blur", hw="a").recorded == answer.recorded


def test_first_starts_from_its_own_best_though_its_record_does_not_name_the_size(tmp_path):
    spak.record(tmp_path, told("a", [9.0, 1.0, 5.0]))
    for place in range(3):
        spak.record(tmp_path, told(f"b{place}", [1.0 + place, 9.0, 8.0], problem={"n": 64}))
    found = spak.first(spak.load(tmp_path).laws, spak.HardwareName("a"), "blur", {"n": 64})
    assert found.best(2) == [{"x": 1}, {"x": 2}]
