"""The check `attention-mask-floor`: which floors of the online softmax give NaN, which do not, and with what error.

Runs the unfused recurrence (running maximum, running sum, accumulator, exp2, division at the end) in NumPy, in the kernels'
own precision, for a choice of mask value, initial maximum and score dtype, and holds it against a global softmax in float64.
Every other row sees no key of its first tiles. Scores are random and hostile ones: constant, at the ends of fp16's range,
rising and falling along the keys. All are finite in fp16, so that what becomes NaN does so because of the floor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spak.kernels.attention.online_softmax import exact_softmax
from spak.kernels.checks import CheckResult
from spak.kernels.interface import Configuration, Problem

_Floats = NDArray[np.floating[Any]]
_Bools = NDArray[np.bool_]

_TOLERANCE = 2e-3
"""Largest relative error of a correct result; P is rounded to fp16, as in the kernels."""

_LARGEST = 60_000.0
"""Of a score; fp16 ends at 65504."""

_LOG2_E = 1.4426950408889634
_TYPES: dict[str, Any] = {"fp32": np.float32, "fp16": np.float16}
_LARGEST_TILE = 64
"""Of op attention; sizes are drawn so that every row sees a key whatever the tile."""


@dataclass(frozen=True)
class _Case:
    """One head: scores (M, N) float32 scaled by log2(e)/sqrt(head_dim), visible (M, N), values (N, D) fp16."""

    scores: _Floats
    visible: _Bools
    values: _Floats


class MaskFloor:
    """See the module."""

    op = "attention"

    @property
    def source_files(self) -> Sequence[str]:
        """This file and the reference that it calls."""
        return ("kernels/attention/mask_floor.py", "kernels/attention/online_softmax.py")

    def sizes(self, seed: int) -> Sequence[Problem]:
        """Two sizes that no tile divides; one where every row sees a key of its first tile."""
        rng = np.random.default_rng(seed)
        return tuple(self._size(rng, masked) for masked in (int(rng.integers(1, 4)), 1, 0))

    @staticmethod
    def _size(rng: np.random.Generator, masked_tiles: int) -> Problem:
        keys = masked_tiles * _LARGEST_TILE + int(rng.integers(1, 200))
        width = int(rng.choice([8, 40, 64]))
        return {"seq_q": int(rng.integers(2, 100)), "seq_kv": keys, "head_dim": width, "masked_tiles": masked_tiles}

    def result(self, problem: Problem, configuration: Configuration, seed: int) -> CheckResult:
        """Rows that hold a NaN, and the relative error if there is none.

        Raises:
            ValueError: For a value that it does not know, or a row that sees no key.
        """
        nan_rows, error = 0, 0.0
        for case in _cases(problem, int(configuration["tile_n"]), seed):
            with np.errstate(invalid="ignore", over="ignore"):
                out = _online_softmax(case, configuration)
            nan_rows = max(nan_rows, int(np.isnan(out).any(axis=1).sum()))
            exact = exact_softmax(case.scores.astype(np.float64) / _LOG2_E, case.values, case.visible)
            error = max(error, float(np.linalg.norm(out - exact) / np.linalg.norm(exact)))
        if nan_rows:
            return CheckResult({"nan_rows": nan_rows}, ("NaN", f"{nan_rows} of {problem['seq_q']} rows are NaN"))
        failure = None if error <= _TOLERANCE else ("Inaccurate", f"relative error {error:.2g}, at most {_TOLERANCE:g}")
        return CheckResult({"nan_rows": 0, "relative_error": float(f"{error:.2g}")}, failure)


def _cases(problem: Problem, tile_n: int, seed: int) -> Iterator[_Case]:
    """Every kind of scores at one size, the same ones for every choice of a floor."""
    rows, keys, width, masked = (int(problem[name]) for name in ("seq_q", "seq_kv", "head_dim", "masked_tiles"))
    if masked * tile_n >= keys:
        raise ValueError(f"{masked} masked tiles of {tile_n} leave rows without one of {keys} keys")
    rng = np.random.default_rng([seed, rows, keys, width, masked])
    visible = np.ones((rows, keys), bool)
    visible[::2, : masked * tile_n] = False
    values = rng.standard_normal((keys, width)).astype(np.float16)
    for scores in _scores(rng, (rows, keys), width):
        yield _Case(scores.astype(np.float32), visible, values)


def _scores(rng: np.random.Generator, shape: tuple[int, int], width: int) -> Iterator[_Floats]:
    query, key = (rng.standard_normal((n, width)).astype(np.float16).astype(np.float32) for n in shape)
    yield query @ key.T * np.float32(_LOG2_E / np.sqrt(width))
    yield rng.uniform(-_LARGEST, _LARGEST, shape)
    yield np.full(shape, -_LARGEST)
    rising = np.broadcast_to(np.linspace(-_LARGEST, _LARGEST, shape[1]), shape)
    yield rising
    yield rising[:, ::-1]


def _online_softmax(case: _Case, choice: Configuration) -> _Floats:
    """(M, D) float32 by the kernels' recurrence."""
    dtype = _known(_TYPES, str(choice["score_dtype"]))
    tile_n = int(choice["tile_n"])
    mask_value, initial_max = (dtype(float(choice[name])) for name in ("mask_value", "initial_max"))
    rows, keys = case.scores.shape
    m_i = np.full((rows, 1), initial_max, dtype)
    l_i = np.zeros((rows, 1), np.float32)
    acc = np.zeros((rows, case.values.shape[1]), np.float32)
    for start in range(0, keys, tile_n):
        tile = slice(start, start + tile_n)
        qk = np.where(case.visible[:, tile], case.scores[:, tile].astype(dtype), mask_value)
        m_ij = np.maximum(m_i, qk.max(axis=1, keepdims=True))
        p = np.exp2((qk - m_ij).astype(np.float32))
        alpha = np.exp2((m_i - m_ij).astype(np.float32))
        l_i = l_i * alpha + p.sum(axis=1, keepdims=True)
        acc = acc * alpha + p.astype(np.float16).astype(np.float32) @ case.values[tile].astype(np.float32)
        m_i = m_ij
    return acc / l_i


def _known(values: dict[str, Any], name: str) -> Any:
    if name not in values:
        raise ValueError(f"{name!r} is none of {', '.join(values)}")
    return values[name]
