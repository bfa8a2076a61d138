"""Fused multi-head attention with online softmax, in cuTile.

Einsum: O[b,h,m,d] = OnlineSoftmax(sum_d Q[b,h,m,d] * K[b,h//G,n,d] * scale)[n] * V[b,h//G,n,d], G query heads per KV head.

Invariants, each with a test:
  * after key tile j: l_i = sum exp2(s - m_i), acc = sum exp2(s - m_i) * v over all scores seen; the result is acc / l_i
    whatever m_i is, as long as nothing overflows; a new m_i rescales l_i and acc by alpha = exp2(m_old - m_new);
  * m_i is put above the maximum only as far as l_i stays above 1, so that weights that are subnormal in fp16, each wrong
    by up to 2^-25, change the result by no more than N * 2^-25 of the largest value, as under the maximum itself;
  * with RUNNING_MAX m_i is the row maximum of all scores seen, so no score is ever exponentiated above 0; with RAISE_BY
    it may lag behind by that many powers of two, and is raised for all rows when one row needs it;
  * without it m_i is the row maximum of the first key tile; with CATCH_UP that of the first CATCH_UP key tiles, and
    after every CATCH_UP more m_i is raised as far as l_i comes down to 1, because a row sum bounds every weight in it, or
    to its share of SAFE_KEYS, so that the small weights of a longer row stay out of what fp16 rounds to 2^-25;
  * without it l_i < `most_sum` for every row proves that no weight overflowed; a row sum that was above stays BROKEN;
    where the proof fails, the query tile is computed again with a running maximum;
  * masked scores and the first m_i are FLOOR, a finite number: -inf would give (-inf) - (-inf) = NaN in a masked row;
  * a row that sees no key is written as 0, its log-sum-exp as FLOOR; one whose scores are NaN as NaN;
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

PLAIN = 0  # scores, softmax, product with V, one key tile after the other; the compiler overlaps what it can
EARLY_SCORES = 1  # Q K^T of the next key tile is issued before the softmax of this one
LATE_VALUES = 2  # the product with V of the last key tile is issued with Q K^T of this one

AFTER = 0  # key tiles that need a mask in a loop of their own, after the others
INLINE = 1  # one loop that asks of each key tile: no second loop has to fill its pipeline of loads

FITS = 60000.0  # a row sum below it holds no weight above 65504, the largest number of fp16
FITS_BF16 = 2.0**64  # half of the exponents of fp32, which are those of bf16: the other half is for values
BROKEN = 1.0e30  # the sum of a row in which a weight overflowed
SAFE_KEYS = 4096.0  # at a row sum of 1, so many weights that fp16 rounds by 2^-25 change a result by at most 2^-13


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
    MASKED_TILES: ConstInt,
    RUNNING_MAX: ConstBool,
    RAISE_BY: ConstInt,  # powers of two by which a running maximum may lag
    CATCH_UP: ConstInt,  # without a running maximum, after stretches of so many key tiles it is raised; 0 never
    Q_REGISTERS: ConstBool,  # read Q from shared memory once, not again for every key tile
    SUM_LANES: ConstInt,  # partial row sums kept apart until the end; 8 is one for each pair of a fragment's columns
    HEAVY_FIRST: ConstBool,  # the last query tile of a causal head has the most keys
    HEADS_FASTEST: ConstBool,
    MANY_HEADS: ConstBool,  # more heads in the batch than the second and third dimension of a grid hold
    PERSISTENT: ConstBool,
    USE_TMA: ConstBool,
    WRITE_LSE: ConstBool,
):
    num_m = ct.cdiv(Q.shape[2], TILE_M)
    tiles = (TILE_M, TILE_N, TILE_D)
    k_hints = (K_LATENCY, USE_TMA)
    v_hints = (V_LATENCY, USE_TMA)
    policy = (RUNNING_MAX, RAISE_BY, CATCH_UP, SUM_LANES)
    variant = (CAUSAL, RAGGED, PIPELINE, SPLIT_LOOP, MASKED_TILES, policy)
    ends = (Q_REGISTERS, WRITE_LSE)
    if PERSISTENT:
        num_heads = Q.shape[0] * NUM_HEADS
        for t in range(ct.bid(0), num_m * num_heads, ct.num_blocks(0)):
            x, bh = block_of(t, num_m, num_heads, HEADS_FASTEST)
            b, h = bh // NUM_HEADS, bh % NUM_HEADS
            x = num_m - 1 - x if HEAVY_FIRST else x
            attend(Q, K, V, Out, Lse, scale, q_offset, (b, h, h // GROUP, x), tiles, k_hints, v_hints, variant, ends)
    else:
        # To divide a block number by what is not a constant costs as much as the rest of a CTA's start, and the
        # compiler divides the first index, if it is used, by the size of a cluster.
        bh, x = (ct.bid(1), ct.bid(2)) if HEADS_FASTEST else (ct.bid(2), ct.bid(1))
        if MANY_HEADS:
            bh, x = ct.bid(0), ct.bid(1)
        b, h = bh // NUM_HEADS, bh % NUM_HEADS
        x = num_m - 1 - x if HEAVY_FIRST else x
        attend(Q, K, V, Out, Lse, scale, q_offset, (b, h, h // GROUP, x), tiles, k_hints, v_hints, variant, ends)


def block_of(t, num_m, num_heads, HEADS_FASTEST):
    """(query tile, batch and head) of the t-th block."""
    if HEADS_FASTEST:
        return t // num_heads, t % num_heads
    return t % num_m, t // num_m


def attend(Q, K, V, Out, Lse, scale, q_offset, place, tiles, k_hints, v_hints, variant, ends):
    """One query tile of one head against all the keys it sees."""
    b, h, kv, x = place
    TILE_M, _, TILE_D = tiles
    CAUSAL, RAGGED, _, _, _, (RUNNING_MAX, _, _, SUM_LANES) = variant
    Q_REGISTERS, WRITE_LSE = ends
    qk_scale = scale * LOG2_E
    q = ct.load(Q, index=(b, h, x, 0), shape=(1, 1, TILE_M, TILE_D), padding_mode=ZERO, allow_tma=k_hints[1]).reshape(
        (TILE_M, TILE_D)
    )
    if Q_REGISTERS:  # what arithmetic made is in registers, and halving is exact but for subnormal numbers
        q = q * 0.5
        qk_scale = qk_scale * 2.0
    rows = (x * TILE_M + q_offset, qk_scale)
    keys = (K, V, b, kv, k_hints, v_hints)
    m_i, l_i, acc = walk(q, keys, rows, tiles, variant)
    if not RUNNING_MAX:
        fits = ct.max(l_i) < most_sum(K)  # false for NaN as well
        if not fits:
            safe = (CAUSAL, RAGGED, PLAIN, False, AFTER, (True, 0, 0, SUM_LANES))
            m_i, l_i, acc = walk(q, keys, rows, tiles, safe)

    # Not from m_i: the maximum of a row of NaN scores stays at the floor too, and such a row is NaN.
    l_sum = ct.sum(l_i, axis=1, keepdims=True)  # (TILE_M, 1)
    sees = rows[0] + ct.arange(TILE_M, dtype=ct.int32)[:, None] >= 0
    if CAUSAL:  # otherwise every row sees a key
        l_sum = ct.where(sees, l_sum, 1.0)
    out = ct.truediv(acc, l_sum, flush_to_zero=True, rounding_mode=ct.RoundingMode.APPROX)
    if CAUSAL:
        out = ct.where(sees, out, 0.0)
    ct.store(Out, index=(b, h, x, 0), tile=out.astype(Out.dtype).reshape((1, 1, TILE_M, TILE_D)), allow_tma=k_hints[1])
    if WRITE_LSE:
        lse = (m_i + ct.log2(l_sum)) * LN_2
        if CAUSAL:
            lse = ct.where(sees, lse, FLOOR)
        ct.store(Lse, index=(b, h, x), tile=lse.reshape((1, 1, TILE_M)))


def walk(q, keys, rows, tiles, variant):
    """(m_i, l_i, acc) of query tile q, unscaled, after all the keys it sees.

    keys: K, V, batch, KV head and the hints of both loads; rows: the last key that the first row sees, and the scale of
    the scores for exp2; tiles: TILE_M, TILE_N, TILE_D.
    """
    TILE_M, TILE_N, TILE_D = tiles
    CAUSAL, _, PIPELINE, _, _, (_, _, CATCH_UP, SUM_LANES) = variant
    seq_kv = keys[0].shape[2]
    num_n = ct.cdiv(seq_kv, TILE_N)
    num_full = seq_kv // TILE_N  # key tiles that need no mask
    if CAUSAL:
        # A negative offset leaves rows without a key: no tile, or in a pipeline, which starts with one, a wholly masked one
        num_n = max(min(num_n, ct.cdiv(rows[0] + TILE_M, TILE_N)), 0 if PIPELINE == PLAIN else 1)
        num_full = max(min(num_full, (rows[0] + 1) // TILE_N), 0)
    state = (
        ct.full((TILE_M, 1), FLOOR, dtype=ct.float32),
        ct.full((TILE_M, SUM_LANES), 0.0, dtype=ct.float32),
        ct.full((TILE_M, TILE_D), 0.0, dtype=ct.float32),
    )
    row = rows[0] + ct.arange(TILE_M, dtype=ct.int32)[:, None]  # last key each row sees
    seen = (row, rows[1], num_full, num_n)
    if CATCH_UP > 0 and PIPELINE == PLAIN:
        return plain_in_stretches(q, keys, seen, tiles, variant, state)
    if CATCH_UP > 0:
        return early_scores_in_stretches(q, keys, seen, tiles, variant, state)
    if PIPELINE == PLAIN:
        return plain(q, keys, seen, tiles, variant, state)
    if PIPELINE == EARLY_SCORES:
        return early_scores(q, keys, seen, tiles, variant, state)
    return late_values(q, keys, seen, tiles, variant, state)


def plain(q, keys, seen, tiles, variant, state):
    """Scores, softmax and product with V of each key tile in turn."""
    CAUSAL, RAGGED, _, SPLIT_LOOP, MASKED_TILES, policy = variant
    _, qk_scale, num_full, num_n = seen
    first_masked = 0
    if SPLIT_LOOP and MASKED_TILES == AFTER:
        first_masked = num_full
        for j in range(num_full):
            s = scores(q, keys, j, tiles)
            state = anchored(s, j, state, qk_scale, policy)
            p, state = soften(s, state, keys, qk_scale, tiles, policy)
            state = gathered(p, state, keys, j, tiles)
    if CAUSAL or RAGGED or not SPLIT_LOOP or MASKED_TILES == INLINE:
        for j in range(first_masked, num_n):
            s = scores(q, keys, j, tiles)
            if MASKED_TILES == INLINE:
                s = masked_from(num_full, s, seen, j, keys, tiles, variant)
            elif SPLIT_LOOP or j >= num_full:
                s = masked(s, seen, j, keys, tiles, variant)
            state = anchored(s, j, state, qk_scale, policy)
            p, state = soften(s, state, keys, qk_scale, tiles, policy)
            state = gathered(p, state, keys, j, tiles)
    return state


def early_scores(q, keys, seen, tiles, variant, state):
    """The tensor cores multiply Q and the next keys while this tile's exponentials are taken."""
    CAUSAL, _, _, _, MASKED_TILES, policy = variant
    _, qk_scale, num_full, num_n = seen
    last = num_n - 1
    s = scores(q, keys, 0, tiles)
    state = anchored(masked(s, seen, 0, keys, tiles, variant), 0, state, qk_scale, policy)
    first_masked = min(num_full, last) if MASKED_TILES == AFTER else last
    for j in range(first_masked):
        s_next = scores(q, keys, j + 1, tiles)
        if CAUSAL and MASKED_TILES == INLINE:  # without a causal mask only the last tile needs one
            s = masked_from(num_full, s, seen, j, keys, tiles, variant)
        p, state = soften(s, state, keys, qk_scale, tiles, policy)
        state = gathered(p, state, keys, j, tiles)
        s = s_next
    if CAUSAL and MASKED_TILES == AFTER:
        for j in range(first_masked, last):
            s_next = scores(q, keys, j + 1, tiles)
            s = masked(s, seen, j, keys, tiles, variant)
            p, state = soften(s, state, keys, qk_scale, tiles, policy)
            state = gathered(p, state, keys, j, tiles)
            s = s_next
    s = masked(s, seen, last, keys, tiles, variant)
    p, state = soften(s, state, keys, qk_scale, tiles, policy)
    return gathered(p, state, keys, last, tiles)


