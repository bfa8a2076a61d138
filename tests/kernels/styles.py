"""Kernels in the styles people publish, for the simulator's tests. cuTile source; types are cuTile's."""

from __future__ import annotations

import cuda.tile as ct

ConstInt = ct.Constant[int]
ZERO = ct.PaddingMode.ZERO


@ct.kernel
def vector_add(A, B, C, TILE: ConstInt):
    index = ct.bid(0) * TILE + ct.arange(TILE, dtype=ct.int32)
    ct.scatter(C, index, ct.gather(A, index) + ct.gather(B, index))


@ct.kernel
def transpose(X, Y, TM: ConstInt, TN: ConstInt):
    tile = ct.load(X, index=(ct.bid(0), ct.bid(1)), shape=(TM, TN))
    ct.store(Y, index=(ct.bid(1), ct.bid(0)), tile=ct.transpose(tile))


def swizzle(linear, num_m, num_n, GROUP):
    per_group = GROUP * num_n
    group = linear // per_group
    first = group * GROUP
    size = ct.minimum(num_m - first, GROUP)
    return first + (linear % per_group) % size, (linear % per_group) // size


@ct.kernel
def matmul_persistent(A, B, C, TM: ConstInt, TN: ConstInt, TK: ConstInt, GROUP: ConstInt):
    num_m, num_n = ct.cdiv(A.shape[0], TM), ct.cdiv(B.shape[1], TN)
    for tile in range(ct.bid(0), num_m * num_n, ct.num_blocks(0)):
        bm, bn = swizzle(tile, num_m, num_n, GROUP)
        acc = ct.full((TM, TN), 0.0, dtype=ct.float32)
        for k in range(ct.num_tiles(A, axis=1, shape=(TM, TK))):
            a = ct.load(A, index=(bm, k), shape=(TM, TK), padding_mode=ZERO)
            b = ct.load(B, index=(k, bn), shape=(TK, TN), padding_mode=ZERO)
            acc = ct.mma(a, b, acc)
        ct.store(C, index=(bm, bn), tile=ct.astype(acc, C.dtype))


@ct.kernel
def batched_matmul(A, B, C, TM: ConstInt, TN: ConstInt, TK: ConstInt):
    z, bm, bn = ct.bid(2), ct.bid(0), ct.bid(1)
    acc = ct.zeros((TM, TN), dtype=ct.float32)
    for k in range(ct.cdiv(A.shape[2], TK)):
        a = ct.load(A, (z, bm, k), (1, TM, TK), padding_mode=ZERO).reshape((TM, TK))
        b = ct.load(B, (z, k, bn), (1, TK, TN), padding_mode=ZERO).reshape((TK, TN))
        acc += a @ b
    ct.store(C, (z, bm, bn), acc.astype(C.dtype).reshape((1, TM, TN)))


@ct.kernel
def softmax_rows(X, Y, num_rows: int, TILE: ConstInt):
    for row in range(ct.bid(0), num_rows, ct.num_blocks(0)):
        x = ct.load(X, (row, 0), (1, TILE), padding_mode=ct.PaddingMode.NEG_INF).astype(ct.float32)
        e = ct.exp(x - ct.max(x, axis=1, keepdims=True))
        ct.store(Y, (row, 0), ct.truediv(e, ct.sum(e, axis=1, keepdims=True)).astype(Y.dtype))


@ct.kernel
def layer_norm(X, W, B, Y, Mean, eps: float, N: ConstInt, TILE: ConstInt):
    row = ct.bid(0)
    total = ct.zeros((1, TILE), dtype=ct.float32)
    for j in range(ct.cdiv(N, TILE)):
        total += ct.load(X, (row, j), (1, TILE), padding_mode=ZERO)
    mean = ct.sum(total, axis=1) / N
    ct.store(Mean, (row,), mean)
    spread = ct.zeros((1, TILE), dtype=ct.float32)
    for j in range(ct.cdiv(N, TILE)):
        x = ct.load(X, (row, j), (1, TILE), padding_mode=ZERO)
        inside = (j * TILE + ct.arange(TILE, dtype=ct.int32)) < N
        centred = ct.where(inside, x - mean, 0)
        spread += centred * centred
    inverse = ct.rsqrt(ct.sum(spread, axis=1) / N + eps)
    for j in range(ct.cdiv(N, TILE)):
        x = ct.load(X, (row, j), (1, TILE), padding_mode=ZERO)
        w, b = ct.load(W, (j,), (TILE,), padding_mode=ZERO), ct.load(B, (j,), (TILE,), padding_mode=ZERO)
        ct.store(Y, (row, j), (x - mean) * inverse * w + b)


