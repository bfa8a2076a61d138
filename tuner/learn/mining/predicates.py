"""Short predicates over parameters, problem sizes and compiled features, as text and as masks over a table's cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from spak.kg.evidence.table import Bools, TrialTable, problem_text
from spak.kg.model.base import Scalar
from spak.kg.space.factors import Floats

PRODUCT_PARAMETERS = 3
"""Products are formed of pairs of at most this many parameters; more would only multiply predicates."""

MAX_PRODUCT_LEVELS = 12
"""Thresholds tried of one product: an op of ours has at most ten, one with sixteen block sizes has sixty."""

FEATURE_QUANTILES = (0.25, 0.5, 0.75)
"""Thresholds tried for a compiled feature besides "more than none": round numbers nobody chose after the fact."""

REPEATS_OF_A_KIND = 2
"""A problem parameter splits laws only if each of its values was seen at two problem sizes or more: then it names a
kind of problem (causal, head size); a size seen once is what a law should generalise over."""


@dataclass(frozen=True)
class Literal:
    """One comparison.

    Attributes:
        text: In the expression language of laws.
        names: What it speaks about; two literals of one conjunction never compare the same name the same way.
        kind: `parameter`, `feature`, `problem`.
        mask: (S, N) where it is true; cells where it is unknown are false.
    """

    text: str
    names: tuple[str, ...]
    kind: str
    mask: Bools


def numeric(values: Iterable[Scalar | None]) -> bool:
    """Whether all are numbers."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _parameter_literals(table: TrialTable) -> Iterator[Literal]:
    size = len(table.problems)
    for name, values in table.parameters.items():
        if len(values) < 2:  # noqa: PLR2004 - an axis with one value says nothing
            continue
        codes = table.column(name)
        for code, value in enumerate(values):
            yield Literal(f"{name} == {value!r}", (name,), "parameter", np.tile(codes == code, (size, 1)))
            if numeric(values) and 0 < code < len(values) - 1:
                yield Literal(f"{name} >= {value}", (name,), "parameter", np.tile(codes >= code, (size, 1)))
            if numeric(values) and code > 1:
                yield Literal(f"{name} <= {values[code - 1]}", (name,), "parameter", np.tile(codes < code, (size, 1)))


def _product_literals(table: TrialTable, tiles: tuple[str, ...] | None) -> Iterator[Literal]:
    """`tile_m * tile_n >= X`: resources grow with the area of a tile, so its product is a natural axis."""
    sizes = [n for n, v in table.parameters.items() if numeric(v) and len(v) > 1 and (tiles is None or n in tiles)]
    size = len(table.problems)
    for first, second in combinations(sizes[:PRODUCT_PARAMETERS], 2):
        left = np.array(table.parameters[first], dtype=float)[table.column(first)]
        right = np.array(table.parameters[second], dtype=float)[table.column(second)]
        product = left * right
        for sign, compared in ((">=", np.greater_equal), ("<=", np.less_equal)):
            for level in _spread(np.unique(product)[1:-1]):
                text = f"{first} * {second} {sign} {level:g}"
                yield Literal(text, (first, second), "parameter", np.tile(compared(product, level), (size, 1)))


def _spread(levels: Floats) -> Floats:
    """At most `MAX_PRODUCT_LEVELS` of `levels`, ascending, evenly spaced among them."""
    count = min(len(levels), MAX_PRODUCT_LEVELS)
    return levels[np.linspace(0, len(levels) - 1, count).round().astype(int)] if count else levels


def _feature_literals(table: TrialTable, usable: tuple[str, ...]) -> Iterator[Literal]:
    for name in usable:
        values: Floats | None = table.features.get(name)
        if values is None or not np.isfinite(values).any():
            continue
        known = values[np.isfinite(values)]
        if known.min() == 0 < known.max():
            yield Literal(f"{name} > 0", (name,), "feature", values > 0)
        for level in sorted({float(level) for level in np.quantile(known, FEATURE_QUANTILES, method="nearest")}):
            if known.min() < level:
                yield Literal(f"{name} >= {level:g}", (name,), "feature", values >= level)
            if level < known.max():
                yield Literal(f"{name} <= {level:g}", (name,), "feature", values <= level)


def _problem_literals(table: TrialTable) -> Iterator[Literal]:
    sizes = {problem_text(problem): problem for problem in table.problems}  # several devices may share one
    for name in sorted({name for problem in table.problems for name in problem}):
        counts = Counter(problem.get(name, "") for problem in sizes.values())
        if len(counts) < 2 or min(counts.values()) < REPEATS_OF_A_KIND:  # noqa: PLR2004 - one value says nothing
            continue
        for value in sorted(counts, key=str):
            rows = np.array([[problem.get(name, "") == value] for problem in table.problems])
            yield Literal(f"{name} == {value!r}", (name,), "problem", np.broadcast_to(rows, table.time.shape))


def literals(
    table: TrialTable,
    *,
    features: tuple[str, ...] = (),
    tiles: tuple[str, ...] | None = None,
    relevant: Bools | None = None,
) -> tuple[Literal, ...]:
    """Every comparison worth trying, without those always or never true where something was tried.

    Args:
        table: Trials.
        features: Compiled features to speak of.
        tiles: Parameters whose products are compared too; None: any number.
        relevant: (S, N) what counts as tried; None: what was timed or failed.
    """
    relevant = table.observed | table.failed if relevant is None else relevant
    found = [
        *_parameter_literals(table),
        *_product_literals(table, tiles),
        *_feature_literals(table, features),
        *_problem_literals(table),
    ]
    return tuple(literal for literal in found if 0 < (literal.mask & relevant).sum() < relevant.sum())
