"""The check `online-softmax`: the recurrence against softmax in float64, step one of the attention kernels.

Keys are taken in tiles of several sizes, forwards, backwards and shuffled, in one part or in two that are merged, with
and without a causal mask, in float32 and float64; scores are random, constant, large, rising and falling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spak.kernels.attention.online_softmax import attend, exact_softmax, finish, merge
from spak.kernels.checks import CheckResult
from spak.kernels.interface import Configuration, Problem

_Floats = NDArray[np.floating[Any]]

_TOLERANCE = {"fp32": 1e-5, "fp64": 1e-13}
"""Largest error relative to the largest element: some hundred roundings of the type, summed over the keys."""

_TYPES: dict[str, Any] = {"fp32": np.float32, "fp64": np.float64}
_LARGE = 1e4


class OnlineSoftmax:
    """See the module."""

    op = "online-softmax"

    @property
    def source_files(self) -> Sequence[str]:
        """This file and the recurrence."""
        return ("kernels/attention/equivalence.py", "kernels/attention/online_softmax.py")

    def sizes(self, seed: int) -> Sequence[Problem]:
        """Two sizes that no tile divides, one with a causal mask."""
        rng = np.random.default_rng(seed)
        return tuple(
            {
                "seq_q": int(rng.integers(1, 65)),
                "seq_kv": 64 + int(rng.integers(1, 400)),
                "head_dim": int(rng.integers(1, 65)),
                "causal": causal,
            }
            for causal in (False, True)
        )

    def result(self, problem: Problem, configuration: Configuration, seed: int) -> CheckResult:
        """The largest error relative to the largest element.

        Raises:
            ValueError: For a value that it does not know.
        """
        dtype, order = str(configuration["dtype"]), str(configuration["key_order"])
        if dtype not in _TYPES or order not in _ORDERS:
            raise ValueError(f"dtype={dtype}, key_order={order}: there are {', '.join((*_TYPES, *_ORDERS))}")
        rows, keys, width, causal = (int(problem[name]) for name in ("seq_q", "seq_kv", "head_dim", "causal"))
        rng = np.random.default_rng([seed, rows, keys, width, causal])
        values = rng.normal(size=(keys, width)).astype(_TYPES[dtype])
        visible = np.tril(np.ones((rows, keys), dtype=bool), keys - rows if causal else keys)
        indices = _ORDERS[order](keys, rng)
        tile_n, parts = int(configuration["tile_n"]), int(configuration["num_parts"])
        tiles = [indices[start : start + tile_n] for start in range(0, keys, tile_n)]
        error = 0.0
        for drawn in _scores(rng, (rows, keys)):
            scores = drawn.astype(_TYPES[dtype])
            states = [attend(scores, values, visible, tiles[part::parts]) for part in range(parts)]
            found = finish(states[0] if parts == 1 else merge(states[0], states[1]))
            exact = exact_softmax(scores, values, visible)
            error = max(error, float(np.abs(found - exact).max() / np.abs(exact).max()))
        limit = _TOLERANCE[dtype]
        failure = None if error <= limit else ("Inaccurate", f"relative error {error:.2g}, at most {limit:g}")
        return CheckResult({"relative_error": error}, failure)


_ORDERS: dict[str, Any] = {
    "forward": lambda keys, _: np.arange(keys),
    "backward": lambda keys, _: np.arange(keys)[::-1],
    "shuffled": lambda keys, rng: rng.permutation(keys),
}


def _scores(rng: np.random.Generator, shape: tuple[int, int]) -> Iterator[_Floats]:
    yield rng.normal(size=shape) * 4
    yield rng.normal(size=shape) * _LARGE
    yield np.zeros(shape)
    rising = np.broadcast_to(np.linspace(-_LARGE, _LARGE, shape[1]), shape)
    yield rising
    yield rising[:, ::-1]
