"""Reductions and scans with any combining function: log2(n) rounds over neighbours, so their order is kept.

cuTile leaves the order of a reduction open; this one is a balanced tree of neighbours, as accurate as the GPU's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spak.kernels.sim.frame import Frame
from spak.kernels.sim.machine import Machine, handles

Values = NDArray[Any]


class Elementwise(Frame):
    """A frame whose outer variables are scalars of each block, spread over the elements that are combined."""

    def __init__(self, parent: Frame, rank: int) -> None:
        super().__init__(parent.count, parent)
        self.rank = rank

    def get(self, variable: Any) -> Any:
        """Own variables as they are, outer ones with axes of size one appended."""
        if variable.name in self.values or self.parent is None:
            return super().get(variable)
        value = self.parent.get(variable)
        if isinstance(value, np.ndarray):
            value = value.reshape(value.shape + (1,) * (self.rank + 1 - value.ndim))
        return value


def combine(machine: Machine, operation: Any, frame: Frame, pair: tuple[list[Values], list[Values]]) -> list[Values]:
    """The combining function on two lists of arrays, element by element."""
    left, right = pair
    inner = Elementwise(frame, left[0].ndim - 1)
    inner.set(operation.body.params, [v for both in zip(left, right, strict=True) for v in both])
    outcome = machine.run_block(operation.body, inner)[0]
    return [np.broadcast_to(v, left[0].shape) for v in outcome.values]


def pick(values: list[Values], axis: int, which: slice) -> list[Values]:
    """A slice of each array along an axis."""
    cut = (slice(None),) * axis
    return [v[(*cut, which)] for v in values]


@handles("tile_reduce")
def reduce(machine: Machine, operation: Any, frame: Frame) -> Sequence[Values]:
    """Tiles combined along an axis, which disappears."""
    axis = operation.axis + 1
    values = aligned(operation, frame)
    while values[0].shape[axis] > 1:
        pair = pick(values, axis, slice(0, None, 2)), pick(values, axis, slice(1, None, 2))
        values = combine(machine, operation, frame, pair)
    return [np.ascontiguousarray(v.squeeze(axis)) for v in values]


@handles("tile_scan")
def scan(machine: Machine, operation: Any, frame: Frame) -> Sequence[Values]:
    """Running combination along an axis, each element included."""
    axis = operation.axis + 1
    values = aligned(operation, frame)
    if operation.reverse:
        values = [np.flip(v, axis) for v in values]
    distance = 1
    while distance < values[0].shape[axis]:
        head = pick(values, axis, slice(0, distance))
        pair = pick(values, axis, slice(0, -distance)), pick(values, axis, slice(distance, None))
        values = [
            np.concatenate([h, t], axis) for h, t in zip(head, combine(machine, operation, frame, pair), strict=True)
        ]
        distance *= 2
    return [np.flip(v, axis) if operation.reverse else v for v in values]


def aligned(operation: Any, frame: Frame) -> list[Values]:
    """The operands, all with the same leading axis."""
    values = [frame.get(v) for v in operation.xs]
    count = max(v.shape[0] for v in values)
    return [np.broadcast_to(v, (count, *v.shape[1:])) for v in values]
