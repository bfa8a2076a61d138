"""Twice a vector in cuTile: Y[i] = X[i] + X[i]."""

import cuda.tile as ct

ConstInt = ct.Constant[int]


@ct.kernel
def toy_kernel(
    X,  # (N,)
    Y,  # (N,)
    TILE: ConstInt,
):
    i = ct.bid(0)
    x = ct.load(X, index=(i,), shape=(TILE,), padding_mode=ct.PaddingMode.ZERO)
    ct.store(Y, index=(i,), tile=x + x)
