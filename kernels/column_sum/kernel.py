"""Sums over the columns of a matrix in two launches: strips of rows at the same time, then their sums.

The order of every sum is fixed, so that the result is the same to the last bit whenever, and on as many
multiprocessors as, it is computed.
"""

import cuda.tile as ct

ConstInt = ct.Constant[int]
ConstBool = ct.Constant[bool]
ZERO = ct.PaddingMode.ZERO


@ct.kernel
def strips_kernel(X, Partials, STRIP: ConstInt, TILE_M: ConstInt, TILE_N: ConstInt, USE_TMA: ConstBool):
    j, strip = ct.bid(0), ct.bid(1)
    last = min((strip + 1) * STRIP, ct.cdiv(X.shape[0], TILE_M))
    total = ct.full((TILE_M, TILE_N), 0.0, dtype=ct.float32)
    for i in range(strip * STRIP, last):
        x = ct.load(X, index=(i, j), shape=(TILE_M, TILE_N), padding_mode=ZERO, allow_tma=USE_TMA)
        total = total + x.astype(ct.float32)
    ct.store(Partials, index=(0, strip, j), tile=ct.sum(total, axis=0).reshape((1, 1, TILE_N)), allow_tma=False)


@ct.kernel
def finish_kernel(Partials, Out, TILE_P: ConstInt, TILE_N: ConstInt):
    j = ct.bid(0)
    ct.store(Out, index=(j,), tile=sum_of_strips(Partials, 0, j, TILE_P, TILE_N).astype(Out.dtype))


def sum_of_strips(Partials, k, j, TILE_P, TILE_N):
    """(TILE_N,): the sum over strips of Partials (sums, strips, columns) in tile j of columns."""
    total = ct.full((TILE_P, TILE_N), 0.0, dtype=ct.float32)
    for i in range(ct.cdiv(Partials.shape[1], TILE_P)):
        part = ct.load(Partials, index=(k, i, j), shape=(1, TILE_P, TILE_N), padding_mode=ZERO, allow_tma=False)
        total = total + part.reshape((TILE_P, TILE_N))
    return ct.sum(total, axis=0)
