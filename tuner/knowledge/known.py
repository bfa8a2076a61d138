"""Everything known elsewhere about a space, in the form a strategy uses: one column for each thing that says something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spak.kg.space.factors import Codes, Floats, Mask
from spak.tuner.chance import Purpose, stream
from spak.tuner.knowledge.correlation import default_tables, tables
from spak.tuner.knowledge.filling import filled
from spak.tuner.knowledge.source import Source

ENOUGH = 0.5
"""Share of the space that a source must have recorded for correlations to be learnt from it."""

DEFAULT_RESIDUAL = 0.25
"""Variance of log slowdown that sources do not explain, where it cannot be learnt: a factor of 1.6 either way."""

SAME_CODE_WEIGHT = 1.0
"""Weight of a law's column: its penalty is the log slowdown that the law states."""

NEGLIGIBLE = 0.05
"""Share of the weight below which a source is not named as a reason."""


@dataclass(frozen=True)
class Advice:
    """What is no trial, such as a law, says of a space.

    Attributes:
        slower: (N,) which configurations it expects to be slower than the rest.
        log_slowdown: By how much.
    """

    slower: Mask
    log_slowdown: float


@dataclass(frozen=True)
class Knowledge:
    """What is known elsewhere.

    Attributes:
        codes: (N, P) int16, the space it is about.
        cardinalities: (P,).
        labels: (S,) what each column is.
        columns: (S, N) expected log slowdown.
        weights: (S,) how much each counts before any trial.
        tables: (P,) of (V, V): correlation between values of a parameter.
        residual: Variance of log time that the columns are expected to leave unexplained.
    """

    codes: Codes
    cardinalities: tuple[int, ...]
    labels: tuple[str, ...]
    columns: Floats
    weights: Floats
    tables: tuple[Floats, ...]
    residual: float

    @cached_property
    def expected(self) -> Floats:
        """(N,) expected log slowdown before any trial."""
        return np.asarray(self.weights @ self.columns)

    def order(self) -> npt.NDArray[np.int64]:
        """(N,) permutation of the space, best first; ties in canonical order."""
        return np.argsort(self.expected, kind="stable")

    @cached_property
    def means(self) -> Floats:
        """(S,) what each column expects of a configuration drawn at random."""
        return np.asarray(self.columns.mean(axis=1))

    def rows(self, kept: npt.NDArray[np.int64]) -> Knowledge:
        """The same about the configurations `kept` alone."""
        if np.array_equal(kept, np.arange(len(self.codes))):  # of thousands of laws, a copy takes gigabytes
            return self
        return replace(self, codes=self.codes[kept], columns=self.columns[:, kept])


def knowledge(
    codes: Codes,
    cardinalities: Sequence[int],
    sources: Sequence[Source],
    kinship: Sequence[float],
    advice: Mapping[str, Advice] | None = None,
) -> Knowledge:
    """What `sources` (weighted by `kinship`, one positive number each) and `advice` say about a space.

    Advice is by what a person reads. Sampling of large sources is seeded by their number alone: the same files give the
    same knowledge.
    """
    advice = advice or {}
    whole = [source for source in sources if len(source.rows) >= ENOUGH * len(codes)]
    found, residual = default_tables(cardinalities), DEFAULT_RESIDUAL
    if whole:
        rng = stream(len(sources), Purpose.CORRELATIONS)
        found, residual = tables(codes, cardinalities, filled(codes, found, whole, rng))
    columns = np.zeros((len(sources) + len(advice), len(codes)))
    if sources:
        columns[: len(sources)] = filled(codes, found, sources, stream(len(sources), Purpose.COMPLETION))
    for column, told in zip(columns[len(sources) :], advice.values(), strict=True):
        column[told.slower] = told.log_slowdown
    close = np.array(kinship, np.float64)
    weights = close / close.sum() if len(close) else close
    return Knowledge(
        codes=codes,
        cardinalities=tuple(cardinalities),
        labels=(*(source.label for source in sources), *advice),
        columns=columns,
        weights=np.concatenate([weights, np.full(len(advice), SAME_CODE_WEIGHT)]),
        tables=tuple(found),
        residual=residual,
    )


def leading(labels: Sequence[str], weights: Floats) -> list[tuple[str, float]]:
    """The largest of `labels`, each with its share of the positive weight, three at most; none if none has any."""
    positive = np.maximum(weights, 0.0)
    if not positive.sum():
        return []
    shares = positive / positive.sum()
    return [(labels[s], float(shares[s])) for s in np.argsort(-shares)[:3] if shares[s] >= NEGLIGIBLE]


def named(labels: Sequence[str], weights: Floats) -> str:
    """The same in words."""
    return ", ".join(f"{label} {share:.0%}" for label, share in leading(labels, weights))