def late_values(q, keys, seen, tiles, variant, state):
    """The tensor cores multiply the last tile's weights and values while this tile's exponentials are taken."""
    CAUSAL, RAGGED, _, _, MASKED_TILES, policy = variant
    _, qk_scale, num_full, num_n = seen
    s = masked(scores(q, keys, 0, tiles), seen, 0, keys, tiles, variant)
    state = anchored(s, 0, state, qk_scale, policy)
    p, state = soften(s, state, keys, qk_scale, tiles, policy)
    first_masked = max(num_full, 1) if MASKED_TILES == AFTER else num_n
    for j in range(1, first_masked):
        s = scores(q, keys, j, tiles)
        state = gathered(p, state, keys, j - 1, tiles)
        if (CAUSAL or RAGGED) and MASKED_TILES == INLINE:
            s = masked_from(num_full, s, seen, j, keys, tiles, variant)
        p, state = soften(s, state, keys, qk_scale, tiles, policy)
    if (CAUSAL or RAGGED) and MASKED_TILES == AFTER:
        for j in range(first_masked, num_n):
            s = scores(q, keys, j, tiles)
            state = gathered(p, state, keys, j - 1, tiles)
            s = masked(s, seen, j, keys, tiles, variant)
            p, state = soften(s, state, keys, qk_scale, tiles, policy)
    return gathered(p, state, keys, num_n - 1, tiles)


