"""The table of what laws explain is computed from this repository's laws and sweeps."""

from __future__ import annotations

from pathlib import Path

from bench.law_shares import TRUSTED, every, main
from tests.shipped import LAWS

PAGE = Path(__file__).parents[2] / "docs/benchmarks-laws.md"


def test_no_law_names_what_is_near_the_best_and_none_is_idle():
    """Of the laws that count, each explains something, and the first ten explain whatever all do, of every kernel."""
    rows = list(every(LAWS, TRUSTED))
    assert {(op, hw, one.aspect) for op, hw, one in rows} >= {("fmha", "sm_90", "time"), ("matmul", "sm_90", "time")}
    for op, hw, one in rows:
        assert one.near_named == 0, (op, hw, one.aspect)
        assert one.by(10) == one.share, (op, hw, one.aspect)
        assert all(law.right for law in one.laws)


def test_it_prints_a_line_a_kernel_and_then_law_by_law(capsys):
    assert main(["--op", "matmul", "--hw", "sm_90"]) == 0
    out = capsys.readouterr().out
    assert "| matmul | sm_90 | time |" in out
    assert "matmul on sm_90, compiled code" in out
    assert main(["--op", "matmul", "--hw", "sm_90", "--summary"]) == 0
    assert "compiled code\n" not in capsys.readouterr().out
