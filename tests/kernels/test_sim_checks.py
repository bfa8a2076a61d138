"""`launch(check=True)`: a bug that leaves a plausible result is an error with the line it stands on; what is right passes."""

from __future__ import annotations

import warnings
from typing import Any

import cuda.tile as ct
import numpy as np
import pytest

from spak.kernels import sim

F32, I32 = np.float32, np.int32
N, TILE = 64, 16


@ct.kernel
def copy(X, Y):
    i = ct.bid(0)
    ct.store(Y, (i,), ct.load(X, (i,), (TILE,)))


@ct.kernel
def copy_with_padding(X, Y):
    i = ct.bid(0)
    ct.store(Y, (i,), ct.load(X, (i,), (TILE,), padding_mode=ct.PaddingMode.ZERO))


@ct.kernel
def copy_to_a_neighbour(X, Y):
    i = ct.bid(0)
    ct.store(Y, (i // 2,), ct.load(X, (i,), (TILE,)))


@ct.kernel
def copy_the_first(X, Y):
    ct.store(Y, (0,), ct.load(X, (0,), (TILE,)))


@ct.kernel
def scatter_by_twos(X, Y):
    i = ct.bid(0)
    ct.scatter(Y, ct.arange(TILE, dtype=ct.int32), ct.load(X, (i,), (TILE,)))


@ct.kernel
def scatter_the_first(X, Y):
    where = ct.arange(TILE, dtype=ct.int32)
    ct.scatter(Y, where, ct.gather(X, where))


@ct.kernel
def add_to(X, Y):
    i = ct.bid(0)
    ct.store(Y, (i,), ct.load(Y, (i,), (TILE,)) + ct.load(X, (i,), (TILE,)))


@ct.kernel
def add_atomically(X, Y):
    i = ct.bid(0)
    ct.atomic_add(Y, ct.arange(TILE, dtype=ct.int32), ct.load(X, (i,), (TILE,)))


@ct.kernel
def exchange(X, Y):
    where = ct.arange(TILE, dtype=ct.int32)
    ct.atomic_xchg(Y, where, ct.load(X, (0,), (TILE,)))


@ct.kernel
def add_under_a_lock(X, Y, Lock):
    i = ct.bid(0)
    while ct.atomic_cas(Lock, 0, 0, 1, memory_order=ct.MemoryOrder.ACQUIRE) == 1:
        pass
    ct.store(Y, (0,), ct.load(Y, (0,), (TILE,)) + ct.load(X, (i,), (TILE,)))
    ct.atomic_xchg(Lock, 0, 0, memory_order=ct.MemoryOrder.RELEASE)


@ct.kernel
def sum_rows(X, Y):
    i = ct.bid(0)
    ct.store(Y, (i,), ct.sum(ct.load(X, (i, 0), (1, TILE)), axis=1))


def inputs(size: int = N) -> tuple[Any, Any]:
    return np.arange(size, dtype=F32), sim.empty((size,), F32)


def line_of(error: pytest.ExceptionInfo[Any], kernel: Any) -> None:
    """The message begins with this file and a line of the kernel."""
    code = kernel._pyfunc.__code__
    path, line, _ = str(error.value).split(":", 2)
    assert path == code.co_filename
    assert code.co_firstlineno <= int(line) <= code.co_firstlineno + 10


@pytest.mark.parametrize(
    ("kernel", "grid", "size", "words"),
    [
        (copy, (N // TILE - 1,), N, "16 of 64 elements of Y are stored by no block, the first is element 48"),
        (copy_to_a_neighbour, (N // TILE,), N, "blocks 0 and 1 store different values to element 0 of Y"),
        (copy_the_first, (2,), N, "48 of 64 elements of Y are stored by no block"),
        (scatter_by_twos, (2,), N, "blocks 0 and 1 store different values to element 0 of Y"),
        (scatter_the_first, (1,), N, "48 of 64 elements of Y are stored by no block, the first is element 16"),
        (copy, (N // TILE + 1,), N, "the whole tile lies outside the array"),
        (copy_with_padding, (N // TILE + 1,), N, "tile_load: the whole tile lies outside the array"),
        (add_atomically, (2,), N, "element 0 of Y is loaded, and nobody wrote it"),
        (add_to, (N // TILE,), N, "element 0 of Y is loaded, and nobody wrote it"),
        (copy, (4,), 72, "the first is element 64"),
    ],
)
@pytest.mark.parametrize("batch", [None, 1])
def test_a_planted_bug_is_an_error_at_its_line(kernel, grid, size, words, batch):
    """However many blocks run together; without the check nothing is said."""
    with pytest.raises(sim.SimulatorError, match=words) as error:
        sim.launch(None, grid, kernel, inputs(size), check=True, batch=batch)
    line_of(error, kernel)
    sim.launch(None, grid, kernel, inputs(size), batch=batch)


def right(kernel: Any, grid: tuple[int, ...], args: tuple[Any, ...], **how: Any) -> None:
    """The launch passes its checks without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sim.launch(None, grid, kernel, args, check=True, **how)


@pytest.mark.parametrize("order", ["forward", "reversed", "shuffled"])
def test_what_is_right_is_not_accused(order):
    """Tails with padding, sums in place, atomics, a lock, and two blocks that store the same."""
    x, y = inputs(60)
    right(copy_with_padding, (4,), (x, y), order=order)
    assert np.array_equal(x, y)
    x, _ = inputs()
    y = np.zeros(N, F32)
    right(add_to, (4,), (x, y), order=order)
    assert np.array_equal(x, y)
    total = np.zeros(TILE, F32)
    right(add_atomically, (4,), (x, total), order=order)
    assert np.array_equal(total, x.reshape(4, TILE).sum(0))
    total[:] = 0
    right(add_under_a_lock, (4,), (x, total, np.zeros(1, I32)), order=order)
    assert np.array_equal(total, x.reshape(4, TILE).sum(0))
    right(copy_the_first, (3,), (x, sim.empty((TILE,), F32)), order=order)


def test_an_array_that_held_something_may_be_scattered_to_in_part():
    """Such as a cache of keys; one that came fresh may not."""
    right(scatter_the_first, (1,), (np.ones(N, F32), np.zeros(N, F32)))


def test_an_exchange_may_be_the_first_to_write():
    x, y = inputs(TILE)
    right(exchange, (1,), (x, y))
    assert np.array_equal(x, y)


def test_gaps_of_a_strided_output_are_nobody_s_business():
    whole = np.zeros((4, 2), F32)
    right(sum_rows, (4,), (np.ones((4, TILE), F32), whole[:, 0]))
    assert whole[:, 0].tolist() == [TILE] * 4


def test_a_part_that_is_meant_is_named():
    right(copy, (3,), inputs(), partial=["Y"])


def test_an_input_may_hold_nan_and_an_output_that_is_not_read_may_hold_anything():
    x, y = inputs()
    x[3] = np.nan
    right(copy, (4,), (x, y))


def test_of_integers_the_sentinel_is_what_nobody_wrote():
    y = sim.empty((N,), I32)
    with pytest.raises(sim.SimulatorError, match="is loaded, and nobody wrote it"):
        sim.launch(None, (4,), add_to, (np.zeros(N, I32), y), check=True)


def test_zeros_may_stand_for_what_is_undetermined_and_the_load_is_named():
    """A published kernel that relies on zeros runs, and says at which line it does."""
    x, y = np.ones((4, 12), F32), sim.empty((4,), F32)
    with pytest.warns(
        sim.SimulatorWarning, match=r"16 elements beyond the array are undetermined, zeros stand"
    ) as told:
        sim.launch(None, (4,), sum_rows, (x, y), undetermined="zero", batch=1)
    assert y.tolist() == [12] * 4
    assert str(told[0].message).startswith(sum_rows._pyfunc.__code__.co_filename)
    assert len(told) == 1


def test_poison_that_reaches_a_result_is_traced_to_its_load():
    x, y = np.ones((4, 12), F32), sim.empty((4,), F32)
    with pytest.warns(sim.SimulatorWarning, match="NaN stands for them; say padding_mode"):
        sim.launch(None, (4,), sum_rows, (x, y), check=True)
    assert np.isnan(y).all()


def test_poison_that_reaches_no_result_is_not_spoken_of():
    right(copy, (5,), inputs(72))


@ct.kernel
def swap_where_it_may(Y, Old):
    where = ct.arange(4, dtype=ct.int32)
    ct.store(Old, (0,), ct.atomic_cas(Y, where, where + 10, ct.full((4,), 1, ct.int32)))


def test_a_swap_outside_the_array_gives_what_was_expected():
    """As cuTile documents it; inside it is the old value."""
    y, old = np.array([10, 5], I32), np.zeros(4, I32)
    sim.launch(None, (1,), swap_where_it_may, (y, old))
    assert old.tolist() == [10, 5, 12, 13]
    assert y.tolist() == [1, 5]


@pytest.mark.parametrize(
    ("grid", "words"),
    [([4], "must be a tuple"), ((1, 1, 1, 1), "at most three"), ((0,), "positive"), (4, "must be a tuple")],
)
def test_a_grid_that_a_launch_refuses_is_refused(grid, words):
    with pytest.raises(sim.SimulatorError, match=words):
        sim.launch(None, grid, copy, inputs())


def test_no_dimension_is_one_block_and_dependent_launches_are_accepted():
    x, y = inputs()
    sim.launch(None, (), copy_the_first, (x, y), programmatic_dependent_launch=True)
    assert y[:TILE].tolist() == x[:TILE].tolist()
    assert np.isnan(y[TILE:]).all()
