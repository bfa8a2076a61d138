"""The table on frozen sweeps says what the rows give."""

from __future__ import annotations

import json

import pytest

from bench import predict_frozen


def row(case: str, first: float, top: float) -> dict[str, object]:
    return {
        "case": case,
        "trials": 108,
        "rank_of_best": 3,
        "first": first,
        "best_of_top": top,
        "correlation": 0.9,
        "first_by_chance": 0.25,
        "top_by_chance": 0.5,
    }


def test_shares_count_each_kind_of_sweep_and_all():
    """Exactly 10 and 5 % are within."""
    rows = [
        row("h200-fmha-backward-d64", 1.10, 1.05),
        row("h200-fmha-backward-d128", 1.11, 1.06),
        row("h100-fmha-d64", 1.0, 1.0),
    ]
    text = predict_frozen.page(rows)
    assert "| fmha-backward, H200 | 2 | 1 (50 %); by chance 0.5 | 1 (50 %); by chance 1.0 |" in text
    assert "| fmha, H100 | 1 | 1 (100 %); by chance 0.2 | 1 (100 %); by chance 0.5 |" in text
    assert "| all | 3 | 2 (67 %); by chance 0.8 | 2 (67 %); by chance 1.5 |" in text
    assert "| fmha-backward, H200 | d128 | 108 | 3 | 11.0 % | 6.0 % | 0.90 |" in text


def test_a_run_that_is_no_sweep_is_refused():
    """By its name."""
    with pytest.raises(ValueError, match="rtx5070-fmha"):
        predict_frozen.page([row("rtx5070-fmha-d64", 1.0, 1.0)])


def test_the_page_is_what_the_kept_rows_give():
    """Nobody typed a number."""
    text = predict_frozen.PAGE.read_text()
    rows = json.loads(predict_frozen.RESULT.read_text())["rows"]
    assert predict_frozen.between(text, "frozen", predict_frozen.page(rows)) == text
