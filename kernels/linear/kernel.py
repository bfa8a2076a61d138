"""Linear layer: the product of two matrices of which either may be stored transposed. Forward and both gradients are one.

Y = X W^T, dX = dY W, dW = dY^T X. The sum over k is in fp32, of fp32 products: not tf32.
With RMSNorm folded in, Y = r * (X W^T): the scale of a row is the same for all its elements, so it may wait until the
product is there, and the squares are summed of the tiles that the product loads.
"""

import cuda.tile as ct

ConstInt = ct.Constant[int]
ConstBool = ct.Constant[bool]
ZERO = ct.PaddingMode.ZERO


@ct.kernel
def product_kernel(
    A,  # (M, K), or (K, M) if A_IS_TRANSPOSED
    B,  # (K, N), or (N, K) if B_IS_TRANSPOSED
    C,  # (M, N)
    A_IS_TRANSPOSED: ConstBool,
    B_IS_TRANSPOSED: ConstBool,
    TILE_M: ConstInt,
    TILE_N: ConstInt,
    TILE_K: ConstInt,
):
    i, j = ct.bid(0), ct.bid(1)
    depth = A.shape[0] if A_IS_TRANSPOSED else A.shape[1]
    acc = ct.full((TILE_M, TILE_N), 0.0, dtype=ct.float32)
    for k in range(ct.cdiv(depth, TILE_K)):
        a = load_tile(A, i, k, TILE_M, TILE_K, A_IS_TRANSPOSED)
        b = load_tile(B, k, j, TILE_K, TILE_N, B_IS_TRANSPOSED)
        acc = ct.mma(a, b, acc)
    ct.store(C, index=(i, j), tile=acc)


@ct.kernel
def normalised_kernel(X, W, Y, epsilon: float, TILE_M: ConstInt, TILE_N: ConstInt, TILE_K: ConstInt):
    i, j = ct.bid(0), ct.bid(1)
    acc = ct.full((TILE_M, TILE_N), 0.0, dtype=ct.float32)
    squares = ct.full((TILE_M, 1), 0.0, dtype=ct.float32)
    for k in range(ct.cdiv(X.shape[1], TILE_K)):
        x = load_tile(X, i, k, TILE_M, TILE_K, False)
        acc = ct.mma(x, load_tile(W, k, j, TILE_K, TILE_N, True), acc)
        squares = squares + ct.sum(x * x, axis=1, keepdims=True)
    ct.store(Y, index=(i, j), tile=acc * ct.rsqrt(squares / X.shape[1] + epsilon))


def load_tile(X, i, j, TILE_I, TILE_J, IS_TRANSPOSED):
    """(TILE_I, TILE_J) at row i and column j of tiles of X, or of its transpose."""
    if IS_TRANSPOSED:
        return ct.load(X, index=(i, j), shape=(TILE_I, TILE_J), order=(1, 0), padding_mode=ZERO)
    return ct.load(X, index=(i, j), shape=(TILE_I, TILE_J), padding_mode=ZERO)
