"""Causal attention whose keys fit one tile, and its gradient, in fp32 and for heads of any size.

S = Q K^T * scale, masked above the diagonal; P = softmax(S); O = P V. Backward, with P made again:
dV = P^T dO; dP = dO V^T; dS = P * (dP - rowsum(P * dP)); dQ = dS K * scale; dK = dS^T Q * scale.
Arrays are (B, S, H, D), as a linear layer writes them.
"""

import cuda.tile as ct

ConstInt = ct.Constant[int]
ZERO = ct.PaddingMode.ZERO
FLOOR = -1.0e20  # law: mask floor


@ct.kernel
def forward_kernel(Q, K, V, Out, scale: float, TILE_M: ConstInt, TILE_N: ConstInt, TILE_D: ConstInt):
    x, h, b = ct.bid(0), ct.bid(1), ct.bid(2)
    q = rows_of(Q, b, x, h, TILE_M, TILE_D)
    p = weights(q, columns_of(K, b, h, TILE_N, TILE_D), x, scale, TILE_M, TILE_N)
    out = ct.mma(p, rows_of(V, b, 0, h, TILE_N, TILE_D), ct.full((TILE_M, TILE_D), 0.0, dtype=ct.float32))
    ct.store(Out, index=(b, x, h, 0), tile=out.reshape((1, TILE_M, 1, TILE_D)))


@ct.kernel
def backward_kernel(Q, K, V, DOut, DQ, DK, DV, scale: float, TILE_M: ConstInt, TILE_N: ConstInt, TILE_D: ConstInt):
    h, b = ct.bid(0), ct.bid(1)
    k, v = rows_of(K, b, 0, h, TILE_N, TILE_D), rows_of(V, b, 0, h, TILE_N, TILE_D)
    dk = ct.full((TILE_N, TILE_D), 0.0, dtype=ct.float32)
    dv = ct.full((TILE_N, TILE_D), 0.0, dtype=ct.float32)
    for x in range(ct.cdiv(Q.shape[1], TILE_M)):
        q, do = rows_of(Q, b, x, h, TILE_M, TILE_D), rows_of(DOut, b, x, h, TILE_M, TILE_D)
        p = weights(q, ct.transpose(k), x, scale, TILE_M, TILE_N)
        dp = ct.mma(do, ct.transpose(v), ct.full((TILE_M, TILE_N), 0.0, dtype=ct.float32))
        ds = p * (dp - ct.sum(p * dp, axis=1, keepdims=True)) * scale
        dv = ct.mma(ct.transpose(p), do, dv)
        dk = ct.mma(ct.transpose(ds), q, dk)
        dq = ct.mma(ds, k, ct.full((TILE_M, TILE_D), 0.0, dtype=ct.float32))
        ct.store(DQ, index=(b, x, h, 0), tile=dq.reshape((1, TILE_M, 1, TILE_D)))
    ct.store(DK, index=(b, 0, h, 0), tile=dk.reshape((1, TILE_N, 1, TILE_D)))
    ct.store(DV, index=(b, 0, h, 0), tile=dv.reshape((1, TILE_N, 1, TILE_D)))


def weights(q, k_columns, x, scale, TILE_M, TILE_N):
    """P of the x-th tile of queries; a key past the end lies above the diagonal of every row that is kept."""
    s = ct.mma(q, k_columns, ct.full((TILE_M, TILE_N), 0.0, dtype=ct.float32)) * scale
    row = x * TILE_M + ct.arange(TILE_M, dtype=ct.int32)[:, None]
    s = ct.where(row >= ct.arange(TILE_N, dtype=ct.int32)[None, :], s, FLOOR)
    e = ct.exp(s - ct.max(s, axis=1, keepdims=True))
    return e / ct.sum(e, axis=1, keepdims=True)


def rows_of(X, b, x, h, TILE, TILE_D):
    """(TILE, TILE_D): the x-th tile of rows of a head."""
    return ct.load(X, index=(b, x, h, 0), shape=(1, TILE, 1, TILE_D), padding_mode=ZERO).reshape((TILE, TILE_D))


def columns_of(X, b, h, TILE, TILE_D):
    """(TILE_D, TILE): the first tile of a head, transposed."""
    tile = ct.load(X, index=(b, h, 0, 0), shape=(1, 1, TILE_D, TILE), order=(0, 2, 3, 1), padding_mode=ZERO)
    return tile.reshape((TILE_D, TILE))
