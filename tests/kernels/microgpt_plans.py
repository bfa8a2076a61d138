"""Awkward sizes of MicroGPT's training: one table for the simulator and the GPU (tests/gpu)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from spak.kernels import sim
from spak.kernels.microgpt.spec import SPEC

OP = yaml.safe_load((Path(__file__).parents[2] / "laws/ops/microgpt.yaml").read_text())
POISON = float("nan")


@dataclass(frozen=True)
class RunCase:
    """A problem and the settings that matter for being right."""

    name: str
    vocab: int = 27
    width: int = 16
    layers: int = 1
    heads: int = 4
    context: int = 16
    batch: int = 1
    steps: int = 3
    steps_per_launch: int = 1000
    head_products: str = "batched"
    moments: str = "tiles"
    backward_weights: str = "late"

    @property
    def problem(self) -> dict[str, bool | int | float | str]:
        """As `KernelSpec` takes it."""
        return {name: getattr(self, name) for name in OP["problem"]}

    @property
    def configuration(self) -> dict[str, bool | int | float | str]:
        """As `KernelSpec` takes it; hints do not change a result."""
        return {name: getattr(self, name, parameter["default"]) for name, parameter in OP["parameters"].items()}


RESIDENT = (
    RunCase("microgpt.py's sizes, two launches", steps_per_launch=2),
    RunCase("nothing is a power of two, two layers", 11, 12, 2, 3, 6, head_products="masked", backward_weights="early"),
    RunCase("three documents a step, moments in memory", 19, 8, 1, 2, 4, 3, 2, 1, moments="memory"),
)


def simulated(case: RunCase, inputs: Any) -> dict[str, NDArray[Any]]:
    """Every launch of the case on the simulator, outputs and scratch poisoned before; all arrays by name."""
    from importlib import import_module

    arrays = {name: np.ascontiguousarray(value) for name, value in vars(inputs).items()}
    for call in SPEC.calls(case.problem, case.configuration):
        for name, array in call.arrays.items():
            if name not in arrays:
                arrays[name] = np.full(array.shape, POISON, np.float32)
        kernel = getattr(import_module(SPEC.module(call.function)), call.function)
        given = tuple(arrays[name] for name in call.arrays)
        sim.launch(None, call.grid, kernel, (*given, *call.scalars, *call.constants))
    return arrays
