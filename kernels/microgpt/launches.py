"""The check `steps-per-launch`: a run cut into launches is the run of one launch, bit for bit.

The plan `resident` on the simulator, on a model of a few parameters; what lies in memory between launches is poisoned before
the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spak.kernels import sim
from spak.kernels.checks import CheckResult
from spak.kernels.cutile import DTYPES, Call
from spak.kernels.interface import Configuration, Problem
from spak.kernels.microgpt.drawing import draw_documents
from spak.kernels.microgpt.model import initial_parameters
from spak.kernels.microgpt.resident import kernel
from spak.kernels.microgpt.resident.launch import resident_calls
from spak.kernels.microgpt.spec import SPEC, adam_factors, sizes_of

VARIANT = {"head_products": "batched", "moments": "tiles", "backward_weights": "late"}
"""Of the kernel; in the other one moments lie in memory all the time."""

LEFT = ("losses", "gradients", "parameters")
"""What a run leaves."""


class StepsPerLaunch:
    """See the module."""

    op = "training-step"

    @property
    def source_files(self) -> Sequence[str]:
        """The kernel, how it is launched, and this file."""
        names = ("resident/kernel.py", "resident/launch.py", "launches.py")
        return tuple(str(Path(__file__).parent / name) for name in names)

    def sizes(self, seed: int) -> Sequence[Problem]:
        """Two runs of few steps."""
        return [{"steps": 2 + int(step)} for step in np.random.default_rng(seed).permutation(4)[:2]]

    def result(self, problem: Problem, configuration: Configuration, seed: int) -> CheckResult:
        """Numbers that differ, and the same as a failure if there is one; a NaN differs from all."""
        cuts = (int(problem["steps"]), int(configuration["steps_per_launch"]))
        whole, cut = (self._left(problem, {**VARIANT, "steps_per_launch": each}, seed) for each in cuts)
        count = sum(int((whole[name] != cut[name]).sum()) for name in LEFT)
        failure = ("Different", f"{count} numbers differ from those of one launch") if count else None
        return CheckResult({"bit_differences": count}, failure)

    def _left(self, problem: Problem, configuration: Configuration, seed: int) -> Mapping[str, NDArray[Any]]:
        sizes = {"vocab": 5, "width": 4, "layers": 1, "heads": 2, "context": 4, "batch": 1, **problem}
        model, steps, generator = sizes_of(sizes), int(problem["steps"]), Random(seed)  # noqa: S311  # no secret
        initial = initial_parameters(model, generator).astype(np.float32)
        tokens, lengths = draw_documents(model, steps, generator)
        arrays: dict[str, NDArray[Any]] = {
            "initial": initial,
            "tokens": tokens,
            "lengths": lengths,
            "rates": adam_factors(steps).astype(np.float32),
        }
        for call in resident_calls(model, SPEC.arrays(sizes), configuration, batch=1, steps=steps):
            _launch(call, arrays)
        return arrays


def _launch(call: Call, arrays: dict[str, NDArray[Any]]) -> None:
    for name, array in call.arrays.items():
        arrays.setdefault(name, sim.empty(array.shape, DTYPES[array.dtype]))
    given = tuple(arrays[name] for name in call.arrays)
    sim.launch(None, call.grid, getattr(kernel, call.function), (*given, *call.scalars, *call.constants))
