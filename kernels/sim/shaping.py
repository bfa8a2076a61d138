"""Constants, ids, and operations that move elements without computing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spak.kernels.sim.dtypes import is_pointer, narrow, poison, storage
from spak.kernels.sim.errors import SimulatorError, at
from spak.kernels.sim.frame import Frame
from spak.kernels.sim.machine import Machine, handles

Values = NDArray[Any]
HALF_BYTE = 4


@handles("typed_const")
def constant(_: Machine, operation: Any, __: Frame) -> Sequence[Any]:
    """A tile of one value."""
    ty = operation.result_var.get_type()
    if not hasattr(ty, "shape"):
        return [operation.value]
    value = np.full((1, *ty.shape), operation.value, dtype=np.float64 if isinstance(operation.value, float) else None)
    return [narrow(value, ty.dtype)]


@handles("make_dummy")
def undefined(_: Machine, operation: Any, __: Frame) -> Sequence[Any]:
    """A variable that is not set on this path: poison."""
    ty = operation.result_var.get_type()
    if not hasattr(ty, "dtype") or is_pointer(ty.dtype):
        return [np.zeros((1,), dtype=np.int64)]
    return [np.full((1, *ty.shape), poison(ty.dtype), dtype=storage(ty.dtype))]


@handles("assign", "foreign_pointer_cast", "reinterpret_pointer", "address_space_cast")
def same(_: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """The operand itself."""
    return [frame.get(operation.value if operation.op == "assign" else operation.pointer)]


@handles("assume_div_by", "assume_bounded")
def assume(_: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """What the kernel promises to the compiler; here the promise is checked."""
    value = frame.get(operation.x)
    if operation.op == "assume_div_by":
        if (value % operation.divisor != 0).any():
            raise at(operation, f"assumed a multiple of {operation.divisor} (got {value.flat[0]})")
        return [value]
    low, high = operation.lower_bound, operation.upper_bound
    if (low is not None and (value < low).any()) or (high is not None and (value > high).any()):
        raise at(operation, f"assumed within [{low}, {high}] (got {value.flat[0]})")
    return [value]


@handles("tile_bid")
def block_id(machine: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """Block ids along an axis."""
    return [machine.ids(frame)[:, operation.axis].astype(np.int32)]


@handles("tile_num_blocks")
def num_blocks(machine: Machine, operation: Any, _: Frame) -> Sequence[Any]:
    """Grid size along an axis."""
    return [np.full((1,), machine.grid[operation.axis], dtype=np.int32)]


@handles("make_token", "join_tokens", "grid_dependency_control_wait", "grid_dependency_control_launch_dependents")
def ordering(_: Machine, operation: Any, __: Frame) -> Sequence[Any]:
    """Memory order: everything here is in program order already."""
    return [None] * len(operation.result_vars)


@handles("tile_reshape")
def reshape(_: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """Row-major reshape."""
    x = frame.get(operation.x)
    return [x.reshape((x.shape[0], *operation.result_var.get_type().shape))]


@handles("tile_broadcast")
def broadcast(_: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """Axes of size one repeated."""
    x = frame.get(operation.x)
    return [np.broadcast_to(x, (x.shape[0], *operation.result_var.get_type().shape))]


@handles("tile_permute")
def permute(_: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """Axes in another order."""
    return [frame.get(operation.x).transpose((0, *(axis + 1 for axis in operation.axes)))]


@handles("tile_cat")
def concatenate(_: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """Two tiles end to end."""
    x, y = frame.get(operation.x), frame.get(operation.y)
    count = max(x.shape[0], y.shape[0])
    parts = [np.broadcast_to(v, (count, *v.shape[1:])) for v in (x, y)]
    return [np.concatenate(parts, axis=operation.axis + 1 if operation.axis >= 0 else operation.axis)]


@handles("tile_arange")
def arange(_: Machine, operation: Any, __: Frame) -> Sequence[Any]:
    """Zero, one, two and so on."""
    ty = operation.result_var.get_type()
    return [np.arange(ty.shape[0]).astype(storage(ty.dtype))[None]]


def window(operation: Any, frame: Frame, shape: Sequence[int], whole: Values) -> tuple[int, list[Values]]:
    """(number of distinct blocks, first element of the window along each axis for each of them)."""
    starts = [frame.get(v).astype(np.int64) * size for v, size in zip(operation.index, shape, strict=True)]
    for start, size, full in zip(starts, shape, whole.shape[1:], strict=True):
        if ((start < 0) | (start + size > full)).any():
            raise at(operation, f"sub-tile {start.flat[0] // size} of size {size} lies outside a tile of size {full}")
    return max([1, *(s.shape[0] for s in starts)]), starts


def cuts(starts: Sequence[Values], shape: Sequence[int], lane: int) -> tuple[Any, ...]:
    """The window of one block."""
    first = [int(s[lane if s.shape[0] > 1 else 0]) for s in starts]
    return tuple(slice(f, f + size) for f, size in zip(first, shape, strict=True))


@handles("tile_extract")
def extract(_: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """A sub-tile, by its index in units of its own shape."""
    x = frame.get(operation.x)
    count, starts = window(operation, frame, operation.shape, x)
    if count == 1:
        return [x[(slice(None), *cuts(starts, operation.shape, 0))]]
    lanes = range(count)
    return [np.stack([x[(i if x.shape[0] > 1 else 0, *cuts(starts, operation.shape, i))] for i in lanes])]


@handles("tile_insert")
def insert(_: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """A tile with a sub-tile replaced."""
    x, value = frame.get(operation.x), frame.get(operation.value)
    shape = value.shape[1:]
    count, starts = window(operation, frame, shape, x)
    count = max(count, x.shape[0], value.shape[0])
    result = np.array(np.broadcast_to(x, (count, *x.shape[1:])))
    for i in range(count):
        result[(i, *cuts(starts, shape, i))] = value[i if value.shape[0] > 1 else 0]
    return [result]


@handles("tile_pack", "tile_unpack")
def repack(_: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """Elements as bytes and back, little-endian; two 4-bit floats to a byte, the first in the low half."""
    x = np.ascontiguousarray(frame.get(operation.x))
    ty = operation.result_var.get_type()
    narrow_type = operation.x.get_type().dtype if operation.op == "tile_pack" else ty.dtype
    if narrow_type.bitwidth != HALF_BYTE:
        return [x.view(storage(ty.dtype)).reshape((x.shape[0], *ty.shape))]
    if operation.op == "tile_pack":
        bits = x.view(np.uint8)
        return [(bits[:, 0::2] & 15) | (bits[:, 1::2] << 4)]
    both = np.stack([x & 15, x >> 4], axis=-1).reshape((x.shape[0], *ty.shape))
    return [np.ascontiguousarray(both).view(storage(ty.dtype))]


@handles("assert")
def check(_: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """Stops the launch if a condition fails anywhere."""
    if not frame.get(operation.cond).all():
        raise at(operation, operation.message or "assertion failed")
    return []


SPECIFIER = re.compile(r"%(?P<body>[-+ #0]*\d*(?:\.\d+)?)(?:hh|h|ll|l|j|z|t)?(?P<kind>[diuoxXeEfFgGc%])")


@handles("tile_printf")
def print_formatted(machine: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """C's printf, once for each block; a tile prints as nested brackets."""
    values = [frame.get(v) for v in operation.args]
    for lane in range(frame.count):
        rest = iter(values)

        def one(match: re.Match[str], rest: Any = rest, lane: int = lane) -> str:
            if match["kind"] == "%":
                return "%"
            value = next(rest)
            kind = "d" if match["kind"] in "iu" else match["kind"]
            return nested(value[lane if value.shape[0] > 1 else 0], f"%{match['body']}{kind}")

        machine.write(SPECIFIER.sub(one, operation.format))
    return [None] * len(operation.result_vars)


def nested(value: Any, form: str) -> str:
    """A tile in brackets, each element in C's `form`."""
    if np.ndim(value) == 0:
        try:
            return form % (value.item() if form[-1] not in "eEfFgG" else float(value))
        except TypeError as error:
            raise SimulatorError(f"printf: {error}") from None
    return "[" + ", ".join(nested(v, form) for v in value) + "]"
