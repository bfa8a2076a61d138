"""Writes the computed run files that laws rest on: what the named checks of the kernels give, with seeds that are fixed.

    python -m bench.checks [--out laws/evidence]

A law's own check is executed on fresh inputs by `kg verify LAW`; these runs are what its evidence cites.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.run_file import rounded, write_run
from spak.kg.model.base import Scalar
from spak.kg.model.run import Run
from spak.tuner.backend.base import Request
from spak.tuner.backend.check import Checker


@dataclass(frozen=True)
class Experiment:
    """A run file to be.

    Attributes:
        sizes: Rows of values of `problem`.
        axes: Parameters -> values, of which every combination is executed.
    """

    run_id: str
    check: str
    seed: int
    problem: tuple[str, ...]
    sizes: tuple[tuple[Scalar, ...], ...]
    axes: dict[str, tuple[Scalar, ...]]

    @property
    def requests(self) -> list[Request]:
        """Every configuration at every size."""
        problems = [dict(zip(self.problem, size, strict=True)) for size in self.sizes]
        every = [dict(zip(self.axes, values, strict=True)) for values in itertools.product(*self.axes.values())]
        return [Request(configuration, problem, "sweep") for problem in problems for configuration in every]


FLOORS: dict[str, tuple[Scalar, ...]] = {
    "mask_value": (-1.0e20, "-inf"),
    "initial_max": (-1.0e20, "-inf"),
    "score_dtype": ("fp32", "fp16"),
}
FLOOR_PROBLEM = ("seq_q", "seq_kv", "head_dim", "masked_tiles")

EXPERIMENTS = (
    Experiment(
        run_id="computed-mask-floor-found",
        check="attention-mask-floor",
        seed=0,
        problem=FLOOR_PROBLEM,
        sizes=((128, 256, 64, 1),),
        axes={**FLOORS, "tile_n": (64,)},
    ),
    # Sizes that the laws were not found on; the last has no wholly masked tile, so there nothing may break.
    Experiment(
        run_id="computed-mask-floor-other-sizes",
        check="attention-mask-floor",
        seed=1,
        problem=FLOOR_PROBLEM,
        sizes=((64, 512, 64, 2), (256, 384, 128, 1), (32, 1024, 16, 5), (128, 256, 64, 0)),
        axes={**FLOORS, "tile_n": (32, 64)},
    ),
    # The second size divides by no tile.
    Experiment(
        run_id="computed-online-softmax",
        check="online-softmax",
        seed=0,
        problem=("seq_q", "seq_kv", "head_dim", "causal"),
        sizes=tuple(
            (*size, causal) for size in ((64, 256, 64), (33, 129, 16), (128, 512, 128)) for causal in (False, True)
        ),
        axes={
            "dtype": ("fp32", "fp64"),
            "tile_n": (16, 64, 128),
            "key_order": ("forward", "backward", "shuffled"),
            "num_parts": (1, 2),
        },
    ),
)


def run(experiment: Experiment, created: str) -> Run:
    """Every configuration at every size, as a run file of tier `computed`."""
    checker = Checker(experiment.check, experiment.seed)
    return Run(
        id=experiment.run_id,
        tier="computed",
        created=created,
        hw="nvidia",
        op=checker.check.op,
        toolchain=checker.provenance.toolchain,
        kernel=checker.kernel,
        check=experiment.check,
        exhaustive_over=experiment.axes,
        seed=experiment.seed,
        reproduce="python -m bench.checks",
        note="IEEE arithmetic on a CPU, against float64.",
        trials=tuple(rounded(trial, keep_problem=True) for trial in checker.execute(experiment.requests)),
    )


def main() -> None:
    """Compute and write; say how many were wrong, which of a check that tries wrong configurations some are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("laws/evidence"))
    out = parser.parse_args().out
    for experiment in EXPERIMENTS:
        found = run(experiment, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        wrong = sum(trial.invalidity != "correct" for trial in found.trials)
        print(f"{write_run(found, out)}: {len(found.trials)} trials, {wrong} wrong")


if __name__ == "__main__":
    main()
