"""Fused multi-head attention with online softmax, in cuTile.

Einsum: O[b,h,m,d] = OnlineSoftmax(sum_d Q[b,h,m,d] * K[b,h//G,n,d] * scale)[n] * V[b,h//G,n,d], G query heads per KV head.

Invariants, each with a test:
  * after key tile j: m_i is the row maximum of all scores seen, l_i = sum exp2(s - m_i), acc = sum exp2(s - m_i) * v;
    a new maximum rescales both by alpha = exp2(m_old - m_new), so no score is ever exponentiated above 0;
  * masked scores and the first m_i are FLOOR, a finite number: -inf would give (-inf) - (-inf) = NaN in a masked row;
  * a row that saw no key (m_i still at the floor) is written as 0, its log-sum-exp as FLOOR.
"""

import math

import cuda.tile as ct

ConstInt = ct.Constant[int]
ConstBool = ct.Constant[bool]

LOG2_E = 1.0 / math.log(2.0)
LN_2 = math.log(2.0)
FLOOR = -1.0e20  # law: mask floor; exp2(FLOOR - m) is 0 in fp32 for every reachable m, and FLOOR - FLOOR is 0
NO_KEY = -1.0e18  # a row maximum below this never saw a real score (scores are under 65504 * 256 in size)


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
    HEAD_DIM: ConstInt,
    TILE_D: ConstInt,  # HEAD_DIM rounded up to a power of two
    TILE_M: ConstInt,
    TILE_N: ConstInt,
    K_LATENCY: ConstInt,
    V_LATENCY: ConstInt,
    CAUSAL: ConstBool,
    SPLIT_LOOP: ConstBool,
    HEAVY_FIRST: ConstBool,
    USE_TMA: ConstBool,
    WRITE_LSE: ConstBool,
):
    num_m = ct.cdiv(Q.shape[2], TILE_M)
    bx = ct.bid(0)
    if HEAVY_FIRST:
        bx = num_m - 1 - bx
    b = ct.bid(1) // NUM_HEADS
    h = ct.bid(1) % NUM_HEADS
    kv = h // GROUP
    seq_kv = K.shape[2]
    num_n = ct.cdiv(seq_kv, TILE_N)
    num_full = seq_kv // TILE_N  # key tiles that need no mask
    if CAUSAL:
        num_n = max(min(num_n, ct.cdiv((bx + 1) * TILE_M + q_offset, TILE_N)), 0)
        num_full = max(min(num_full, (bx * TILE_M + q_offset + 1) // TILE_N), 0)

    row = bx * TILE_M + q_offset + ct.arange(TILE_M, dtype=ct.int32)[:, None]  # last key each row sees
    qk_scale = scale * LOG2_E
    q = ct.load(
        Q, index=(b, h, bx, 0), shape=(1, 1, TILE_M, TILE_D), padding_mode=ct.PaddingMode.ZERO, allow_tma=USE_TMA
    ).reshape((TILE_M, TILE_D))
    m_i = ct.full((TILE_M, 1), FLOOR, dtype=ct.float32)
    l_i = ct.full((TILE_M, 1), 0.0, dtype=ct.float32)
    acc = ct.full((TILE_M, TILE_D), 0.0, dtype=ct.float32)

    first_masked = 0
    if SPLIT_LOOP:
        first_masked = num_full
        for j in range(num_full):
            s = scores(q, K, b, kv, j, TILE_M, TILE_N, TILE_D, K_LATENCY, USE_TMA)
            m_new = max(m_i, ct.max(s, axis=1, keepdims=True) * qk_scale)
            p = ct.exp2(s * qk_scale - m_new, flush_to_zero=True)
            alpha = ct.exp2(m_i - m_new, flush_to_zero=True)
            l_i = l_i * alpha + ct.sum(p, axis=1, keepdims=True)
            v = values(V, b, kv, j, TILE_N, TILE_D, V_LATENCY, USE_TMA)
            acc = ct.mma(p.astype(V.dtype), v, acc * alpha)
            m_i = m_new
    for j in range(first_masked, num_n):
        s = scores(q, K, b, kv, j, TILE_M, TILE_N, TILE_D, K_LATENCY, USE_TMA)
        if SPLIT_LOOP or j >= num_full:
            s = masked(s, row, j, seq_kv, TILE_N, CAUSAL)
        m_new = max(m_i, ct.max(s, axis=1, keepdims=True) * qk_scale)
        p = ct.exp2(s * qk_scale - m_new, flush_to_zero=True)
        alpha = ct.exp2(m_i - m_new, flush_to_zero=True)
        l_i = l_i * alpha + ct.sum(p, axis=1, keepdims=True)
        v = values(V, b, kv, j, TILE_N, TILE_D, V_LATENCY, USE_TMA)
        acc = ct.mma(p.astype(V.dtype), v, acc * alpha)
        m_i = m_new

    saw_key = m_i > NO_KEY  # (TILE_M, 1)
    l_safe = ct.where(saw_key, l_i, 1.0)
    out = ct.where(saw_key, ct.truediv(acc, l_safe, flush_to_zero=True, rounding_mode=ct.RoundingMode.APPROX), 0.0)
    ct.store(Out, index=(b, h, bx, 0), tile=out.astype(Out.dtype).reshape((1, 1, TILE_M, TILE_D)), allow_tma=USE_TMA)
    if WRITE_LSE:
        lse = ct.where(saw_key, (m_i + ct.log2(l_safe)) * LN_2, FLOOR)
        ct.store(Lse, index=(b, h, bx), tile=lse.reshape((1, 1, TILE_M)))


def scores(q, K, b, kv, j, TILE_M, TILE_N, TILE_D, K_LATENCY, USE_TMA):
    """Q K^T of one key tile, unscaled: (TILE_M, TILE_N) fp32."""
    k = ct.load(
        K,
        index=(b, kv, 0, j),
        shape=(1, 1, TILE_D, TILE_N),
        order=(0, 1, 3, 2),
        padding_mode=ct.PaddingMode.ZERO,
        latency=K_LATENCY,
        allow_tma=USE_TMA,
    ).reshape((TILE_D, TILE_N))
    return ct.mma(q, k, ct.full((TILE_M, TILE_N), 0.0, dtype=ct.float32))


def values(V, b, kv, j, TILE_N, TILE_D, V_LATENCY, USE_TMA):
    """One value tile: (TILE_N, TILE_D)."""
    return ct.load(
        V,
        index=(b, kv, j, 0),
        shape=(1, 1, TILE_N, TILE_D),
        padding_mode=ct.PaddingMode.ZERO,
        latency=V_LATENCY,
        allow_tma=USE_TMA,
    ).reshape((TILE_N, TILE_D))


def masked(s, row, j, seq_kv, TILE_N, CAUSAL):
    """Scores with the keys a row must not see at the floor."""
    column = j * TILE_N + ct.arange(TILE_N, dtype=ct.int32)[None, :]
    mask = column < seq_kv
    if CAUSAL:
        mask = mask & (row >= column)
    return ct.where(mask, s, FLOOR)