def plain_in_stretches(q, keys, seen, tiles, variant, state):
    """As `plain`; the maximum is raised at the first key tiles, then between stretches: a branch in each tile costs more."""
    CAUSAL, RAGGED, _, _, MASKED_TILES, (_, _, CATCH_UP, SUM_LANES) = variant
    _, qk_scale, num_full, num_n = seen
    held = (False, 0, 0, SUM_LANES)
    last = num_full if MASKED_TILES == AFTER else num_n
    early = min(CATCH_UP, last)
    for j in range(early):
        s = scores(q, keys, j, tiles)
        if MASKED_TILES == INLINE:
            s = masked_from(num_full, s, seen, j, keys, tiles, variant)
        state = caught_up(highest(s, qk_scale), state, keys)
        p, state = soften(s, state, keys, qk_scale, tiles, held)
        state = gathered(p, state, keys, j, tiles)
    for first in range(early, last, CATCH_UP):
        state = caught_up(FLOOR, state, keys)
        for j in range(first, min(first + CATCH_UP, last)):
            s = scores(q, keys, j, tiles)
            if MASKED_TILES == INLINE:
                s = masked_from(num_full, s, seen, j, keys, tiles, variant)
            p, state = soften(s, state, keys, qk_scale, tiles, held)
            state = gathered(p, state, keys, j, tiles)
    if (CAUSAL or RAGGED) and MASKED_TILES == AFTER:
        for j in range(last, num_n):
            s = masked(scores(q, keys, j, tiles), seen, j, keys, tiles, variant)
            state = caught_up(highest(s, qk_scale), state, keys)
            p, state = soften(s, state, keys, qk_scale, tiles, held)
            state = gathered(p, state, keys, j, tiles)
    return state