@ct.kernel
def column_sums_locked(X, Sum, Locks, Count, GROUPS: ConstInt, TILE: ConstInt):
    row = ct.bid(0)
    group = row % GROUPS
    x = ct.load(X, (row, 0), (1, TILE), padding_mode=ZERO)
    while ct.atomic_cas(Locks, group, 0, 1, memory_order=ct.MemoryOrder.ACQUIRE) == 1:
        pass
    seen = ct.load(Count, group, shape=())
    if seen == 0:
        ct.store(Sum, (group, 0), x)
    else:
        ct.store(Sum, (group, 0), x + ct.load(Sum, (group, 0), (1, TILE), padding_mode=ZERO))
    ct.store(Count, group, seen + 1)
    ct.atomic_xchg(Locks, group, 0, memory_order=ct.MemoryOrder.RELEASE)


@ct.kernel
def histogram(X, Counts, TILE: ConstInt):
    index = ct.bid(0) * TILE + ct.arange(TILE, dtype=ct.int32)
    value = ct.gather(X, index, padding_value=-1)
    ct.atomic_add(Counts, value, 1)


@ct.kernel
def rope(Q, Cos, Sin, HALF: ConstInt):
    b, h, s = ct.bid(0), ct.bid(1), ct.bid(2)
    even = ct.load(Q, (b, h, s, 0), (1, 1, 1, HALF)).reshape((1, HALF)).astype(ct.float32)
    odd = ct.load(Q, (b, h, s, 1), (1, 1, 1, HALF)).reshape((1, HALF)).astype(ct.float32)
    c, n = ct.load(Cos, (s, 0), (1, HALF)), ct.load(Sin, (s, 0), (1, HALF))
    ct.store(Q, (b, h, s, 0), (even * c - odd * n).astype(Q.dtype).reshape((1, 1, 1, HALF)))
    ct.store(Q, (b, h, s, 1), (odd * c + even * n).astype(Q.dtype).reshape((1, 1, 1, HALF)))


@ct.kernel
def decode_split(Q, K, V, Part, Lse, scale: float, D: ConstInt, TN: ConstInt, SPLIT: ConstInt):
    h, part = ct.bid(0), ct.bid(1)
    seq = K.shape[1]
    q = ct.load(Q, (h, 0), (1, D)).astype(ct.float32)
    m, l, acc = ct.full((1, 1), -1e20, ct.float32), ct.full((1, 1), 0.0, ct.float32), ct.zeros((1, D), ct.float32)
    for j in range(part * SPLIT, min((part + 1) * SPLIT, ct.cdiv(seq, TN))):
        k = ct.load(K, (h, j, 0), (1, TN, D), padding_mode=ZERO).reshape((TN, D)).astype(ct.float32)
        v = ct.load(V, (h, j, 0), (1, TN, D), padding_mode=ZERO).reshape((TN, D)).astype(ct.float32)
        s = ct.sum(q * k, axis=1).reshape((1, TN)) * scale
        s = ct.where(j * TN + ct.arange(TN, dtype=ct.int32) < seq, s, -1e20)
        m_new = ct.maximum(m, ct.max(s, 1, keepdims=True))
        p, alpha = ct.exp(s - m_new), ct.exp(m - m_new)
        l, acc, m = l * alpha + ct.sum(p, 1, keepdims=True), acc * alpha + p @ v, m_new
    ct.store(Part, (h, part, 0), (acc / l).reshape((1, 1, D)))
    ct.store(Lse, (h, part), m + ct.log(l))


