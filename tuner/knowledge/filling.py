"""Sources that were recorded in part, completed: one Gaussian process over all of them, a common part and their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spak.kg.space.factors import Codes, Floats
from spak.tuner.knowledge.likeness import Likeness
from spak.tuner.knowledge.source import Source

COMMON, OWN, OFFSET, NOISE = 0.5, 0.25, 0.1, 0.03
"""Variances of log slowdown: shared by all sources, of one alone, of the mean, and unexplained. Orders of magnitude of
what public records show; the result depends weakly on them."""

MAX_POINTS = 1200
"""Most trials used, an equal share of each source: the cost grows with their cube (0.1 s at 1200)."""


MAX_COMPARED = 30_000_000
"""Most configurations times trials compared, so that a space of a million takes seconds; never fewer than `FEWEST_POINTS`."""

FEWEST_POINTS = 128

AT_ONCE = 1 << 14
"""Configurations predicted at once: bounds the memory."""


def filled(codes: Codes, tables: Sequence[Floats], sources: Sequence[Source], rng: np.random.Generator) -> Floats:
    """(S, N) log slowdown of every configuration on every source: as recorded, else as predicted."""
    columns = np.full((len(sources), len(codes)), np.nan)
    for s, source in enumerate(sources):
        columns[s, source.rows] = source.slowdown
    missing = np.isnan(columns)
    if missing.any():
        predicted = _predicted(codes, tables, sources, rng)
        columns[missing] = np.maximum(predicted[missing], 0.0)
    return columns


def _predicted(codes: Codes, tables: Sequence[Floats], sources: Sequence[Source], rng: np.random.Generator) -> Floats:
    most = min(MAX_POINTS, max(FEWEST_POINTS, MAX_COMPARED // len(codes)))
    share = max(1, most // len(sources))
    picks = [
        rng.permutation(len(source.rows))[:share] if len(source.rows) > share else np.arange(len(source.rows))
        for source in sources
    ]
    rows = np.concatenate([source.rows[pick] for source, pick in zip(sources, picks, strict=True)])  # (n,)
    means = np.array([source.slowdown.mean() for source in sources])
    owner = np.repeat(np.arange(len(sources)), [len(pick) for pick in picks])  # (n,)
    values = np.concatenate([source.slowdown[pick] for source, pick in zip(sources, picks, strict=True)])
    alike = Likeness(codes[rows], tables).to_each(codes[rows])  # (n, n)
    same = owner[:, None] == owner[None, :]
    covariance = COMMON * alike + OWN * alike * same + OFFSET + NOISE * np.eye(len(rows))
    weights = np.linalg.solve(covariance, values - means[owner])  # (n,)
    shares = np.stack([weights * (COMMON + OWN * (owner == s)) for s in range(len(sources))], axis=1)  # (n, S)
    predicted = np.empty((len(sources), len(codes)))
    for start in range(0, len(codes), AT_ONCE):
        likeness = Likeness(codes[start : start + AT_ONCE], tables).to_each(codes[rows])  # (n, chunk)
        predicted[:, start : start + AT_ONCE] = shares.T @ likeness
    return np.asarray(predicted + means[:, None] + OFFSET * weights.sum())
