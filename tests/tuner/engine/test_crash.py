"""A search killed at any moment leaves whole law files and every finished trial, and its resumption completes."""

from __future__ import annotations

import pytest

from bench.crash import STAMP, Place, kills, left, table, undisturbed, wrong


@pytest.mark.slow
def test_killed_while_searching_and_while_writing(tmp_path):
    """Three kills at moments drawn from a seed, in both phases; `python -m bench.crash` makes a hundred."""
    found = kills(3, 7, tmp_path)
    assert all(one.is_good for one in found), table(found)
    assert {"search", "test"} <= {one.phase for one in found}
    assert sum(one.acknowledged for one in found) > 0


def test_the_bench_would_notice_a_torn_file_and_missing_evidence(tmp_path):
    """What it looks for can be seen: a file cut short is torn, a law without the run's entry is named."""
    usual = undisturbed(tmp_path)
    place = Place(tmp_path)
    assert usual.laws
    assert usual.tests > 0
    assert wrong(place, usual) == ""
    own = f"  - run: measured-h200-matmul-m2048-{STAMP}"
    path = next(path for path in place.laws.glob("sm_90/matmul/*.yaml") if own in path.read_text())
    text = path.read_text()
    path.write_text(text[: text.index(own)].removesuffix("evidence:\n"))
    assert "0 entries of" in wrong(place, usual)
    path.write_text(text[: len(text) // 2])
    assert left(place, usual)[0] == 1
