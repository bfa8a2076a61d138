"""Fused multi-head attention with online softmax, in cuTile.

Einsum: O[b,h,m,d] = OnlineSoftmax(sum_d Q[b,h,m,d] * K[b,h//G,n,d] * scale)[n] * V[b,h//G,n,d], G query heads per KV head.

Invariants, each with a test:
  * after key tile j: m_i is the row maximum of all scores seen, l_i = sum exp2(s - m_i), acc = sum exp2(s - m_i) * v;
    a new maximum rescales both by alpha = exp2(m_old - m_new), so no score is ever exponentiated above 0;
  * masked scores and the first m_i are FLOOR, a finite number: -inf would give (-inf) - (-inf) = NaN in a masked row;
  * a row that saw no key (m_i still at the floor) is written as 0, its log-sum-exp as FLOOR;
  * every (query tile, head) is computed by exactly one CTA, whatever the order and however many CTAs there are.
"""

import math

import cuda.tile as ct

ConstInt = ct.Constant[int]
ConstBool = ct.Constant[bool]
ZERO = ct.PaddingMode.ZERO

LOG2_E = 1.0 / math.log(2.0)
LN_2 = math.log(2.0)
FLOOR = -1.0e20  # law: mask floor; exp2(FLOOR - m) is 0 in fp32 for every reachable m, and FLOOR - FLOOR is 0
NO_KEY = -1.0e18  # a row maximum below this never saw a real score (scores are under 65504 * 256 in size)

PLAIN = 0  # scores, softmax, product with V, one key tile after the other; the compiler overlaps what it can
EARLY_SCORES = 1  # Q K^T of the next key tile is issued before the softmax of this one
LATE_VALUES = 2  # the product with V of the last key tile is issued with Q K^T of this one


