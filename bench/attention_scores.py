"""What a query tile's scores do to an online softmax: how far maxima grow, how often a policy has to act.

Computed with torch from Q and K, outside of any timing; no kernel takes part. Powers of two, as the kernels count.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

LOG2_E = 1.0 / math.log(2.0)
MOST_SCORES = 1 << 26
"""Scores held at once: 256 MB of fp32, and a few times that for what is made of them."""
QUANTILES = (0.5, 0.9, 0.99, 1.0)
GROWTHS = (16, 26)
"""Powers of two: where a weight leaves fp16 if the first maximum is 2^0, and if there is head room of 2^10."""
RAISE_BY = (0, 4, 8)


@dataclass(frozen=True)
class Tiles:
    """How a kernel cuts scores up: query rows, keys, and keys apart whose weights one partial row sum holds."""

    tile_m: int
    tile_n: int
    sum_lanes: int = 8


@dataclass(frozen=True)
class ScoreStatistics:
    """Of the scores of all heads that were looked at.

    Attributes:
        std: Of scaled scores in natural units, about each row's own mean.
        growth: Quantile -> powers of two by which a row's maximum exceeds that of its first key tile.
        exceeding: Powers of two -> share of query tiles with a row whose maximum grows by more.
        fallback: Share of query tiles with a partial row sum, relative to the first key tile's maximum, that reaches `fits`.
        raised: Threshold in powers of two -> share of key tiles after a query tile's first at which a maximum that is
            raised for the whole query tile, once some row's exceeds it by more than the threshold, is raised.
    """

    std: float
    growth: dict[str, float]
    exceeding: dict[str, float]
    fallback: float
    raised: dict[str, float]
    tiles: dict[str, int]


def score_statistics(q: Any, k: Any, *, causal: bool, tiles: Tiles, fits: float) -> ScoreStatistics:
    """Statistics over every head of Q (B, H, S, D) and K (B, KV, S, D); S a multiple of both tiles.

    Raises:
        ValueError: If a tile does not divide the sequence.
    """
    import torch

    if q.shape[2] % tiles.tile_m or k.shape[2] % tiles.tile_n or tiles.tile_n % tiles.sum_lanes:
        raise ValueError(f"tiles: {tiles} does not divide {q.shape[2]} queries and {k.shape[2]} keys")
    growths, squares, fallbacks, exceeds = [], [], [], {limit: [] for limit in GROWTHS}
    raised = {limit: [0, 0] for limit in RAISE_BY}
    for s in _scores(q, k, causal=causal, tile_m=tiles.tile_m):  # (rows, S)
        maxima = s.unflatten(1, (-1, tiles.tile_n)).amax(dim=2)  # (rows, key tiles); -inf where nothing is seen
        growth = maxima.amax(dim=1) - maxima[:, 0]
        growths.append(growth)
        of_tile = growth.unflatten(0, (-1, tiles.tile_m)).amax(dim=1)
        for limit, found in exceeds.items():
            found.append(of_tile > limit)
        lanes = torch.exp2(s - maxima[:, :1]).unflatten(1, (-1, tiles.sum_lanes)).sum(dim=1).amax(dim=1)
        fallbacks.append((lanes.unflatten(0, (-1, tiles.tile_m)) >= fits).any(dim=1))
        squares.append(_row_variance(s))
        for limit, counts in raised.items():
            acted, visited = _raises(maxima.unflatten(0, (-1, tiles.tile_m)), limit)
            counts[0] += acted
            counts[1] += visited
    every = torch.cat(growths)
    at = {f"{x:g}": float(torch.quantile(every[:: max(1, len(every) >> 20)], x)) for x in QUANTILES[:-1]}
    return ScoreStatistics(
        std=float(torch.cat(squares).mean().sqrt()) / LOG2_E,
        growth={**at, "1": float(every.max())},
        exceeding={str(limit): float(torch.cat(found).double().mean()) for limit, found in exceeds.items()},
        fallback=float(torch.cat(fallbacks).double().mean()),
        raised={str(limit): acted / max(1, visited) for limit, (acted, visited) in raised.items()},
        tiles=asdict(tiles),
    )


def _scores(q: Any, k: Any, *, causal: bool, tile_m: int) -> Iterator[Any]:
    """Scaled scores of a head's rows, as many whole query tiles at once as `MOST_SCORES` lets: (rows, S), powers of two."""
    import torch

    batch, heads, seq_q, width = q.shape
    seq_kv = k.shape[2]
    step = max(tile_m, min(seq_q, MOST_SCORES // seq_kv) // tile_m * tile_m)
    keys = torch.arange(seq_kv, device=q.device)
    for b in range(batch):
        for h in range(heads):
            wide = k[b, h * k.shape[1] // heads].float().T * (LOG2_E / math.sqrt(width))
            for first in range(0, seq_q, step):
                s = q[b, h, first : first + step].float() @ wide
                if causal:
                    rows = torch.arange(first, first + s.shape[0], device=q.device)
                    s = s.masked_fill(keys[None, :] > rows[:, None], float("-inf"))
                yield s


def _row_variance(s: Any) -> Any:
    """(rows): variance of what each row sees about its own mean."""
    import torch

    seen = s.isfinite()
    number = seen.sum(dim=1)
    finite = torch.where(seen, s, 0.0)
    mean = finite.sum(dim=1) / number
    return torch.where(seen, (finite - mean[:, None]) ** 2, 0.0).sum(dim=1) / number


def _raises(maxima: Any, limit: float) -> tuple[int, int]:
    """(key tiles that raised, key tiles visited) after the first, over query tiles: maxima (query tiles, tile_m, key tiles)."""
    import torch

    m = maxima[:, :, 0]
    acted = torch.zeros((), dtype=torch.int64, device=maxima.device)
    for j in range(1, maxima.shape[2]):
        now = maxima[:, :, j]
        high = ((now - m) > limit).any(dim=1)  # (query tiles)
        m = torch.where(high[:, None], torch.maximum(m, now), m)
        acted += high.sum()
    return int(acted), int((maxima[:, :, 1:].amax(dim=1) > float("-inf")).sum())
