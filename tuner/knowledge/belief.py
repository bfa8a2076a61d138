"""What is believed about each configuration's time: knowledge from elsewhere, corrected by every trial.

log time = unknown offset + sum of (weight x column) + what is particular to this target. The weights start at the
kinship and are uncertain; the particular part is alike for configurations that differ little. All of it is one Gaussian
process, updated exactly and one trial at a time.

Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2.7 (explicit basis functions) and A.3 (inverse of a
grown matrix).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from spak.kg.space.factors import Codes, Floats
from spak.tuner.knowledge.correlation import default_tables
from spak.tuner.knowledge.known import DEFAULT_RESIDUAL, Knowledge
from spak.tuner.knowledge.likeness import Likeness, Rows

WEIGHT_VARIANCE = 0.05
"""Prior variance of a column's weight: a standard deviation of 0.22 on weights that sum to one."""

OFFSET_VARIANCE = 25.0
"""Next to nothing is known of the target's absolute times: from nanoseconds to seconds within three deviations (log us)."""

NOISE = 0.002
"""Variance of a log time that a repetition would change: about 4.5 %, between clock drift and mixed-up neighbours."""

MAX_TRIALS = 256
"""Trials that the belief is updated with; a search that needs more has outlived what a model adds."""

POOL = 2048
"""Most configurations that the belief is kept about; re-chosen as the trials come in."""

CHOOSE_AGAIN = (24, 64, 160)
"""Numbers of trials after which the pool is chosen again."""