def early_scores_in_stretches(q, keys, seen, tiles, variant, state):
    """As `early_scores`; the maximum is raised at the first key tiles, between stretches, and at those that need a mask."""
    _, _, _, _, _, (_, _, CATCH_UP, SUM_LANES) = variant
    _, qk_scale, num_full, num_n = seen
    held = (False, 0, 0, SUM_LANES)
    last = num_n - 1
    first_masked = min(num_full, last)
    early = min(CATCH_UP, first_masked)
    s = scores(q, keys, 0, tiles)
    for j in range(early):
        s_next = scores(q, keys, j + 1, tiles)
        state = caught_up(highest(s, qk_scale), state, keys)
        p, state = soften(s, state, keys, qk_scale, tiles, held)
        state = gathered(p, state, keys, j, tiles)
        s = s_next
    for first in range(early, first_masked, CATCH_UP):
        state = caught_up(FLOOR, state, keys)
        for j in range(first, min(first + CATCH_UP, first_masked)):
            s_next = scores(q, keys, j + 1, tiles)
            p, state = soften(s, state, keys, qk_scale, tiles, held)
            state = gathered(p, state, keys, j, tiles)
            s = s_next
    for j in range(first_masked, last):
        s_next = scores(q, keys, j + 1, tiles)
        s = masked(s, seen, j, keys, tiles, variant)
        state = caught_up(highest(s, qk_scale), state, keys)
        p, state = soften(s, state, keys, qk_scale, tiles, held)
        state = gathered(p, state, keys, j, tiles)
        s = s_next
    s = masked(s, seen, last, keys, tiles, variant)
    state = caught_up(highest(s, qk_scale), state, keys)
    p, state = soften(s, state, keys, qk_scale, tiles, held)
    return gathered(p, state, keys, last, tiles)


def masked_from(first, s, seen, j, keys, tiles, variant):
    """Scores masked from key tile `first` on, in one loop for all of them."""
    if j * j >= first * first:  # the compiler solves j >= first, and splits the loop after all
        s = masked(s, seen, j, keys, tiles, variant)
    return s


