"""Awkward sizes of MicroGPT's training: one table for the simulator and the GPU (tests/gpu)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    plan: str = "resident"
    products: str = "fp32"
    tile_m: int = 64
    tile_n: int = 64
    tile_t: int = 64
    tile_w: int = 64
    splits: int = 8

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


SEQUENCE = (
    RunCase(
        "tiles in part, three products",
        27,
        12,
        2,
        3,
        14,
        3,
        2,
        plan="sequence",
        products="tf32x3",
        splits=2,
    ),
    RunCase(
        "three tiles of a document, of rows several documents",
        *(27, 32, 2, 2, 40, 2, 2),
        plan="sequence",
        tile_m=32,
        tile_n=32,
        tile_t=16,
        tile_w=32,
    ),
)


def simulated(
    case: RunCase, inputs: Any, order: Callable[[int], Sequence[int] | NDArray[np.int64]] = range
) -> dict[str, NDArray[Any]]:
    """Every launch of the case on the simulator, outputs and scratch poisoned before; all arrays by name."""
    from importlib import import_module

    arrays = {name: np.ascontiguousarray(value) for name, value in vars(inputs).items()}
    for call in SPEC.calls(case.problem, case.configuration):
        for name, array in call.arrays.items():
            if name not in arrays:
                arrays[name] = np.full(array.shape, POISON, np.float32)
        kernel = getattr(import_module(SPEC.module(call.function)), call.function)
        given = tuple(arrays[name] for name in call.arrays)
        sim.launch(None, call.grid, kernel, (*given, *call.scalars, *call.constants), order=order)
    return arrays
