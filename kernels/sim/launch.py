"""Launching a kernel on the CPU, with the call shape of `cuda.tile.launch`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spak.kernels.sim import access, arithmetic, folding, shaping  # noqa: F401 -- they register what operations do
from spak.kernels.sim.dtypes import narrow, poison_of
from spak.kernels.sim.errors import SimulatorError
from spak.kernels.sim.frame import Frame
from spak.kernels.sim.frontend import Program, compile_kernel, flat_values
from spak.kernels.sim.machine import Machine
from spak.kernels.sim.memory import Memory
from spak.kernels.sim.watch import Undetermined, Watch

BATCH_ELEMENTS = 1 << 20
"""Elements of the kernel's largest tile, over the blocks that run together: 4 MiB of float32, about what a cache holds."""
MAX_GRID_RANK = 3
ORDERS: dict[str, Callable[[int], NDArray[np.int64]]] = {
    "forward": np.arange,
    "reversed": lambda count: np.arange(count)[::-1],
    "shuffled": lambda count: np.random.default_rng(0).permutation(count),
}
BlockOrder = Literal["forward", "reversed", "shuffled"]
ATOMICS = ("tile_atomic_cas", "tile_atomic_rmw", "tile_atomic_red_view")


def launch(
    stream: Any,
    grid: Sequence[int],
    kernel: Any,
    args: Sequence[Any],
    *,
    batch: int | None = None,
    order: BlockOrder | Callable[[int], Sequence[int] | NDArray[np.int64]] = "forward",
    write: Callable[[str], object] = sys.stdout.write,
    undetermined: Undetermined = "poison",
    check: bool = False,
    partial: Collection[str] = (),
    programmatic_dependent_launch: bool = False,
) -> None:
    """Run `kernel` over `grid` on the CPU; it has run when this returns.

    Args:
        stream: Ignored; there is one, in order.
        grid: Up to three numbers of blocks; () is one block.
        kernel: A `cuda.tile.kernel`, or the plain function under one.
        args: NumPy arrays or torch tensors on the CPU (changed in place), numbers, tuples, lists of arrays.
        batch: Blocks that run together; chosen by tile size if None, 1 runs them one after another.
        order: The order in which blocks run, which a GPU does not promise: `forward` (x fastest), `reversed`,
            `shuffled` (the same way every time), or number of blocks -> their numbers in launch order.
        write: Where the kernel's `print` and `printf` go.
        undetermined: What stands for elements beyond an array where a load says no padding mode. `poison`: NaN, or a
            sentinel integer; `zero`: zeros, which a GPU does not promise, with a warning that names the load.
        check: Whether the launch is held to more than its values, by shadow memory: see `Raises`.
        partial: Names of array parameters that are meant to be filled in part, for `check`.
        programmatic_dependent_launch: Accepted and ignored: launches are in order.

    Raises:
        SimulatorError: If the kernel reaches outside an array, breaks a promise, fails an assertion or hangs. With
            `check` also if two blocks store different values to one element without an atomic, a tile lies wholly
            outside its array, elements of an output are stored by no block, or elements of an array that is stored to
            are loaded while they hold the poison of `empty`.
        cuda.tile.TileError: If cuTile would reject its source.
    """
    del stream, programmatic_dependent_launch
    sizes = grid_sizes(grid)
    program = compile_kernel(kernel, args)
    memory = Memory()
    values = flat_values(program, args, memory)
    typed = zip(program.body.params, values, strict=True)
    parameters = [narrow(np.array([value]), parameter.get_type().dtype) for parameter, value in typed]
    total = sizes[0] * sizes[1] * sizes[2]
    together = batch or batch_size(program)
    numbers = np.asarray((ORDERS[order] if isinstance(order, str) else order)(total))
    used = frozenset(v.name for o in program.body.traverse() for v in o.all_inputs())
    watch = Watch(undetermined, check, partial, synchronised=check and synchronises(program, used))
    with np.errstate(all="ignore"):
        for first in range(0, total, together):
            ids = block_ids(sizes, numbers[first : first + together])
            frame = Frame(len(ids))
            frame.set(program.body.params, parameters)
            Machine(memory, sizes, ids, used, write, watch).run_block(program.body, frame)
    watch.end()


def grid_sizes(grid: Any) -> tuple[int, int, int]:
    """The grid as three numbers.

    Raises:
        SimulatorError: If `cuda.tile.launch` would refuse it.
    """
    if not isinstance(grid, tuple):
        raise SimulatorError(f"grid must be a tuple (got {type(grid).__name__})")
    if len(grid) > MAX_GRID_RANK or any(size < 1 for size in grid):
        raise SimulatorError(f"grid must be at most three positive numbers (got {grid})")
    x, y, z = [*map(int, grid), 1, 1, 1][:MAX_GRID_RANK]
    return x, y, z


def synchronises(program: Program, used: frozenset[str]) -> bool:
    """Whether blocks may wait for one another: an atomic update whose old value somebody looks at."""
    return any(o.op in ATOMICS and any(v.name in used for v in o.result_vars[:1]) for o in program.body.traverse())


def block_ids(grid: tuple[int, int, int], numbers: NDArray[np.int64]) -> NDArray[np.int32]:
    """(count, 3) ids of blocks by their numbers in launch order, x fastest."""
    return np.stack(np.unravel_index(numbers, grid, order="F"), axis=1).astype(np.int32)


def batch_size(program: Program) -> int:
    """Blocks to run together: one if the kernel spins on memory (a lock), else as many as stay in cache."""
    if any(spins(operation) for operation in program.body.traverse()):
        return 1
    largest = 1
    for operation in program.body.traverse():
        for variable in operation.result_vars:
            shape = getattr(variable.get_type_allow_invalid(), "shape", ())
            if all(isinstance(size, int) for size in shape):
                largest = max(largest, int(np.prod(shape)))
    return max(1, BATCH_ELEMENTS // largest)


def spins(operation: Any) -> bool:
    """Whether an operation is a loop without a bound that waits on memory others change."""
    if operation.op != "loop" or operation.is_for_loop:
        return False
    return any(
        inner.op in ATOMICS or (inner.has_observable_effect and inner.op == "tile_load")
        for inner in operation.body.traverse()
    )


def empty(shape: Sequence[int], dtype: Any) -> NDArray[Any]:
    """An array of poison (NaN, or a sentinel integer), for outputs: what a kernel does not write cannot pass."""
    kind = np.dtype(dtype)
    return np.full(tuple(shape), poison_of(kind), dtype=kind)