def anchored(s, j, state, qk_scale, policy):
    """The state whose m_i, where no later tile raises it, is the maximum of the first."""
    RUNNING_MAX, _, _, _ = policy
    m_i, l_i, acc = state
    if not RUNNING_MAX:  # noqa: SIM102  # a constant; the next is not
        if j * j == 0:  # the compiler would make a first pass j == 0 a loop of its own
            m_i = highest(s, qk_scale)
    return m_i, l_i, acc


def caught_up(top, state, keys):
    """The state with m_i raised to `top` or as far as the row sum allows; a sum with a weight that overflowed is marked."""
    m_i, l_i, acc = state
    total = ct.sum(l_i, axis=1, keepdims=True)
    spare = ct.log2(total * min(1.0, SAFE_KEYS / keys[0].shape[2]))
    m_i, l_i, acc = raised(max(m_i + max(spare, 0.0), top), m_i, l_i, acc)
    return m_i, ct.where(total < most_sum(keys[0]), l_i, BROKEN), acc


def soften(s, state, keys, qk_scale, tiles, policy):
    """Weights p of a key tile's scores s, in the type of V, and the state that they are to be added to."""
    RUNNING_MAX, RAISE_BY, _, SUM_LANES = policy
    m_i, l_i, acc = state
    if RUNNING_MAX and RAISE_BY == 0:
        m_i, l_i, acc = raised(max(m_i, highest(s, qk_scale)), m_i, l_i, acc)
    elif RUNNING_MAX:
        top = highest(s, qk_scale)
        grown = ct.max(top - m_i) > RAISE_BY
        if grown:
            m_i, l_i, acc = raised(max(m_i, top), m_i, l_i, acc)
    p = ct.exp2(s * qk_scale - m_i, flush_to_zero=True)
    # One lane is a full row sum. Eight lanes sum what one thread holds, so that threads exchange sums once, at the end.
    l_i = l_i + ct.sum(p.reshape((tiles[0], tiles[1] // SUM_LANES, SUM_LANES)), axis=1)
    return p.astype(keys[1].dtype), (m_i, l_i, acc)


def raised(m_new, m_i, l_i, acc):
    """The state under a new m_i."""
    alpha = ct.exp2(m_i - m_new, flush_to_zero=True)
    return m_new, l_i * alpha, acc * alpha


def gathered(p, state, keys, j, tiles):
    """The state with the product of the weights p and the values of key tile j added."""
    m_i, l_i, acc = state
    return m_i, l_i, ct.mma(p, values(keys, j, tiles), acc)


def most_sum(K):
    """A row sum below it proves that no weight overflowed in the type of K and V."""
    return FITS if K.dtype == ct.float16 else FITS_BF16


def highest(s, qk_scale):
    """Row maxima for exp2: (TILE_M, 1) fp32."""
    return ct.max(s, axis=1, keepdims=True) * qk_scale


def scores(q, keys, j, tiles):
    """Q K^T of one key tile, unscaled: (TILE_M, TILE_N) fp32."""
    K, _, b, kv, (latency, use_tma), _ = keys
    TILE_M, TILE_N, TILE_D = tiles
    k = ct.load(
        K,
        index=(b, kv, 0, j),
        shape=(1, 1, TILE_D, TILE_N),
        order=(0, 1, 3, 2),
        padding_mode=ZERO,
        latency=latency,
        allow_tma=use_tma,
    ).reshape((TILE_D, TILE_N))
    return ct.mma(q, k, ct.full((TILE_M, TILE_N), 0.0, dtype=ct.float32))


def values(keys, j, tiles):
    """One value tile: (TILE_N, TILE_D)."""
    _, V, b, kv, _, (latency, use_tma) = keys
    _, TILE_N, TILE_D = tiles
    return ct.load(
        V,
        index=(b, kv, j, 0),
        shape=(1, 1, TILE_N, TILE_D),
        padding_mode=ZERO,
        latency=latency,
        allow_tma=use_tma,
    ).reshape((TILE_N, TILE_D))


def masked(s, seen, j, keys, tiles, variant):
    """Scores with the keys a row must not see at the floor."""
    CAUSAL, RAGGED, _, _, _, _ = variant
    TILE_N, seq_kv, row = tiles[1], keys[0].shape[2], seen[0]
    column = j * TILE_N + ct.arange(TILE_N, dtype=ct.int32)[None, :]
    if CAUSAL and RAGGED:
        return ct.where((row >= column) & (column < seq_kv), s, FLOOR)
    if CAUSAL:
        return ct.where(row >= column, s, FLOOR)
    if RAGGED:
        return ct.where(column < seq_kv, s, FLOOR)
    return s
