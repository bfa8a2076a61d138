"""Computes what the mask floor of online softmax does: which choices give NaN, which do not, and with what error.

Runs the recurrence of the attention kernels (running maximum, running sum, accumulator, exp2, division at the end) in
NumPy in the kernel's own precision, for every choice of mask value, initial maximum and score dtype, and holds it
against a global softmax in float64. Writes the two run files that the laws about the floor rest on.

    python -m bench.floor [--out laws/evidence]
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from spak.kg.files.seal import sealed
from spak.kg.model.base import Scalar
from spak.kg.model.run import Failure, Kernel, Measurement, Run, Trial

Floats = npt.NDArray[np.floating]

FLOOR = -1.0e20
"""The floor of the claim (docs: fmha-to-microgpt, section on the stability floor)."""
CHOICES: tuple[Scalar, ...] = (FLOOR, "-inf")
SCORE_DTYPES = {"fp32": np.float32, "fp16": np.float16}
TOLERANCE = 2e-3
"""Largest relative error of a correct result; P is rounded to fp16, as in the kernels."""
LOG2_E = 1.4426950408889634


@dataclass(frozen=True)
class Problem:
    """Rows of queries against keys whose first `masked_tiles` tiles are masked for every other row."""

    seq_q: int
    seq_kv: int
    head_dim: int
    masked_tiles: int


FOUND = (Problem(128, 256, 64, 1),)
CONFIRMED = (Problem(64, 512, 64, 2), Problem(256, 384, 128, 1), Problem(32, 1024, 16, 5), Problem(128, 256, 64, 0))
"""Sizes the law was not found on; the last has no wholly masked tile, so there nothing may break."""


def online_softmax(scores: Floats, visible: npt.NDArray[np.bool_], values: Floats, choice: dict[str, Scalar]) -> Floats:
    """Attention output of one head by the kernels' recurrence.

    Args:
        scores: (M, N) float32, already scaled by log2(e)/sqrt(head_dim).
        visible: (M, N) False where masked.
        values: (N, D) fp16.
        choice: `mask_value`, `initial_max`, `score_dtype`, `tile_n`.

    Returns:
        (M, D) float32.
    """
    dtype = SCORE_DTYPES[str(choice["score_dtype"])]
    tile_n = int(choice["tile_n"])
    mask_value, initial_max = (dtype(float(choice[name])) for name in ("mask_value", "initial_max"))
    rows, keys = scores.shape
    m_i = np.full((rows, 1), initial_max, dtype)
    l_i = np.zeros((rows, 1), np.float32)
    acc = np.zeros((rows, values.shape[1]), np.float32)
    for start in range(0, keys, tile_n):
        tile = slice(start, start + tile_n)
        qk = np.where(visible[:, tile], scores[:, tile].astype(dtype), mask_value)
        m_ij = np.maximum(m_i, qk.max(axis=1, keepdims=True))
        p = np.exp2((qk - m_ij).astype(np.float32))
        alpha = np.exp2((m_i - m_ij).astype(np.float32))
        l_i = l_i * alpha + p.sum(axis=1, keepdims=True)
        acc = acc * alpha + p.astype(np.float16).astype(np.float32) @ values[tile].astype(np.float32)
        m_i = m_ij
    return acc / l_i


def reference(scores: Floats, visible: npt.NDArray[np.bool_], values: Floats) -> Floats:
    """(M, D) float64 by global softmax over the visible keys."""
    masked = np.where(visible, scores.astype(np.float64), -np.inf)
    weights = np.exp2(masked - masked.max(axis=1, keepdims=True))
    return (weights / weights.sum(axis=1, keepdims=True)) @ values.astype(np.float64)


def trial(problem: Problem, choice: dict[str, Scalar], rng: np.random.Generator) -> Trial:
    """One choice at one size: rows that hold a NaN, and the relative error if there is none."""
    query, key, value = (
        rng.standard_normal((n, problem.head_dim)).astype(np.float16)
        for n in (problem.seq_q, problem.seq_kv, problem.seq_kv)
    )
    scale = np.float32(LOG2_E / np.sqrt(problem.head_dim))
    scores = query.astype(np.float32) @ key.astype(np.float32).T * scale
    visible = np.ones(scores.shape, bool)
    visible[::2, : problem.masked_tiles * int(choice["tile_n"])] = False
    with np.errstate(invalid="ignore", over="ignore"):
        out = online_softmax(scores, visible, value, choice)
    nan_rows = int(np.isnan(out).any(axis=1).sum())
    measurements = [Measurement(name="nan_rows", value=nan_rows)]
    failure = Failure(type="NaN", message=f"{nan_rows} of {problem.seq_q} rows are NaN") if nan_rows else None
    if not nan_rows:
        exact = reference(scores, visible, value)
        error = float(np.linalg.norm(out - exact) / np.linalg.norm(exact))
        measurements.append(Measurement(name="relative_error", value=float(f"{error:.2g}")))
        if error > TOLERANCE:
            failure = Failure(type="Error", message=f"relative error {error:.2g} > {TOLERANCE}")
    return Trial(
        configuration=choice,
        problem=asdict(problem),
        invalidity="correctness" if failure else "correct",
        measurements=tuple(measurements),
        failure=failure,
        origin="sweep",
    )


@dataclass(frozen=True)
class Experiment:
    """A run file to be: its id and what it covers."""

    run_id: str
    problems: tuple[Problem, ...]
    tiles: tuple[int, ...]
    seed: int


EXPERIMENTS = (
    Experiment("computed-mask-floor-found", FOUND, (64,), 0),
    Experiment("computed-mask-floor-other-sizes", CONFIRMED, (32, 64), 1),
)


def run(experiment: Experiment, *, created: str) -> Run:
    """Every choice at every size, as a run file of tier `computed`."""
    rng = np.random.default_rng(experiment.seed)
    axes: dict[str, tuple[Scalar, ...]] = {
        "mask_value": CHOICES,
        "initial_max": CHOICES,
        "score_dtype": tuple(SCORE_DTYPES),
        "tile_n": experiment.tiles,
    }
    trials = tuple(
        trial(problem, dict(zip(axes, values, strict=True)), rng)
        for problem in experiment.problems
        for values in itertools.product(*axes.values())
    )
    source = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    return Run(
        id=experiment.run_id,
        tier="computed",
        created=created,
        hw="nvidia",
        op="attention",
        toolchain={"numpy": np.__version__},
        kernel=Kernel(name="bench.floor.online_softmax", source_sha256=source),
        exhaustive_over=axes,
        seed=experiment.seed,
        reproduce="python -m bench.floor",
        note="IEEE arithmetic on a CPU: float32 or float16 scores and maximum, float32 sums, fp16 P and V.",
        trials=trials,
    )


def main() -> None:
    """Write both run files and print what they hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("laws/evidence"))
    out = parser.parse_args().out
    created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    for experiment in EXPERIMENTS:
        result = run(experiment, created=created)
        encoded = msgspec.json.format(msgspec.json.encode(sealed(result)), indent=1)
        (out / f"{result.id}.json").write_bytes(encoded + b"\n")
        for item in result.trials:
            print(*item.problem.values(), *item.configuration.values(), *(m.value for m in item.measurements), sep="\t")


if __name__ == "__main__":
    main()
