"""Gradients of attention, in cuTile.

With S = scale * Q K^T, P = exp(S - lse) and O = P V of the forward pass, dO the gradient of O:
    dV = P^T dO        dP = dO V^T        dS = P * (dP - delta), delta = rowsum(dO * O)
    dQ = scale * dS K  dK = scale * dS^T Q
S and P are computed again, tile by tile; nothing of the size of S is ever stored.

Two forms. Fused: one CTA a key tile walks over the query tiles that see it; dK and dV stay in registers, and what each
step gives dQ is added to a float32 array in device memory, whose sums depend on the order of CTAs in their last bits.
Split: that pass without dQ, and a pass of one CTA a query tile for dQ; no atomics, every sum in one fixed order.

Invariants, each with a test:
  * Lse2 and Delta have a whole number of tiles of rows, all set; a query row beyond the end, and one that saw no key, has lse2 = NEVER: its P is exp2(s - NEVER) = 0, so that it adds
    nothing to any gradient;
  * a key beyond the end has its P set to 0: its score is 0, which may lie far above the log-sum-exp of a row;
  * scale is applied once, to the float32 sums: dS is rounded to 16 bits unscaled;
  * every (key tile, KV head) is computed by exactly one CTA, over all the query heads that share the KV head.
"""

import math

import cuda.tile as ct

ConstInt = ct.Constant[int]
ConstBool = ct.Constant[bool]
ZERO = ct.PaddingMode.ZERO
LOWEST = ct.PaddingMode.NEG_INF
LOG2_E = 1.0 / math.log(2.0)
NO_KEY = -1.0e18  # a log-sum-exp below this is that of a row without a key (the forward pass writes -1e20, others -inf)
NEVER = 1.0e30  # exp2(s - NEVER) is 0 for every finite score

KEYS_FIRST = 0  # tiles of scores are (keys, queries): P^T and dS^T are in registers as dV and dK need them
QUERIES_FIRST = 1  # (queries, keys): dS is in registers as dQ needs it

ZEROS = 0  # S and dP are sums that begin at 0; log-sum-exp and delta are subtracted from them
DELTA = 1  # dP begins at -delta
DELTA_AND_LSE = 2  # and S at -lse / scale

FIRST = 0  # query tiles that need a mask have a loop of their own, before the others
INLINE = 1  # one loop, which masks every tile


