"""The online-softmax recurrence against softmax in float64, as a computed run file: step one of the attention kernels.

    python -m bench.online_softmax

Keys are taken in tiles of several sizes, forwards, backwards and shuffled, in one part or in two that are merged, with
and without a causal mask, in float32 and float64; the seed fixes the numbers. No GPU takes part.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.run_file import rounded, write_run
from spak.kernels.attention.online_softmax import attend, exact_softmax, finish, merge
from spak.kg.model.base import Scalar
from spak.kg.model.run import Failure, Measurement, Run, Trial

SIZES = ((64, 256, 64), (33, 129, 16), (128, 512, 128))
"""Query rows, keys and channels; the second divides by no tile."""

TOLERANCE = {"fp32": 1e-5, "fp64": 1e-13}
"""Largest error relative to the largest element: some hundred roundings of the type, summed over the keys."""

_TYPES: dict[str, Any] = {"fp32": np.float32, "fp64": np.float64}


def trials(seed: int) -> Iterator[Trial]:
    """Every case, each against float64."""
    for (rows, keys, width), causal in product(SIZES, (False, True)):
        rng = np.random.default_rng([seed, rows, keys, width, causal])
        scores, values = rng.normal(size=(rows, keys)) * 4, rng.normal(size=(keys, width))
        visible = (
            np.tril(np.ones((rows, keys), dtype=bool), keys - rows) if causal else np.ones((rows, keys), dtype=bool)
        )
        problem: dict[str, Scalar] = {"seq_q": rows, "seq_kv": keys, "head_dim": width, "causal": causal}
        for dtype, tile_n, order, parts in product(
            TOLERANCE, (16, 64, 128), ("forward", "backward", "shuffled"), (1, 2)
        ):
            tiles = _tiles(keys, tile_n, order, rng)
            cast = _TYPES[dtype]
            states = [
                attend(scores.astype(cast), values.astype(cast), visible, tiles[part::parts]) for part in range(parts)
            ]
            found = finish(states[0] if parts == 1 else merge(states[0], states[1]))
            exact = exact_softmax(scores.astype(cast), values.astype(cast), visible)
            error = float(np.abs(found - exact).max() / np.abs(exact).max())
            configuration: dict[str, Scalar] = {"dtype": dtype, "tile_n": tile_n, "order": order, "parts": parts}
            yield _trial(configuration, problem, error)


def _tiles(keys: int, tile_n: int, order: str, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Indices of the keys of each tile, in the order in which they are taken."""
    indices = (
        np.arange(keys)
        if order == "forward"
        else np.arange(keys)[::-1]
        if order == "backward"
        else rng.permutation(keys)
    )
    return [indices[start : start + tile_n] for start in range(0, keys, tile_n)]


def _trial(configuration: dict[str, Scalar], problem: dict[str, Scalar], error: float) -> Trial:
    limit = TOLERANCE[str(configuration["dtype"])]
    measurements = (Measurement(name="relative_error", value=error),)
    if error <= limit:
        return Trial(configuration=configuration, problem=problem, measurements=measurements, origin="sweep")
    failure = Failure(type="Inaccurate", message=f"relative error {error:.2g}, at most {limit:g}")
    return Trial(
        configuration=configuration,
        problem=problem,
        measurements=measurements,
        origin="sweep",
        invalidity="correctness",
        failure=failure,
    )


def run(seed: int, created: str) -> Run:
    """The run file's content."""
    return Run(
        id="computed-online-softmax",
        tier="computed",
        created=created,
        hw="nvidia",
        op="fused-attention",
        toolchain={"numpy": np.__version__},
        seed=seed,
        reproduce="python -m bench.online_softmax",
        note="spak.kernels.attention.online_softmax on a CPU, against softmax in float64 over the visible keys.",
        trials=tuple(rounded(trial, keep_problem=True) for trial in trials(seed)),
    )


def main() -> int:
    """Compute and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("laws/evidence"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found = run(arguments.seed, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    wrong = sum(trial.invalidity != "correct" for trial in found.trials)
    print(f"{write_run(found, arguments.out)}: {len(found.trials)} cases, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
