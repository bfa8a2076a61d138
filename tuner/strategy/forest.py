"""A model-based strategy: scikit-learn's extremely randomised trees on log time, lower confidence bound.

Why this library and model: docs/decisions/0082-forest-strategy.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spak.tuner.errors import TunerError
from spak.tuner.strategy.asking import Asking
from spak.tuner.strategy.base import Observation, SpaceView

INITIAL = 16
"""Trials before the first model: from the known order in turn with random ones."""

TREES = 32
CANDIDATES = 2048
"""Most configurations a model is asked about at once, drawn anew each time."""

OPTIMISM = 1.0
"""Standard deviations (between trees) that the bound lies below the mean."""

GROWTH = 1.25
"""A new model once the number of trials grew by this factor: its cost stays proportional to the number of trials."""


class Forest(Asking):
    """Every other proposal from the model, every fourth at random once there is a model."""

    name = "forest"

    def start(self, space: SpaceView, rng: np.random.Generator) -> None:
        """Begin with the known order and random configurations."""
        try:
            from sklearn.ensemble import ExtraTreesRegressor  # noqa: PLC0415 - half a second to import
        except ImportError:
            raise TunerError("strategy forest needs scikit-learn; pip install 'spak[model]'") from None
        super().start(space, rng)
        self._new_model = ExtraTreesRegressor
        self._codes = space.codes
        self._rng = rng
        self._seen: list[tuple[int, float | None]] = []
        self._fitted = 0
        self._queue: list[int] = []
        self._turn = 0

    def tell(self, observations: Sequence[Observation]) -> None:
        """Remember finished trials."""
        super().tell(observations)
        for seen in observations:
            self._seen.append((seen.index, None if seen.objective is None else math.log(seen.objective)))

    def _next(self) -> tuple[int, str]:
        self._turn += 1
        if len(self._seen) < INITIAL:
            return (self._by_order() if self._turn % 2 else None) or self._by_chance()
        if self._turn % 4:
            if len(self._seen) >= GROWTH * self._fitted:
                self._fit()
            while self._queue:
                row = self._queue.pop()
                if not self._asked[row]:
                    return row, f"model of {self._fitted} trials here"
        return self._by_chance()

    def _fit(self) -> None:
        """Fit a model to all trials and queue candidates, the best last."""
        times = [value for _, value in self._seen if value is not None]
        self._fitted = len(self._seen)
        if not times:
            return
        worst = min(times) + math.log(10)  # a failure is as bad as ten times the best
        rows = [row for row, _ in self._seen]
        target = [worst if value is None else min(value, worst) for _, value in self._seen]
        model: Any = self._new_model(
            n_estimators=TREES, min_samples_leaf=1, random_state=int(self._rng.integers(2**31)), n_jobs=1
        )
        model.fit(self._codes[rows].astype(np.float32), target)
        open_rows = np.flatnonzero(~self._asked)
        drawn = self._rng.choice(open_rows, min(CANDIDATES, len(open_rows)), replace=False)
        bound = _bound(model, self._codes[drawn].astype(np.float32))
        self._queue = [int(row) for row in drawn[np.argsort(-bound, kind="stable")]]


def _bound(model: Any, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """(n,) lower confidence bound of log time over the model's trees."""
    votes = np.array([tree.predict(features) for tree in model.estimators_])  # (TREES, n)
    return np.asarray(votes.mean(axis=0) - OPTIMISM * votes.std(axis=0))