@ct.kernel
def fmha_kernel(
    Q,  # (B, H, Sq, D)
    K,  # (B, KV, Skv, D)
    V,  # (B, KV, Skv, D)
    Out,  # (B, H, Sq, D)
    Lse,  # (B, H, Sq) fp32, natural log; untouched unless WRITE_LSE
    scale: float,
    q_offset: int,  # query row i sees keys up to i + q_offset
    NUM_HEADS: ConstInt,
    GROUP: ConstInt,
    TILE_D: ConstInt,  # head_dim rounded up to a power of two
    TILE_M: ConstInt,
    TILE_N: ConstInt,
    K_LATENCY: ConstInt,
    V_LATENCY: ConstInt,
    CAUSAL: ConstBool,
    RAGGED: ConstBool,  # TILE_N does not divide Skv
    PIPELINE: ConstInt,
    SPLIT_LOOP: ConstBool,
    SUM_LANES: ConstInt,  # partial row sums kept apart until the end; 8 is one for each pair of a fragment's columns
    HEAVY_FIRST: ConstBool,
    HEADS_FASTEST: ConstBool,
    PERSISTENT: ConstBool,
    USE_TMA: ConstBool,
    WRITE_LSE: ConstBool,
):
    num_m = ct.cdiv(Q.shape[2], TILE_M)
    num_heads = Q.shape[0] * NUM_HEADS
    tiles = (TILE_M, TILE_N, TILE_D)
    k_hints = (K_LATENCY, USE_TMA)
    v_hints = (V_LATENCY, USE_TMA)
    variant = (CAUSAL, RAGGED, PIPELINE, SPLIT_LOOP, SUM_LANES, WRITE_LSE)
    if PERSISTENT:
        for t in range(ct.bid(0), num_m * num_heads, ct.num_blocks(0)):
            x, bh = block_of(t, num_m, num_heads, HEAVY_FIRST, HEADS_FASTEST)
            b, h = bh // NUM_HEADS, bh % NUM_HEADS
            attend(Q, K, V, Out, Lse, scale, q_offset, (b, h, h // GROUP, x), tiles, k_hints, v_hints, variant)
    else:
        x, bh = block_of(ct.bid(0), num_m, num_heads, HEAVY_FIRST, HEADS_FASTEST)
        b, h = bh // NUM_HEADS, bh % NUM_HEADS
        attend(Q, K, V, Out, Lse, scale, q_offset, (b, h, h // GROUP, x), tiles, k_hints, v_hints, variant)


def block_of(t, num_m, num_heads, HEAVY_FIRST, HEADS_FASTEST):
    """(query tile, batch and head) of the t-th block; the last query tile of a causal head has the most keys."""
    if HEADS_FASTEST:
        x, bh = t // num_heads, t % num_heads
    else:
        x, bh = t % num_m, t // num_m
    if HEAVY_FIRST:
        x = num_m - 1 - x
    return x, bh


def attend(Q, K, V, Out, Lse, scale, q_offset, place, tiles, k_hints, v_hints, variant):
    """One query tile of one head against all the keys it sees."""
    b, h, kv, x = place
    TILE_M, TILE_N, TILE_D = tiles
    CAUSAL, RAGGED, PIPELINE, SPLIT_LOOP, SUM_LANES, WRITE_LSE = variant
    seq_kv = K.shape[2]
    num_n = ct.cdiv(seq_kv, TILE_N)
    num_full = seq_kv // TILE_N  # key tiles that need no mask
    if CAUSAL:
        # A negative offset leaves rows without a key: no tile, or in a pipeline, which starts with one, a wholly masked one
        num_n = max(min(num_n, ct.cdiv((x + 1) * TILE_M + q_offset, TILE_N)), 0 if PIPELINE == PLAIN else 1)
        num_full = max(min(num_full, (x * TILE_M + q_offset + 1) // TILE_N), 0)

    row = x * TILE_M + q_offset + ct.arange(TILE_M, dtype=ct.int32)[:, None]  # last key each row sees
    qk_scale = scale * LOG2_E
    q = ct.load(Q, index=(b, h, x, 0), shape=(1, 1, TILE_M, TILE_D), padding_mode=ZERO, allow_tma=k_hints[1]).reshape(
        (TILE_M, TILE_D)
    )
    m_i = ct.full((TILE_M, 1), FLOOR, dtype=ct.float32)
    l_i = ct.full((TILE_M, SUM_LANES), 0.0, dtype=ct.float32)
    acc = ct.full((TILE_M, TILE_D), 0.0, dtype=ct.float32)

    if PIPELINE == PLAIN:
        first_masked = 0
        if SPLIT_LOOP:
            first_masked = num_full
            for j in range(num_full):
                s = scores(q, K, b, kv, j, tiles, k_hints)
                m_i, l_i, p, alpha = soften(s, m_i, l_i, qk_scale, TILE_M, TILE_N, SUM_LANES)
                acc = ct.mma(p.astype(V.dtype), values(V, b, kv, j, tiles, v_hints), acc * alpha)
        if CAUSAL or RAGGED or not SPLIT_LOOP:
            for j in range(first_masked, num_n):
                s = scores(q, K, b, kv, j, tiles, k_hints)
                if SPLIT_LOOP or j >= num_full:
                    s = masked(s, row, j, seq_kv, TILE_N, CAUSAL, RAGGED)
                m_i, l_i, p, alpha = soften(s, m_i, l_i, qk_scale, TILE_M, TILE_N, SUM_LANES)
                acc = ct.mma(p.astype(V.dtype), values(V, b, kv, j, tiles, v_hints), acc * alpha)
    if PIPELINE == EARLY_SCORES:
        last = num_n - 1
        s = scores(q, K, b, kv, 0, tiles, k_hints)
        for j in range(min(num_full, last)):
            s_next = scores(q, K, b, kv, j + 1, tiles, k_hints)
            m_i, l_i, p, alpha = soften(s, m_i, l_i, qk_scale, TILE_M, TILE_N, SUM_LANES)
            acc = ct.mma(p.astype(V.dtype), values(V, b, kv, j, tiles, v_hints), acc * alpha)
            s = s_next
        if CAUSAL:
            for j in range(min(num_full, last), last):
                s_next = scores(q, K, b, kv, j + 1, tiles, k_hints)
                s = masked(s, row, j, seq_kv, TILE_N, CAUSAL, RAGGED)
                m_i, l_i, p, alpha = soften(s, m_i, l_i, qk_scale, TILE_M, TILE_N, SUM_LANES)
                acc = ct.mma(p.astype(V.dtype), values(V, b, kv, j, tiles, v_hints), acc * alpha)
                s = s_next
        s = masked(s, row, last, seq_kv, TILE_N, CAUSAL, RAGGED)
        m_i, l_i, p, alpha = soften(s, m_i, l_i, qk_scale, TILE_M, TILE_N, SUM_LANES)
        acc = ct.mma(p.astype(V.dtype), values(V, b, kv, last, tiles, v_hints), acc * alpha)
    if PIPELINE == LATE_VALUES:
        s = masked(scores(q, K, b, kv, 0, tiles, k_hints), row, 0, seq_kv, TILE_N, CAUSAL, RAGGED)
        m_i, l_i, p, alpha = soften(s, m_i, l_i, qk_scale, TILE_M, TILE_N, SUM_LANES)
        p = p.astype(V.dtype)
        for j in range(1, num_full):
            s = scores(q, K, b, kv, j, tiles, k_hints)
            acc = ct.mma(p, values(V, b, kv, j - 1, tiles, v_hints), acc)
            m_i, l_i, p, alpha = soften(s, m_i, l_i, qk_scale, TILE_M, TILE_N, SUM_LANES)
            acc = acc * alpha
            p = p.astype(V.dtype)
        if CAUSAL or RAGGED:
            for j in range(max(num_full, 1), num_n):
                s = scores(q, K, b, kv, j, tiles, k_hints)
                acc = ct.mma(p, values(V, b, kv, j - 1, tiles, v_hints), acc)
                s = masked(s, row, j, seq_kv, TILE_N, CAUSAL, RAGGED)
                m_i, l_i, p, alpha = soften(s, m_i, l_i, qk_scale, TILE_M, TILE_N, SUM_LANES)
                acc = acc * alpha
                p = p.astype(V.dtype)
        acc = ct.mma(p, values(V, b, kv, num_n - 1, tiles, v_hints), acc)

    saw_key = m_i > NO_KEY  # (TILE_M, 1)
    l_safe = ct.where(saw_key, ct.sum(l_i, axis=1, keepdims=True), 1.0)
    out = ct.where(saw_key, ct.truediv(acc, l_safe, flush_to_zero=True, rounding_mode=ct.RoundingMode.APPROX), 0.0)
    ct.store(Out, index=(b, h, x, 0), tile=out.astype(Out.dtype).reshape((1, 1, TILE_M, TILE_D)), allow_tma=k_hints[1])
    if WRITE_LSE:
        lse = ct.where(saw_key, (m_i + ct.log2(l_safe)) * LN_2, FLOOR)
        ct.store(Lse, index=(b, h, x), tile=lse.reshape((1, 1, TILE_M)))


def soften(s, m_i, l_i, qk_scale, TILE_M, TILE_N, SUM_LANES):
    """One step of the recurrence on scores s: new m_i, new l_i, weights p, and alpha by which acc has to shrink."""
    m_new = max(m_i, ct.max(s, axis=1, keepdims=True) * qk_scale)
    p = ct.exp2(s * qk_scale - m_new, flush_to_zero=True)
    alpha = ct.exp2(m_i - m_new, flush_to_zero=True)
    # One lane is a full row sum. Eight lanes sum what one thread holds, so that threads exchange sums once, at the end.
    l_new = l_i * alpha + ct.sum(p.reshape((TILE_M, TILE_N // SUM_LANES, SUM_LANES)), axis=1)
    return m_new, l_new, p, alpha


def scores(q, K, b, kv, j, tiles, k_hints):
    """Q K^T of one key tile, unscaled: (TILE_M, TILE_N) fp32."""
    TILE_M, TILE_N, TILE_D = tiles
    k = ct.load(
        K,
        index=(b, kv, 0, j),
        shape=(1, 1, TILE_D, TILE_N),
        order=(0, 1, 3, 2),
        padding_mode=ZERO,
        latency=k_hints[0],
        allow_tma=k_hints[1],
    ).reshape((TILE_D, TILE_N))
    return ct.mma(q, k, ct.full((TILE_M, TILE_N), 0.0, dtype=ct.float32))


def values(V, b, kv, j, tiles, v_hints):
    """One value tile: (TILE_N, TILE_D)."""
    _, TILE_N, TILE_D = tiles
    return ct.load(
        V,
        index=(b, kv, j, 0),
        shape=(1, 1, TILE_N, TILE_D),
        padding_mode=ZERO,
        latency=v_hints[0],
        allow_tma=v_hints[1],
    ).reshape((TILE_N, TILE_D))


def masked(s, row, j, seq_kv, TILE_N, CAUSAL, RAGGED):
    """Scores with the keys a row must not see at the floor."""
    column = j * TILE_N + ct.arange(TILE_N, dtype=ct.int32)[None, :]
    if CAUSAL and RAGGED:
        return ct.where((row >= column) & (column < seq_kv), s, FLOOR)
    if CAUSAL:
        return ct.where(row >= column, s, FLOOR)
    if RAGGED:
        return ct.where(column < seq_kv, s, FLOOR)
    return s
