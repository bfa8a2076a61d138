"""Attention in three launches, with S and P written to global memory: the definition, tiled.

Einsum: S[b,h,m,n] = sum_d Q[b,h,m,d] * K[b,h//G,n,d] * scale; P = softmax(S) over n; O[b,h,m,d] = sum_n P[b,h,m,n] * V[b,h//G,n,d]

Invariants, each with a test:
  * the maximum and the sum of a row are over all its keys, in fp32, before a single weight is written;
  * masked scores are FLOOR, a finite number, and P is 0 there.
"""

import math

import cuda.tile as ct

ConstInt = ct.Constant[int]
ConstBool = ct.Constant[bool]
ZERO = ct.PaddingMode.ZERO

LOG2_E = 1.0 / math.log(2.0)
FLOOR = -1.0e20  # law: mask floor


@ct.kernel
def scores_kernel(
    Q,  # (B, H, Sq, D)
    K,  # (B, KV, Skv, D)
    S,  # (B * H, Sq, Skv) fp32, in units of log2
    scale: float,
    NUM_HEADS: ConstInt,
    GROUP: ConstInt,
    TILE_M: ConstInt,
    TILE_N: ConstInt,
    TILE_D: ConstInt,
    CAUSAL: ConstBool,
):
    j, x, bh = ct.bid(0), ct.bid(1), ct.bid(2)
    b, h = bh // NUM_HEADS, bh % NUM_HEADS
    q = ct.load(Q, index=(b, h, x, 0), shape=(1, 1, TILE_M, TILE_D), padding_mode=ZERO).reshape((TILE_M, TILE_D))
    k = ct.load(
        K, index=(b, h // GROUP, 0, j), shape=(1, 1, TILE_D, TILE_N), order=(0, 1, 3, 2), padding_mode=ZERO
    ).reshape((TILE_D, TILE_N))
    s = ct.mma(q, k, ct.full((TILE_M, TILE_N), 0.0, dtype=ct.float32)) * (scale * LOG2_E)
    if CAUSAL:
        row = x * TILE_M + ct.arange(TILE_M, dtype=ct.int32)[:, None]
        column = j * TILE_N + ct.arange(TILE_N, dtype=ct.int32)[None, :]
        s = ct.where(row >= column, s, FLOOR)
    ct.store(S, index=(bh, x, j), tile=s.reshape((1, TILE_M, TILE_N)))


@ct.kernel
def softmax_kernel(S, P, TILE_M: ConstInt, TILE_N: ConstInt):
    x, bh = ct.bid(0), ct.bid(1)
    num_n = ct.cdiv(S.shape[2], TILE_N)
    m = ct.full((TILE_M, 1), FLOOR, dtype=ct.float32)
    for j in range(num_n):
        m = max(m, ct.max(row_tile(S, bh, x, j, TILE_M, TILE_N), axis=1, keepdims=True))
    total = ct.full((TILE_M, 1), 0.0, dtype=ct.float32)
    for j in range(num_n):
        total = total + ct.sum(ct.exp2(row_tile(S, bh, x, j, TILE_M, TILE_N) - m), axis=1, keepdims=True)
    for j in range(num_n):
        p = ct.exp2(row_tile(S, bh, x, j, TILE_M, TILE_N) - m) / total
        ct.store(P, index=(bh, x, j), tile=p.astype(P.dtype).reshape((1, TILE_M, TILE_N)))


def row_tile(S, bh, x, j, TILE_M, TILE_N):
    """(TILE_M, TILE_N) of S; past its edges -inf, whose power is 0 because m is never below the floor."""
    tile = ct.load(S, index=(bh, x, j), shape=(1, TILE_M, TILE_N), padding_mode=ct.PaddingMode.NEG_INF)
    return tile.reshape((TILE_M, TILE_N))


@ct.kernel
def product_kernel(
    P,  # (B * H, Sq, Skv)
    V,  # (B, KV, Skv, D)
    Out,  # (B, H, Sq, D)
    NUM_HEADS: ConstInt,
    GROUP: ConstInt,
    TILE_M: ConstInt,
    TILE_N: ConstInt,
    TILE_D: ConstInt,
):
    x, bh = ct.bid(0), ct.bid(1)
    b, h = bh // NUM_HEADS, bh % NUM_HEADS
    acc = ct.full((TILE_M, TILE_D), 0.0, dtype=ct.float32)
    for j in range(ct.cdiv(P.shape[2], TILE_N)):
        p = ct.load(P, index=(bh, x, j), shape=(1, TILE_M, TILE_N), padding_mode=ZERO).reshape((TILE_M, TILE_N))
        v = ct.load(V, index=(b, h // GROUP, j, 0), shape=(1, 1, TILE_N, TILE_D), padding_mode=ZERO)
        acc = ct.mma(p, v.reshape((TILE_N, TILE_D)), acc)
    ct.store(Out, index=(b, h, x, 0), tile=acc.astype(Out.dtype).reshape((1, 1, TILE_M, TILE_D)))