@ct.kernel
def prepare_kernel(
    Out,  # (B, H, Sq, D), O
    dO,  # (B, H, Sq, D)
    Lse,  # (B, H, Sq) fp32, natural log
    Lse2,  # (B * H, rows) fp32, see store_row_terms
    Delta,  # (B * H, rows) fp32, see store_row_terms
    dQ_sum,  # (B, H, Sq, D) or (B, H, D, Sq) fp32, set to 0
    scale: float,
    NUM_HEADS: ConstInt,
    TILE_R: ConstInt,
    TILE_D: ConstInt,
    TRANSPOSED: ConstBool,  # dQ_sum is (B, H, D, Sq)
    INIT: ConstInt,
):
    bh, x = ct.bid(0), ct.bid(1)
    place = (bh // NUM_HEADS, bh % NUM_HEADS, x)
    if x * TILE_R < Lse.shape[2]:  # a tile that lies wholly beyond an array must not be loaded
        do = rows_of(dO, place, TILE_R, TILE_D, None, False)
        lse2, delta = row_terms(do, Out, Lse, place, (TILE_R, TILE_D), False)
        if TRANSPOSED:
            zero = ct.full((1, 1, TILE_D, TILE_R), 0.0, dtype=ct.float32)
            ct.store(dQ_sum, index=(place[0], place[1], 0, x), tile=zero, allow_tma=False)
        else:
            zero = ct.full((1, 1, TILE_R, TILE_D), 0.0, dtype=ct.float32)
            ct.store(dQ_sum, index=(place[0], place[1], x, 0), tile=zero, allow_tma=False)
    else:
        lse2, delta = ct.full((TILE_R, 1), NEVER, dtype=ct.float32), ct.full((TILE_R, 1), 0.0, dtype=ct.float32)
    store_row_terms(Lse2, Delta, (bh, x), lse2, delta, (scale, INIT))


def row_terms(do, Out, Lse, place, tile, USE_TMA):
    """Of a tile of rows, (rows, 1) fp32 each: log-sum-exp to base 2, NEVER where there is no row or no key, and delta."""
    b, h, x = place
    ROWS, TILE_D = tile
    o = rows_of(Out, place, ROWS, TILE_D, None, USE_TMA)
    delta = ct.sum(o.astype(ct.float32) * do.astype(ct.float32), axis=1, keepdims=True)
    lse = ct.load(Lse, index=(b, h, x), shape=(1, 1, ROWS), padding_mode=LOWEST, allow_tma=False).reshape((ROWS, 1))
    return ct.where(lse > NO_KEY, lse * LOG2_E, NEVER), delta


def store_row_terms(Lse2, Delta, place, lse2, delta, given):
    """Writes them as the pass over keys wants them: to be subtracted, or as what its sums begin at."""
    scale, INIT = given
    if INIT != ZEROS:
        delta = 0.0 - delta
    if INIT == DELTA_AND_LSE:
        lse2 = lse2 * (-1.0 / (scale * LOG2_E))
    ct.store(Lse2, index=place, tile=lse2.reshape((1, lse2.shape[0])), allow_tma=False)
    ct.store(Delta, index=place, tile=delta.reshape((1, delta.shape[0])), allow_tma=False)


@ct.kernel
def keys_kernel(
    Q,  # (B, H, Sq, D)
    K,  # (B, KV, Skv, D)
    V,  # (B, KV, Skv, D)
    dO,  # (B, H, Sq, D)
    Lse2,  # (B * H, rows) fp32
    Delta,  # (B * H, rows) fp32
    dQ_sum,  # (B, H, Sq, D) or (B, H, D, Sq) fp32, added to if FUSED
    dK,  # (B, KV, Skv, D)
    dV,  # (B, KV, Skv, D)
    scale: float,
    q_offset: int,  # query row i sees keys up to i + q_offset
    NUM_KV: ConstInt,
    GROUP: ConstInt,
    TILE_D: ConstInt,  # head_dim rounded up to a power of two
    TILE_M: ConstInt,
    TILE_N: ConstInt,
    LATENCY: ConstInt,
    CAUSAL: ConstBool,
    RAGGED: ConstBool,  # TILE_N does not divide Skv
    FUSED: ConstBool,
    SCORES: ConstInt,
    TRANSPOSED: ConstBool,
    STAGGER: ConstBool,  # neighbouring key tiles begin with different query tiles
    HEADS_FASTEST: ConstBool,
    USE_TMA: ConstBool,
    INIT: ConstInt,
    MASKED_TILES: ConstInt,
    Q_LOADS: ConstInt,  # 2: dK reads a Q of its own, so that the one that S reads is replaced as soon as S is there
    SUBTILES: ConstInt,  # parts in which dK and dV are stored; one part goes through shared memory as a whole
):
    bkv, j = (ct.bid(0), ct.bid(1)) if HEADS_FASTEST else (ct.bid(1), ct.bid(0))
    b, kv = bkv // NUM_KV, bkv % NUM_KV
    shape = (1, 1, TILE_N, TILE_D)
    k = ct.load(K, index=(b, kv, j, 0), shape=shape, padding_mode=ZERO, allow_tma=USE_TMA).reshape(shape[2:])
    v = ct.load(V, index=(b, kv, j, 0), shape=shape, padding_mode=ZERO, allow_tma=USE_TMA).reshape(shape[2:])
    tiles = (TILE_M, TILE_N, TILE_D)
    keys = (k, v, j * TILE_N, K.shape[2], q_offset, scale * LOG2_E)
    variant = (CAUSAL, RAGGED, FUSED, SCORES, TRANSPOSED, LATENCY, USE_TMA, INIT, Q_LOADS)
    masked = CAUSAL or RAGGED
    num_m = ct.cdiv(Q.shape[2], TILE_M)
    first, first_full = seen_from(j, K.shape[2], q_offset, num_m, tiles, CAUSAL, RAGGED)
    dk = ct.full(shape[2:], 0.0, dtype=ct.float32)
    dv = ct.full(shape[2:], 0.0, dtype=ct.float32)
    for g in range(GROUP):
        rows = (Q, dO, Lse2, Delta, dQ_sum, b, kv * GROUP + g, bkv * GROUP + g)
        if masked and MASKED_TILES == FIRST:
            for i in range(first, first_full):
                dk, dv = step_of_keys(rows, i, keys, tiles, variant, True, dk, dv)
            first_other = first_full
        else:
            first_other = first
        for i in range(first_other, num_m):
            x = i
            if STAGGER and not CAUSAL:  # a causal key tile begins at its diagonal
                x = i + j % num_m
                x = x - num_m if x >= num_m else x
            dk, dv = step_of_keys(rows, x, keys, tiles, variant, masked and MASKED_TILES == INLINE, dk, dv)
    dk, dv = (dk * scale).astype(dK.dtype), dv.astype(dV.dtype)
    if SUBTILES == 1:
        ct.store(dK, index=(b, kv, j, 0), tile=dk.reshape(shape), allow_tma=USE_TMA)
        ct.store(dV, index=(b, kv, j, 0), tile=dv.reshape(shape), allow_tma=USE_TMA)
    else:
        for c in range(ct.cdiv(dK.shape[3], TILE_D // 4)):  # a loop, as parts written one after another share no memory
            ct.store(dV, index=(b, kv, j, c), tile=quarter(dv, c), allow_tma=False)
            ct.store(dK, index=(b, kv, j, c), tile=quarter(dk, c), allow_tma=False)


def quarter(x, c):
    """A fourth of the columns of x: (1, 1, rows, columns / 4)."""
    shape = (x.shape[0], x.shape[1] // 4)
    part = ct.where(c == 2, ct.extract(x, (0, 2), shape), ct.extract(x, (0, 3), shape))
    part = ct.where(c == 1, ct.extract(x, (0, 1), shape), part)
    part = ct.where(c == 0, ct.extract(x, (0, 0), shape), part)
    return part.reshape((1, 1, shape[0], shape[1]))


def seen_from(j, seq_kv, q_offset, num_m, tiles, CAUSAL, RAGGED):
    """(first query tile with a row that sees key tile j, first from which all rows see all of its keys)."""
    TILE_M, TILE_N, _ = tiles
    first = 0
    first_full = 0
    if CAUSAL:
        first = max(j * TILE_N - q_offset, 0) // TILE_M
        first_full = min(ct.cdiv(max(j * TILE_N + TILE_N - 1 - q_offset, 0), TILE_M), num_m)
    if RAGGED:
        first_full = num_m if (j + 1) * TILE_N > seq_kv else first_full
    return first, first_full


def step_of_keys(rows, i, keys, tiles, variant, MASKED, dk, dv):
    """dk and dv after query tile i; what this key tile gives dQ of its rows is added in memory."""
    Q, dO, Lse2, Delta, dQ_sum, b, h, bh = rows
    k, v, _, _, _, _ = keys
    TILE_M, _, TILE_D = tiles
    _, _, FUSED, SCORES, TRANSPOSED, LATENCY, USE_TMA, INIT, Q_LOADS = variant
    q = rows_of(Q, (b, h, i), TILE_M, TILE_D, LATENCY, USE_TMA)
    do = rows_of(dO, (b, h, i), TILE_M, TILE_D, LATENCY, USE_TMA)
    line = (1, TILE_M) if SCORES == KEYS_FIRST else (TILE_M, 1)
    lse2 = ct.load(Lse2, index=(bh, i), shape=(1, TILE_M), latency=LATENCY, allow_tma=USE_TMA).reshape(line)
    delta = ct.load(Delta, index=(bh, i), shape=(1, TILE_M), latency=LATENCY, allow_tma=USE_TMA).reshape(line)
    if SCORES == KEYS_FIRST:
        p = weights(k, ct.transpose(q), lse2, keys[5], INIT)
        if MASKED:
            p = unseen_to_zero(p, i * TILE_M, keys, tiles, variant)
        dv = ct.mma(p.astype(q.dtype), do, dv)
        ds = (p * gradient_of_weights(v, ct.transpose(do), delta, INIT)).astype(q.dtype)
        if Q_LOADS == 2:
            q = rows_of(Q, (b, h, i), TILE_M, TILE_D, LATENCY, USE_TMA)
        dk = ct.mma(ds, q, dk)
        ds = ct.transpose(ds)
    else:
        p = weights(q, ct.transpose(k), lse2, keys[5], INIT)
        if MASKED:
            p = unseen_to_zero(p, i * TILE_M, keys, tiles, variant)
        dv = ct.mma(ct.transpose(p.astype(q.dtype)), do, dv)
        ds = (p * gradient_of_weights(do, ct.transpose(v), delta, INIT)).astype(q.dtype)
        if Q_LOADS == 2:
            q = rows_of(Q, (b, h, i), TILE_M, TILE_D, LATENCY, USE_TMA)
        dk = ct.mma(ct.transpose(ds), q, dk)
    if FUSED:
        if TRANSPOSED:
            dq = product(ct.transpose(k), ct.transpose(ds)).reshape((1, 1, TILE_D, TILE_M))
            dQ_sum.tiled_view((1, 1, TILE_D, TILE_M)).atomic_store_add((b, h, 0, i), dq)
        else:
            dq = product(ds, k).reshape((1, 1, TILE_M, TILE_D))
            dQ_sum.tiled_view((1, 1, TILE_M, TILE_D)).atomic_store_add((b, h, i, 0), dq)
    return dk, dv


def weights(a, b, lse2, qk_scale, INIT):
    """P = exp2(qk_scale * a @ b - lse2) of one orientation; lse2 is a row or column, or what the product begins at."""
    if INIT == DELTA_AND_LSE:
        s = ct.mma(a, b, ct.broadcast_to(lse2, (a.shape[0], b.shape[1])))
        return ct.exp2(s * qk_scale, flush_to_zero=True)
    return ct.exp2(product(a, b) * qk_scale - lse2, flush_to_zero=True)


def gradient_of_weights(a, b, delta, INIT):
    """dP - delta with dP = a @ b; delta is a row or column, negated if the product begins at it."""
    if INIT == ZEROS:
        return product(a, b) - delta
    return ct.mma(a, b, ct.broadcast_to(delta, (a.shape[0], b.shape[1])))


def rows_of(array, place, ROWS, TILE_D, LATENCY, USE_TMA):
    """One tile of rows of one head: (ROWS, TILE_D)."""
    b, h, x = place
    return ct.load(
        array,
        index=(b, h, x, 0),
        shape=(1, 1, ROWS, TILE_D),
        padding_mode=ZERO,
        latency=LATENCY,
        allow_tma=USE_TMA,
    ).reshape((ROWS, TILE_D))


def product(a, b):
    """a @ b in fp32."""
    return ct.mma(a, b, ct.full((a.shape[0], b.shape[1]), 0.0, dtype=ct.float32))


def unseen_to_zero(p, first_row, keys, tiles, variant):
    """p with 0 where a query does not see a key, and where the key is not there."""
    _, _, first_key, seq_kv, q_offset, _ = keys
    TILE_M, TILE_N, _ = tiles
    CAUSAL, RAGGED, _, SCORES, _, _, _, _, _ = variant
    row = first_row + q_offset + ct.arange(TILE_M, dtype=ct.int32)
    column = first_key + ct.arange(TILE_N, dtype=ct.int32)
    if SCORES == KEYS_FIRST:
        row, column = row[None, :], column[:, None]
    else:
        row, column = row[:, None], column[None, :]
    if CAUSAL:
        p = ct.where(row >= column, p, 0.0)
    if RAGGED:
        p = ct.where(column < seq_kv, p, 0.0)
    return p


@ct.kernel
def queries_kernel(
    Q,  # (B, H, Sq, D)
    K,  # (B, KV, Skv, D)
    V,  # (B, KV, Skv, D)
    Out,  # (B, H, Sq, D), O
    dO,  # (B, H, Sq, D)
    Lse,  # (B, H, Sq) fp32, natural log
    Lse2,  # (B * H, rows) fp32, written for the pass over keys
    Delta,  # (B * H, rows) fp32, written too
    dQ,  # (B, H, Sq, D)
    scale: float,
    q_offset: int,
    NUM_HEADS: ConstInt,
    GROUP: ConstInt,
    TILE_D: ConstInt,
    TILE_M: ConstInt,
    TILE_N: ConstInt,
    LATENCY: ConstInt,
    CAUSAL: ConstBool,
    RAGGED: ConstBool,
    HEADS_FASTEST: ConstBool,
    USE_TMA: ConstBool,
    INIT: ConstInt,
):
    bh, x = (ct.bid(0), ct.bid(1)) if HEADS_FASTEST else (ct.bid(1), ct.bid(0))
    num_m = ct.cdiv(Q.shape[2], TILE_M)
    x = num_m - 1 - x if CAUSAL else x  # the last query tile has the most keys
    b, h = bh // NUM_HEADS, bh % NUM_HEADS
    q = rows_of(Q, (b, h, x), TILE_M, TILE_D, None, USE_TMA)
    do = rows_of(dO, (b, h, x), TILE_M, TILE_D, None, USE_TMA)
    lse2, delta = row_terms(do, Out, Lse, (b, h, x), (TILE_M, TILE_D), USE_TMA)
    store_row_terms(Lse2, Delta, (bh, x), lse2, delta, (scale, INIT))
    row = x * TILE_M + q_offset
    num_n = ct.cdiv(K.shape[2], TILE_N)
    num_full = K.shape[2] // TILE_N
    if CAUSAL:
        num_n = max(min(num_n, ct.cdiv(row + TILE_M, TILE_N)), 0)
        num_full = max(min(num_full, (row + 1) // TILE_N), 0)
    queries = (q, do, lse2, delta, row, scale * LOG2_E)
    keys = (K, V, (b, h // GROUP), (TILE_M, TILE_N, TILE_D), (CAUSAL, RAGGED, LATENCY, USE_TMA))
    dq = ct.full((TILE_M, TILE_D), 0.0, dtype=ct.float32)
    for j in range(num_full):
        dq = step_of_queries(queries, keys, j, False, dq)
    if CAUSAL or RAGGED:
        for j in range(num_full, num_n):
            dq = step_of_queries(queries, keys, j, True, dq)
    dq = (dq * scale).astype(dQ.dtype).reshape((1, 1, TILE_M, TILE_D))
    ct.store(dQ, index=(b, h, x, 0), tile=dq, allow_tma=USE_TMA)


def step_of_queries(queries, keys, j, MASKED, dq):
    """dq after key tile j."""
    q, do, lse2, delta, first_row, qk_scale = queries
    K, V, (b, kv), (TILE_M, TILE_N, TILE_D), (CAUSAL, RAGGED, LATENCY, USE_TMA) = keys
    k = rows_of(K, (b, kv, j), TILE_N, TILE_D, LATENCY, USE_TMA)
    v = rows_of(V, (b, kv, j), TILE_N, TILE_D, LATENCY, USE_TMA)
    p = ct.exp2(product(q, ct.transpose(k)) * qk_scale - lse2, flush_to_zero=True)
    if MASKED:
        row = first_row + ct.arange(TILE_M, dtype=ct.int32)[:, None]
        column = j * TILE_N + ct.arange(TILE_N, dtype=ct.int32)[None, :]
        if CAUSAL:
            p = ct.where(row >= column, p, 0.0)
        if RAGGED:
            p = ct.where(column < K.shape[2], p, 0.0)
    ds = (p * (product(do, ct.transpose(v)) - delta)).astype(q.dtype)
    return ct.mma(ds, k, dq)


@ct.kernel
def convert_kernel(
    dQ_sum,  # (B, H, Sq, D) or (B, H, D, Sq) fp32, unscaled
    dQ,  # (B, H, Sq, D)
    scale: float,
    NUM_HEADS: ConstInt,
    TILE_R: ConstInt,
    TILE_D: ConstInt,
    TRANSPOSED: ConstBool,
):
    bh, x = ct.bid(0), ct.bid(1)
    b, h = bh // NUM_HEADS, bh % NUM_HEADS
    if TRANSPOSED:
        dq = ct.load(dQ_sum, index=(b, h, 0, x), shape=(1, 1, TILE_D, TILE_R), padding_mode=ZERO, allow_tma=False)
        dq = ct.transpose(dq.reshape((TILE_D, TILE_R))).reshape((1, 1, TILE_R, TILE_D))
    else:
        dq = ct.load(dQ_sum, index=(b, h, x, 0), shape=(1, 1, TILE_R, TILE_D), padding_mode=ZERO, allow_tma=False)
    ct.store(dQ, index=(b, h, x, 0), tile=(dq * scale).astype(dQ.dtype), allow_tma=False)