@ct.kernel
def dropout(X, Y, seed: int, keep: float, TILE: ConstInt):
    index = ct.bid(0) * TILE + ct.arange(TILE, dtype=ct.int32)
    h = ct.astype(index, ct.uint32) ^ ct.astype(seed, ct.uint32)
    for _ in ct.static_iter(range(2)):
        h = (h ^ (h >> 16)) * ct.uint32(0x45D9F3B)
    h = h ^ (h >> 16)
    uniform = ct.astype(h >> 8, ct.float32) * (1.0 / (1 << 24))
    x = ct.gather(X, index)
    ct.scatter(Y, index, ct.where(uniform < keep, x / keep, 0.0))


@ct.kernel
def silu_and_mul(X, Y, TILE: ConstInt, HALF_TILES: ConstInt):
    row, j = ct.bid(0), ct.bid(1)
    gate = ct.load(X, (row, j), (1, TILE)).astype(ct.float32)
    up = ct.load(X, (row, j + HALF_TILES), (1, TILE)).astype(ct.float32)
    ct.store(Y, (row, j), (gate / (1 + ct.exp(-gate)) * up).astype(Y.dtype))


@ct.kernel
def moe_matmul(X, W, Rows, Experts, Y, TM: ConstInt, TN: ConstInt, TK: ConstInt):
    bm, bn = ct.bid(0), ct.bid(1)
    expert = ct.load(Experts, bm, shape=())
    rows = ct.load(Rows, (bm,), (TM,))
    acc = ct.zeros((TM, TN), dtype=ct.float32)
    for k in range(ct.cdiv(X.shape[1], TK)):
        x = ct.gather(X, (rows[:, None], (k * TK + ct.arange(TK, dtype=ct.int32))[None, :]), padding_value=0)
        w = ct.load(W, (expert, k, bn), (1, TK, TN), padding_mode=ZERO).reshape((TK, TN))
        acc = ct.mma(x, w, acc)
    columns = bn * TN + ct.arange(TN, dtype=ct.int32)
    ct.scatter(Y, (rows[:, None], columns[None, :]), acc.astype(Y.dtype))


@ct.kernel
def dft_pairs(Re, Im, CosT, SinT, N: ConstInt):
    x, y = ct.load(Re, (ct.bid(0), 0), (1, N)), ct.load(Im, (ct.bid(0), 0), (1, N))
    c, s = ct.load(CosT, (0, 0), (N, N)), ct.load(SinT, (0, 0), (N, N))
    ct.store(Re, (ct.bid(0), 0), x @ c + y @ s)
    ct.store(Im, (ct.bid(0), 0), y @ c - x @ s)


@ct.kernel
def top_k(X, Values, Indices, K: ConstInt, TILE: ConstInt):
    row = ct.bid(0)
    x = ct.load(X, (row, 0), (1, TILE), padding_mode=ct.PaddingMode.NEG_INF)
    position = ct.arange(TILE, dtype=ct.int32)[None, :]
    for i in range(K):
        best = ct.argmax(x, axis=1)
        ct.store(Values, (row, i), ct.max(x, axis=1, keepdims=True))
        ct.store(Indices, (row, i), best.reshape((1, 1)))
        x = ct.where(position == best.reshape((1, 1)), -float("inf"), x)


@ct.kernel
def group_sum(arrays, Out, TILE: ConstInt):
    total = ct.zeros((TILE,), dtype=ct.float32)
    for i in range(len(arrays)):
        total += ct.load(arrays[i], (ct.bid(0),), (TILE,), padding_mode=ZERO)
    ct.store(Out, (ct.bid(0),), total)


@ct.kernel
def welford(X, Mean, Var, TILE: ConstInt):
    def combine(m1, v1, n1, m2, v2, n2):
        n = n1 + n2
        d = m2 - m1
        return m1 + d * n2 / n, v1 + v2 + d * d * n1 * n2 / n, n

    x = ct.load(X, (ct.bid(0), 0), (1, TILE))
    one = ct.full((1, TILE), 1.0, ct.float32)
    m, v, n = ct.reduce((x, x * 0, one), 1, combine, (0.0, 0.0, 0.0))
    ct.store(Mean, (ct.bid(0),), m)
    ct.store(Var, (ct.bid(0),), v / n)
