"""Part of a space that is too large to have an opinion on each of its configurations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spak.kg.space.space import Space
from spak.tuner.knowledge.likeness import Rows
from spak.tuner.knowledge.source import Source

MAX_PART = 1 << 16
"""Configurations of a part, unless more were recorded or tried: a model of them opens in some seconds."""

BEST = 8
"""Configurations of each source whose neighbours are in the part."""

STEPS = 2
"""Parameters that such a neighbour may differ in."""


def part(
    space: Space,
    sources: Sequence[Source],
    rng: np.random.Generator,
    tried: Sequence[int] = (),
    most: int = MAX_PART,
) -> Space:
    """What of `space` a model is asked about; all of it if it is small enough.

    The default; everything that sources recorded, which is what a model learns from; what differs little from their
    best, where it expects most; and as many again at random, which is all of a part that nothing is known of.
    What a resumed search has `tried` is added, whatever was recorded since; it leaves the rest as it was drawn.
    No more than `most`, unless more were recorded or tried.
    """
    if len(space) <= most:
        return space
    default = [] if space.default_index is None else [space.default_index]
    recorded = np.unique(np.concatenate([np.array(default, np.int64), *(source.rows for source in sources)]))
    best = [source.rows[np.argsort(source.slowdown, kind="stable")[:BEST]] for source in sources]
    near = np.unique(np.concatenate([np.array(default, np.int64), *best]))
    for _ in range(STEPS):
        near = _limited(_neighbours(space, near), most // 2, rng)
    known = np.union1d(recorded, near)
    others = rng.choice(len(space), max(0, most - len(known)), replace=False, shuffle=False)
    return space.part(np.concatenate([known, others, np.array(tried, np.int64)]))


def same_part(space: Space, other: Space, tried: Sequence[int] = ()) -> Space:
    """What of `space` is in `other`, a part of the space of the same op for another target, its default and what was `tried`.

    So what one of them tries is known to the other one too.
    """
    rows = space.find(other.codes)
    default = [] if space.default_index is None else [space.default_index]
    return space.part(np.concatenate([np.array([*default, *tried], np.int64), rows[rows >= 0]]))


def _neighbours(space: Space, rows: Rows) -> Rows:
    """`rows` and every configuration that differs from one of them in one parameter."""
    codes, found = space.at(rows), [rows]
    for parameter, size in enumerate(space.cardinalities):
        for value in range(size):
            changed = codes.copy()
            changed[:, parameter] = value
            found.append(space.find(changed))
    return np.unique(np.concatenate([near[near >= 0] for near in found]))


def _limited(rows: Rows, most: int, rng: np.random.Generator) -> Rows:
    return rows if len(rows) <= most else rng.choice(rows, most, replace=False, shuffle=False)