class Belief:
    """Mean and variance of log time over a pool of the space."""

    def __init__(self, known: Knowledge, rng: np.random.Generator) -> None:
        """Believe what `known` says; `rng` fills a pool smaller than the space."""
        self.known = known
        self._rng = rng
        self._trials: list[int] = []
        self._failures: list[int] = []
        self._inverse = np.zeros((MAX_TRIALS, MAX_TRIALS))  # of the Cholesky factor of the trials' covariance
        self._standard = np.zeros(MAX_TRIALS)  # values, whitened
        self._everywhere = Likeness(known.codes, known.tables)
        self._start(self._best(known.expected))

    @property
    def num_trials(self) -> int:
        """Successful trials it was updated with."""
        return len(self._trials)

    @property
    def runs(self) -> Floats:
        """(pool,) probability that a configuration runs: what failed nearby against what was tried nearby.

        A failure says that neighbours may fail, not that they are slow: it leaves the times alone.
        """
        return np.asarray(1.0 - self._failed_near / (1.0 + self._tried_near))

    def fail(self, row: int) -> None:
        """Learn that configuration `row` does not run."""
        if len(self._failures) < MAX_TRIALS:
            self._failures.append(row)
            self._count(row, failed=True)

    def update(self, row: int, value: float) -> None:
        """Learn that configuration `row` has log time `value`; ignored beyond `MAX_TRIALS`."""
        n = self.num_trials
        if n >= MAX_TRIALS:
            return
        reduced = self._inverse[:n, :n] @ self._covariance(np.array(self._trials, np.int64), row)  # (n,)
        spread = math.sqrt(max(self._prior_variance(row) - float(reduced @ reduced), 0.0) + NOISE)
        expected = self.known.expected[row] + reduced @ self._standard[:n]
        self._inverse[n, :n] = -(reduced @ self._inverse[:n, :n]) / spread
        self._inverse[n, n] = 1.0 / spread
        self._standard[n] = (value - expected) / spread
        self._trials.append(row)
        if len(self.pool) < len(self.known.codes) and n + 1 in CHOOSE_AGAIN:
            self._choose_again()
        else:
            self._absorb(n, reduced, spread)

    def weights(self) -> Floats:
        """(S,) weight of each column, given the trials."""
        if not self._trials:
            return self.known.weights
        return np.asarray(self.known.weights + WEIGHT_VARIANCE * self.known.columns[:, self._trials] @ self._dual())

    def _start(self, pool: Rows) -> None:
        """Mean and variance over `pool`, given every trial."""
        known, n = self.known, self.num_trials
        self.pool = pool
        self._near = Likeness(known.codes[pool], known.tables)
        self._columns = known.columns[:, pool]
        failed = self._near.to_each(known.codes[self._failures]).sum(axis=0)
        likeness = self._near.to_each(known.codes[self._trials])  # (n, pool)
        self._failed_near, self._tried_near = failed, failed + likeness.sum(axis=0)
        linear = WEIGHT_VARIANCE * (known.columns[:, self._trials].T @ self._columns)
        projected = self._inverse[:n, :n] @ (known.residual * likeness + linear + OFFSET_VARIANCE)
        self._projected = np.zeros((MAX_TRIALS, len(pool)), np.float32)
        self._projected[:n] = projected
        self.mean = known.expected[pool] + self._standard[:n] @ projected
        prior = WEIGHT_VARIANCE * (self._columns**2).sum(axis=0) + known.residual + OFFSET_VARIANCE
        self.variance = np.maximum(prior - (projected**2).sum(axis=0), 1e-9)

    def _count(self, row: int, *, failed: bool) -> Floats:
        """Note an attempt at `row` with every configuration of the pool that is like it; (pool,) how much."""
        likeness = self._near.to(self.known.codes[row])
        self._tried_near += likeness
        if failed:
            self._failed_near += likeness
        return likeness

    def _best(self, expected: Floats) -> Rows:
        """Three quarters of the pool by expectation, the rest at random; ascending."""
        total = len(expected)
        if total <= POOL:
            return np.arange(total)
        best = np.argpartition(expected, POOL * 3 // 4)[: POOL * 3 // 4]
        others = np.setdiff1d(np.arange(total), best, assume_unique=True)
        return np.sort(np.concatenate([best, self._rng.choice(others, POOL - len(best), replace=False)]))

    def _choose_again(self) -> None:
        """A new pool by what is expected now, over the whole space."""
        known, dual = self.known, self._dual()
        expected = known.expected + WEIGHT_VARIANCE * (known.columns[:, self._trials] @ dual) @ known.columns
        expected += known.residual * self._everywhere.summed(known.codes[self._trials], dual)
        self._start(self._best(expected))

    def _absorb(self, n: int, reduced: Floats, spread: float) -> None:
        """Condition the pool on trial `n`."""
        row = self._trials[n]
        across = self.known.residual * self._count(row, failed=False)
        across += WEIGHT_VARIANCE * (self.known.columns[:, row] @ self._columns) + OFFSET_VARIANCE
        projected = (across - reduced.astype(np.float32) @ self._projected[:n]) / spread  # (pool,)
        self._projected[n] = projected
        self.mean = self.mean + projected * self._standard[n]
        self.variance = np.maximum(self.variance - projected**2, 1e-9)

    def _covariance(self, rows: Rows, row: int) -> Floats:
        """(n,) prior covariance of `rows` with `row`."""
        columns = self.known.columns
        linear = WEIGHT_VARIANCE * (columns[:, row] @ columns[:, rows])
        codes = self.known.codes
        likeness = np.ones(len(rows))
        for p, table in enumerate(self.known.tables):
            likeness *= table[codes[row, p]].take(codes[rows, p])
        return np.asarray(self.known.residual * likeness + linear + OFFSET_VARIANCE)

    def _prior_variance(self, row: int) -> float:
        column = self.known.columns[:, row]
        return float(WEIGHT_VARIANCE * (column @ column)) + self.known.residual + OFFSET_VARIANCE

    def _dual(self) -> Floats:
        """(n,) weights of the trials in the posterior mean."""
        n = self.num_trials
        return np.asarray(self._inverse[:n, :n].T @ self._standard[:n])


def expected(seen: Codes, log_times: Floats, asked: Codes, cardinalities: Sequence[int]) -> Floats:
    """(n,) log time of each of `asked` (n, P), less a constant: the belief of one who knows only the trials `seen` (t, P)."""
    tables = default_tables(cardinalities)
    covariance = DEFAULT_RESIDUAL * Likeness(seen, tables).to_each(seen) + OFFSET_VARIANCE + NOISE * np.eye(len(seen))
    dual = np.linalg.solve(covariance, log_times - log_times.mean())
    return DEFAULT_RESIDUAL * Likeness(asked, tables).summed(seen, dual)


def log_expected_improvement(mean: Floats, variance: Floats, best: float) -> Floats:
    """(N,) log of the expected improvement on log time `best`; ranks even where the improvement underflows.

    Source: Jones, Schonlau, Welch 1998, equation 15, with Sampford's bound 4 / (3x + sqrt(x^2 + 8)) for Mills' ratio, which
    keeps the improvement positive and within 7 % of the exact one everywhere (checked on 0 to 12 deviations).
    """
    deviation = np.sqrt(variance)
    u = (best - mean) / deviation
    x = np.abs(u)
    root = np.sqrt(x * x + 8.0)
    log_tail = -0.5 * u * u - 0.5 * np.log(2 * np.pi) + np.log((root - x) / (3 * x + root))
    gain = np.where(u > 0, np.log(np.maximum(u, 1e-300) + np.exp(log_tail)), log_tail)
    return np.asarray(np.log(deviation) + gain)
