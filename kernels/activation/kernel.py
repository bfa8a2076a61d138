"""ReLU and its gradient, which is 0 at 0."""

import cuda.tile as ct

ConstInt = ct.Constant[int]


@ct.kernel
def forward_kernel(X, Y, TILE: ConstInt):
    x = ct.load(X, index=(ct.bid(0),), shape=(TILE,), padding_mode=ct.PaddingMode.ZERO)
    ct.store(Y, index=(ct.bid(0),), tile=ct.where(x > 0.0, x, 0.0))


@ct.kernel
def backward_kernel(X, DY, DX, TILE: ConstInt):
    x = ct.load(X, index=(ct.bid(0),), shape=(TILE,), padding_mode=ct.PaddingMode.ZERO)
    dy = ct.load(DY, index=(ct.bid(0),), shape=(TILE,), padding_mode=ct.PaddingMode.ZERO)
    ct.store(DX, index=(ct.bid(0),), tile=ct.where(x > 0.0, dy, 0.0))
