"""Statistics of scores against small ones that are worked out by hand or row by row."""

from __future__ import annotations

import math

import pytest
import torch

from bench.attention_scores import LOG2_E, Tiles, score_statistics
from spak.kernels.attention.inputs import draw

FITS = 60_000.0
TILES = Tiles(16, 16)
PROBLEM = {"batch": 2, "heads": 2, "kv_heads": 1, "seq_q": 128, "seq_kv": 128, "head_dim": 64, "dtype": "fp16"}


def with_scores(s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Q and K (1, 1, S, S) whose scaled scores, in powers of two, are s (S, S)."""
    width = s.shape[0]
    return (s / LOG2_E * math.sqrt(width)).reshape(1, 1, width, width), torch.eye(width).reshape(1, 1, width, width)


def test_flat_scores_grow_nothing_and_raise_nothing():
    found = score_statistics(*with_scores(torch.zeros(64, 64)), causal=False, tiles=TILES, fits=FITS)
    assert found.std == 0.0
    assert set(found.growth.values()) == set(found.raised.values()) == set(found.exceeding.values()) == {0.0}
    assert found.fallback == 0.0


@pytest.mark.parametrize(("last", "over_16", "over_26"), [(12.0, 0.0, 0.0), (20.0, 0.25, 0.0), (30.0, 0.25, 0.25)])
def test_one_rows_growth_counts_for_its_whole_query_tile(last, over_16, over_26):
    s = torch.zeros(64, 64)
    s[20, 40] = last
    found = score_statistics(*with_scores(s), causal=False, tiles=TILES, fits=FITS)
    assert found.exceeding == {"16": over_16, "26": over_26}
    assert found.fallback == over_16
    assert found.growth["1"] == pytest.approx(last)
    assert found.growth["0.5"] == 0.0
    assert found.raised == {"0": 1 / 12, "4": 1 / 12, "8": 1 / 12}, (
        "one of four query tiles, at one of its three more keys tiles"
    )


def test_many_weights_together_overflow_where_none_does_alone():
    s = torch.zeros(64, 64)
    s[0, 16:] = 13.5
    found = score_statistics(*with_scores(s), causal=False, tiles=TILES, fits=FITS)
    assert (found.fallback, found.exceeding["16"]) == (0.25, 0.0), "6 weights a lane of 2^13.5 each"
    alone = score_statistics(*with_scores(s), causal=False, tiles=Tiles(16, 16, 16), fits=FITS)
    assert alone.fallback == 0.0


def test_a_threshold_counts_from_the_maximum_that_was_last_taken():
    s = torch.zeros(64, 64)
    for tile, height in enumerate((0.0, 5.0, 9.0, 12.0)):
        s[:, 16 * tile] = height
    found = score_statistics(*with_scores(s), causal=False, tiles=TILES, fits=FITS)
    assert found.raised == {"0": 1.0, "4": pytest.approx(2 / 3), "8": pytest.approx(1 / 3)}


def test_what_a_mask_hides_counts_nowhere():
    s = torch.triu(torch.full((64, 64), 100.0), diagonal=1)
    found = score_statistics(*with_scores(s), causal=True, tiles=TILES, fits=FITS)
    assert found.growth["1"] == 0.0
    assert found.std == 0.0
    assert found.raised["0"] == 0.0


def raises(s: torch.Tensor, limit: float) -> tuple[int, int]:
    """The policy as its words say it, loop by loop, over scores (S, S) in powers of two."""
    acted = visited = 0
    for first in range(0, s.shape[0], 16):
        rows = [s[first + i].tolist() for i in range(16)]
        m = [max(row[:16]) for row in rows]
        for start in range(16, s.shape[1], 16):
            now = [max(row[start : start + 16]) for row in rows]
            if max(now) == -math.inf:
                continue
            visited += 1
            if any(b - a > limit for a, b in zip(m, now, strict=True)):
                acted += 1
                m = [max(a, b) for a, b in zip(m, now, strict=True)]
    return acted, visited


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", ["std-6", "rising"])
def test_drawn_inputs_as_a_plain_loop_counts_them(name, causal):
    inputs = draw(name, PROBLEM, seed=1, device="cpu")
    found = score_statistics(inputs.q, inputs.k, causal=causal, tiles=TILES, fits=FITS)
    counts = {"0": [0, 0], "4": [0, 0], "8": [0, 0]}
    for b in range(2):
        for h in range(2):
            s = inputs.q[b, h].float() @ inputs.k[b, 0].float().T * (LOG2_E / 8.0)
            if causal:
                s = s.masked_fill(torch.ones(128, 128).triu(1).bool(), -math.inf)
            for limit, count in counts.items():
                for i, number in enumerate(raises(s, float(limit))):
                    count[i] += number
    assert found.raised == {limit: acted / visited for limit, (acted, visited) in counts.items()}
    assert 0 < found.raised["8"] <= found.raised["4"] <= found.raised["0"]
    if name == "std-6":
        assert found.std == pytest.approx(6.0, rel=0.1)


def test_a_tile_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match=r"tiles: .* does not divide 64 queries and 64 keys"):
        score_statistics(*with_scores(torch.zeros(64, 64)), causal=False, tiles=Tiles(48, 16), fits=FITS)
