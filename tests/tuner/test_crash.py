"""A search killed at any moment leaves whole law files and every finished trial, and its resumption completes."""

from __future__ import annotations

import pytest

from bench.crash import WRITING, Child, kills, left, prepare, table, wrong


@pytest.mark.slow
def test_killed_while_searching_and_while_writing(tmp_path):
    """Three kills at moments drawn from a seed, in both phases; `python -m bench.crash` makes a hundred."""
    found = kills(3, 7, tmp_path)
    assert all(one.is_good for one in found), table(found)
    assert {one.phase for one in found} == {"search", "write"}
    assert sum(one.acknowledged for one in found) > 0


def test_the_bench_would_notice_a_torn_file_and_missing_evidence(tmp_path):
    """What it looks for can be seen: a file cut short is torn, a law without the run's entry is named."""
    place = prepare(tmp_path)
    one = Child.start(place)
    assert one.end() == 0
    assert one.said[WRITING] == 1
    assert wrong(place) == ""
    own = "  - run: measured-h200-matmul-m2048-20260101t000000"
    path = next(path for path in place.laws.glob("sm_90/matmul/*.yaml") if own in path.read_text())
    text = path.read_text()
    path.write_text(text[: text.index(own)])
    assert "0 entries of the run" in wrong(place)
    path.write_text(text[: len(text) // 2])
    assert left(place)[0] == 1
