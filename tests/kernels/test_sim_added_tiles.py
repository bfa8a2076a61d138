"""Tiles added in memory by many blocks, in any order of blocks, on the simulator."""

from __future__ import annotations

import cuda.tile as ct
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kernels import sim

C = ct.Constant[int]
F32 = np.float32


@ct.kernel
def add_kernel(X, Where, Parts, ROWS: C, COLUMNS: C):
    """Adds part i of Parts (n * ROWS, COLUMNS) to the tile of X that row i of Where (n, 2) names."""
    i = ct.bid(0)
    place = ct.load(Where, (i, 0), (1, 2))
    row = ct.extract(place, (0, 0), (1, 1)).item()
    column = ct.extract(place, (0, 1), (1, 1)).item()
    X.tiled_view((ROWS, COLUMNS)).atomic_store_add((row, column), ct.load(Parts, (i, 0), (ROWS, COLUMNS)))


@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    tile=st.sampled_from([(4, 8), (8, 4), (1, 16)]),
    blocks=st.integers(1, 12),
    batch=st.sampled_from([None, 1, 5]),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_block_s_tile_is_added_once_whatever_runs_first(height, width, tile, blocks, batch, seed) -> None:
    """Against NumPy, with whole numbers, whose sums are exact; what lies beyond the array is dropped, its neighbours stay."""
    rng = np.random.default_rng(seed)
    rows, columns = tile
    room = rng.integers(-9, 9, (height + 2, width)).astype(F32)
    where = np.stack(
        [rng.integers(0, -(-height // rows), blocks), rng.integers(0, -(-width // columns), blocks)], axis=1
    )
    parts = rng.integers(-9, 9, (blocks * rows, columns)).astype(F32)
    want = room.copy()
    for i, (x, y) in enumerate(where):
        target = want[1 : height + 1][x * rows : (x + 1) * rows, y * columns : (y + 1) * columns]
        target += parts[i * rows : (i + 1) * rows][: target.shape[0], : target.shape[1]]
    args = (room[1 : height + 1], where.astype(np.int32), parts, rows, columns)
    sim.launch(None, (blocks,), add_kernel, args, batch=batch, order=rng.permutation)
    np.testing.assert_array_equal(room, want)


def test_a_number_of_another_type_is_cast_to_the_view_s() -> None:
    """Halves added to fp32."""

    @ct.kernel
    def kernel(X, Y):
        X.tiled_view((8,)).atomic_store_add((0,), ct.load(Y, (0,), (8,)))

    x, y = np.ones(8, F32), np.arange(8).astype(np.float16)
    sim.launch(None, (2,), kernel, (x, y))
    assert x.tolist() == [1 + 2 * value for value in range(8)]


@pytest.mark.parametrize("batch", [None, 1, 3])
def test_blocks_run_in_the_order_asked_for(batch) -> None:
    """The last one's store stays; in launch order that is the block with the highest number."""

    @ct.kernel
    def kernel(X):
        ct.store(X, (0, 0), ct.full((1, 1), ct.bid(0) + 10 * ct.bid(1), dtype=ct.int32))

    x = np.zeros((1, 1), np.int32)
    sim.launch(None, (4, 2), kernel, (x,), batch=batch)
    assert x.item() == 13
    sim.launch(None, (4, 2), kernel, (x,), batch=batch, order=lambda count: np.arange(count)[::-1])
    assert x.item() == 0
    sim.launch(None, (4, 2), kernel, (x,), batch=batch, order=lambda _: [0, 1, 2, 3, 4, 5, 7, 6])
    assert x.item() == 12
