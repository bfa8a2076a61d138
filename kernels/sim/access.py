"""Memory operations: tiles by index, gather and scatter by pointer, atomics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spak.kernels.sim.dtypes import is_float, poison, poison_of, storage
from spak.kernels.sim.errors import at, unsupported
from spak.kernels.sim.frame import Frame, View
from spak.kernels.sim.machine import Machine, handles
from spak.kernels.sim.memory import Part

Values = NDArray[Any]

PADDING = {"zero": 0.0, "neg_zero": -0.0, "nan": float("nan"), "pos_inf": float("inf"), "neg_inf": float("-inf")}


@handles("make_tensor_view")
def tensor_view(_: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """An array from its address, sizes and strides."""
    shape, strides = ([frame.get(v) for v in vs] for vs in (operation.shape, operation.strides))
    return [View(frame.get(operation.base_ptr), tuple(shape), tuple(strides), operation.result_var.get_type())]


@handles("make_partition_view", "make_strided_view", "make_gather_scatter_view")
def tiled_view(_: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """An array cut into tiles."""
    array = frame.get(operation.array)
    return [View(array.base, array.shape, array.strides, operation.result_var.get_type())]


@handles("make_list_view")
def list_view(_: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """A list of arrays, by its handle."""
    return [frame.get(operation.base_ptr)]


@handles("get_array_list_item")
def list_item(machine: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """Address, sizes and strides of an array of a list."""
    items = machine.memory.lists[int(frame.get(operation.x).flat[0])]
    index = frame.get(operation.index).reshape(-1)
    if ((index < 0) | (index >= len(items))).any():
        raise at(operation, f"index {index[0]} out of a list of {len(items)} arrays")
    rows = [(items[i][0], *items[i][1].shape, *items[i][1].strides) for i in index.tolist()]
    types = [v.get_type().dtype for v in operation.result_vars]
    return [np.array([row[i] for row in rows], dtype=storage(t)) for i, t in enumerate(types)]


def steps(view_type: Any) -> tuple[int, ...]:
    """Elements between neighbouring tiles along each tile axis."""
    return tuple(getattr(view_type, "traversal_steps", None) or view_type.tile_shape)


@handles("num_tiles")
def num_tiles(_: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """Tiles along each axis of a view, partial ones included."""
    view = frame.get(operation.view)
    order = view.type.order
    return [
        -(-view.shape[axis].astype(np.int32) // np.int32(step))
        for axis, step in zip(order, steps(view.type), strict=True)
    ]


def spread(values: Values, rank: int) -> Values:
    """A scalar of each block, with `rank` axes of size one."""
    return values.astype(np.int64).reshape((-1,) + (1,) * rank)


def coordinates(view: View, index: Sequence[Values]) -> list[tuple[int, Values]]:
    """(array axis, element index) of each tile axis; the index arrays broadcast to (blocks, *tile_shape)."""
    ty, rank = view.type, len(view.type.tile_shape)
    sparse = getattr(ty, "sparse_dim", None)
    result = []
    for axis, size in enumerate(ty.tile_shape):
        line = (1,) * (axis + 1) + (size,) + (1,) * (rank - axis - 1)
        if axis == sparse:
            where = index[axis].astype(np.int64).reshape((-1, *line[1:]))
        else:
            step = 1 if sparse is not None else steps(ty)[axis]
            where = spread(index[axis], rank) * step + np.arange(size).reshape(line)
        result.append((axis if sparse is not None else ty.order[axis], where))
    return result


def addresses(operation: Any, frame: Frame) -> tuple[View, Values, Values | None]:
    """The view, the address of each element of the tile, and which lie inside the array (None: all)."""
    view = frame.get(operation.view)
    rank = len(view.type.tile_shape)
    offset: Any = np.int64(0)
    inside: Values | None = None
    for axis, where in coordinates(view, [frame.get(v) for v in operation.index]):
        valid = (where >= 0) & (where < spread(view.shape[axis], rank))
        if not valid.all():
            inside = valid if inside is None else inside & valid
        offset = offset + where * spread(view.strides[axis], rank)
    pointer = spread(view.base, rank) + offset * storage(view.type.array_ty.dtype).itemsize
    if inside is not None:
        if any(getattr(operation, "inbounds", ())):
            raise at(operation, "check_bounds=False, yet the tile reaches beyond the array")
        inside = np.broadcast_to(inside, pointer.shape)
    return view, pointer, inside


def padding_of(machine: Machine, operation: Any, view: View, inside: Values) -> Any:
    """The value of elements beyond the array; where cuTile leaves it open, what the launch says stands for it."""
    mode, dtype = view.type.padding_mode.value, view.type.array_ty.dtype
    if mode == "undetermined":
        return machine.watch.padding(operation, dtype, storage(dtype).type(0), inside)
    if not is_float(dtype) and mode not in ("zero", "neg_zero"):
        raise at(operation, f"padding {mode} of {dtype}")
    return storage(dtype).type(PADDING[mode])


def whole_tiles(machine: Machine, operation: Any, view: View, inside: Values | None) -> None:
    """Tiles by index that reach outside: of each something has to lie inside. Rows by index may be left out whole."""
    if inside is not None and getattr(view.type, "sparse_dim", None) is None:
        machine.watch.outside(operation, inside)


def read(machine: Machine, operation: Any, pointer: Values, inside: Values | None, other: Any) -> Values:
    """Elements at addresses, of the type that the operation gives; `other` where not `inside`."""
    dtype = storage(operation.result_vars[0].get_type().dtype)
    if inside is None:
        [*parts] = found(machine, operation, pointer, dtype)
        if len(parts) == 1:
            return np.asarray(parts[0].elements[parts[0].index])
        inside = np.ones(pointer.shape, dtype=bool)
    shape = np.broadcast_shapes(pointer.shape, inside.shape)
    pointer, inside = np.broadcast_to(pointer, shape), np.broadcast_to(inside, shape)
    result = np.array(np.broadcast_to(other, shape), dtype=dtype)
    chosen = pointer[inside]
    loaded = np.empty(chosen.shape, dtype=dtype)
    for part in found(machine, operation, chosen, dtype):
        loaded[slice(None) if part.here is None else part.here] = part.elements[part.index]
    result[inside] = loaded
    return result


def found(machine: Machine, operation: Any, pointer: Values, dtype: np.dtype[Any]) -> list[Part]:
    """Where elements that are loaded lie."""
    parts = machine.memory.locate(pointer, dtype, store=False)
    if machine.watch.checks:
        for part in parts:
            machine.watch.load(operation, part)
    return parts


def write(
    machine: Machine, operation: Any, frame: Frame, pointer: Values, values: Values, inside: Values | None
) -> None:
    """Store elements; those not `inside` are dropped."""
    shape = np.broadcast_shapes(pointer.shape, values.shape, () if inside is None else inside.shape)
    pointer, values = np.broadcast_to(pointer, shape), np.broadcast_to(values, shape)
    if inside is not None:
        inside = np.broadcast_to(inside, shape)
        pointer, values = pointer[inside], values[inside]
    parts = machine.memory.locate(pointer, values.dtype, store=True)
    if not machine.watch.checks:
        for part in parts:
            part.elements[part.index] = part.of(values)
        return
    numbers = machine.numbers(frame)[: shape[0]]  # one entry where all blocks store the same to the same place
    blocks = np.broadcast_to(numbers.reshape((-1,) + (1,) * (len(shape) - 1)), shape)
    blocks = blocks if inside is None else blocks[inside]
    for part in parts:
        machine.watch.store(operation, part, part.of(values), part.of(blocks))


def every_block(pointer: Values, frame: Frame) -> Values:
    """Addresses with one entry for each block, for operations each block performs."""
    return np.broadcast_to(pointer, (frame.count, *pointer.shape[1:]))


@handles("tile_load")
def load(machine: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """A tile by its index."""
    view, pointer, inside = addresses(operation, frame)
    whole_tiles(machine, operation, view, inside)
    other = padding_of(machine, operation, view, inside) if inside is not None else None
    return [read(machine, operation, pointer, inside, other), None]


@handles("tile_store")
def store(machine: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """A tile by its index; elements beyond the array are dropped."""
    view, pointer, inside = addresses(operation, frame)
    whole_tiles(machine, operation, view, inside)
    write(machine, operation, frame, pointer, frame.get(operation.tile), inside)
    return [None]


@handles("load_pointer")
def gather(machine: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """Elements by pointer."""
    dtype = operation.result_vars[0].get_type().dtype
    mask = None if operation.mask is None else frame.get(operation.mask)
    other = poison(dtype) if operation.padding_value is None else frame.get(operation.padding_value)
    return [read(machine, operation, frame.get(operation.pointer), mask, other), None]


@handles("store_pointer")
def scatter(machine: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """Elements by pointer; of two stores to one place, one wins."""
    mask = None if operation.mask is None else frame.get(operation.mask)
    write(machine, operation, frame, frame.get(operation.pointer), frame.get(operation.value), mask)
    return [None]


@handles("pointer_offset")
def offset(_: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """A pointer moved by elements."""
    from cuda.tile._datatype import PointerInfo

    size = storage(PointerInfo(operation.result_var.get_type().dtype).pointee_dtype).itemsize
    return [frame.get(operation.pointer) + frame.get(operation.offset).astype(np.int64) * size]


UPDATES: dict[str, Callable[[Any, Any], Any]] = {
    "BITWISE_AND": np.bitwise_and,
    "BITWISE_OR": np.bitwise_or,
    "BITWISE_XOR": np.bitwise_xor,
    "ADD_INT": np.add,
    "ADD_FLOAT": np.add,
    "MAX_SIGNED_INT": np.maximum,
    "MIN_SIGNED_INT": np.minimum,
    "MAX_UNSIGNED_INT": np.maximum,
    "MIN_UNSIGNED_INT": np.minimum,
    "EXCHANGE": lambda _, new: new,
}


def modify(
    machine: Machine,
    operation: Any,
    pointer: Values,
    inputs: Sequence[Values],
    inside: Values | None,
    update: Callable[..., Any],
) -> Values:
    """Each element replaced by update(old, *inputs), one after another in block order; the old values, poison where masked."""
    dtype = inputs[0].dtype
    old = np.full(pointer.shape, poison_of(dtype), dtype=dtype)
    chosen = np.ones(pointer.shape, dtype=bool) if inside is None else np.broadcast_to(inside, pointer.shape)
    arguments = [np.broadcast_to(v, pointer.shape)[chosen] for v in inputs]
    before = np.empty(int(chosen.sum()), dtype=dtype)
    for part in updated(machine, operation, pointer[chosen], dtype):
        elements, index = part.elements, part.index
        places = np.flatnonzero(np.ones(len(before), dtype=bool) if part.here is None else part.here)
        if len(np.unique(index)) == len(index):
            before[places] = elements[index]
            elements[index] = update(before[places], *(a[places] for a in arguments))
            continue
        for place, target in zip(places.tolist(), index.tolist(), strict=True):
            before[place] = elements[target]
            elements[target] = update(before[place], *(a[place] for a in arguments))
    old[chosen] = before
    return old


@handles("tile_atomic_rmw")
def atomic_update(machine: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """Atomic add, and, or, xor, min, max, exchange."""
    pointer = every_block(frame.get(operation.pointer), frame)
    mask = None if operation.mask is None else frame.get(operation.mask)
    update = UPDATES.get(operation.mode.name)
    if update is None:
        raise unsupported(operation, f"atomic {operation.mode.name}")
    values = frame.get(operation.update)
    if operation.result_vars[0].name not in machine.used and isinstance(update, np.ufunc):
        accumulate(machine, operation, pointer, values, (mask, update))
        return [np.zeros(pointer.shape, dtype=values.dtype), None]
    return [modify(machine, operation, pointer, [values], mask, update), None]


def accumulate(
    machine: Machine, operation: Any, pointer: Values, values: Values, how: tuple[Values | None, np.ufunc]
) -> None:
    """`modify` for when nobody reads the old values."""
    mask, update = how
    values = np.broadcast_to(values, pointer.shape)
    if mask is not None:
        chosen = np.broadcast_to(mask, pointer.shape)
        pointer, values = pointer[chosen], values[chosen]
    for part in updated(machine, operation, pointer, values.dtype):
        update.at(part.elements, part.index, part.of(values))


def updated(machine: Machine, operation: Any, pointer: Values, dtype: np.dtype[Any]) -> list[Part]:
    """Where elements that are updated atomically lie."""
    parts = machine.memory.locate(pointer, dtype, store=True)
    if machine.watch.checks:
        for part in parts:
            machine.watch.update(operation, part)
    return parts


@handles("tile_atomic_red_view")
def atomic_tile(machine: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """Atomic update of a whole tile, without old values."""
    _, pointer, inside = addresses(operation, frame)
    pointer = every_block(pointer, frame)
    modify(machine, operation, pointer, [frame.get(operation.update)], inside, UPDATES[operation.mode.name])
    return [None]


@handles("tile_atomic_cas")
def compare_and_swap(machine: Machine, operation: Any, frame: Frame) -> Sequence[Any]:
    """Atomic replacement of elements that equal what is expected."""
    pointer = every_block(frame.get(operation.pointer), frame)
    mask = None if operation.mask is None else frame.get(operation.mask)
    expected = frame.get(operation.expected)
    inputs = [expected, frame.get(operation.desired)]
    old = modify(machine, operation, pointer, inputs, mask, lambda old, want, new: np.where(old == want, new, old))
    return [old if mask is None else np.where(mask, old, expected), None]
