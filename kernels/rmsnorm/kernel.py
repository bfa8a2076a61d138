"""RMS normalisation without weights, and its gradient; a CTA has whole rows.

Y[i,c] = X[i,c] * r[i] with r[i] = (sum_c X[i,c]^2 / C + eps)^-1/2;
dX[i,c] = r[i] * (dY[i,c] - X[i,c] * r[i]^2 / C * sum_c dY[i,c] * X[i,c]).
"""

import cuda.tile as ct

ConstInt = ct.Constant[int]
ZERO = ct.PaddingMode.ZERO


@ct.kernel
def forward_kernel(X, Y, epsilon: float, TILE_M: ConstInt, TILE_C: ConstInt):
    x = ct.load(X, index=(ct.bid(0), 0), shape=(TILE_M, TILE_C), padding_mode=ZERO)
    ct.store(Y, index=(ct.bid(0), 0), tile=x * scale_of(x, X.shape[1], epsilon))


@ct.kernel
def backward_kernel(X, DY, DX, epsilon: float, TILE_M: ConstInt, TILE_C: ConstInt):
    x = ct.load(X, index=(ct.bid(0), 0), shape=(TILE_M, TILE_C), padding_mode=ZERO)
    dy = ct.load(DY, index=(ct.bid(0), 0), shape=(TILE_M, TILE_C), padding_mode=ZERO)
    r = scale_of(x, X.shape[1], epsilon)
    along = ct.sum(dy * x, axis=1, keepdims=True) * r * r / X.shape[1]
    ct.store(DX, index=(ct.bid(0), 0), tile=r * (dy - x * along))


def scale_of(x, C, epsilon):
    """(TILE_M, 1): the reciprocal root of the mean square; columns past the end are zeros."""
    return ct.rsqrt(ct.sum(x * x, axis=1, keepdims=True) / C + epsilon)
