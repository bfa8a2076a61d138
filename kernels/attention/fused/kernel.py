"""Attention in one launch, with online softmax: S and P never leave the SM. One head a CTA, no mask, no GQA.

Einsum: O[m,d] = OnlineSoftmax(sum_d Q[m,d] * K[n,d] * scale)[n] * V[n,d], for each head

Invariants, each with a test:
  * after key tile j: m_i is the row maximum of all scores seen, l_i = sum exp2(s - m_i), acc = sum exp2(s - m_i) * v;
  * the first m_i and keys past the end are FLOOR, a finite number, so no -inf is subtracted from another;
  * the division by l_i happens once, at the end.
"""

import math

import cuda.tile as ct

ConstInt = ct.Constant[int]
ZERO = ct.PaddingMode.ZERO

LOG2_E = 1.0 / math.log(2.0)
FLOOR = -1.0e20  # law: mask floor


@ct.kernel
def fused_kernel(
    Q,  # (B * H, Sq, D)
    K,  # (B * H, Skv, D)
    V,  # (B * H, Skv, D)
    Out,  # (B * H, Sq, D)
    scale: float,
    TILE_M: ConstInt,
    TILE_N: ConstInt,
    TILE_D: ConstInt,
):
    x, head = ct.bid(0), ct.bid(1)
    seq_kv = K.shape[1]
    q = ct.load(Q, index=(head, x, 0), shape=(1, TILE_M, TILE_D), padding_mode=ZERO).reshape((TILE_M, TILE_D))
    m_i = ct.full((TILE_M, 1), FLOOR, dtype=ct.float32)
    l_i = ct.full((TILE_M, 1), 0.0, dtype=ct.float32)
    acc = ct.full((TILE_M, TILE_D), 0.0, dtype=ct.float32)
    for j in range(ct.cdiv(seq_kv, TILE_N)):
        k = ct.load(K, index=(head, 0, j), shape=(1, TILE_D, TILE_N), order=(0, 2, 1), padding_mode=ZERO).reshape(
            (TILE_D, TILE_N)
        )
        s = ct.mma(q, k, ct.full((TILE_M, TILE_N), 0.0, dtype=ct.float32)) * (scale * LOG2_E)
        column = j * TILE_N + ct.arange(TILE_N, dtype=ct.int32)[None, :]
        s = ct.where(column < seq_kv, s, FLOOR)
        m_new = max(m_i, ct.max(s, axis=1, keepdims=True))
        p = ct.exp2(s - m_new)
        alpha = ct.exp2(m_i - m_new)
        l_i = l_i * alpha + ct.sum(p, axis=1, keepdims=True)
        v = ct.load(V, index=(head, j, 0), shape=(1, TILE_N, TILE_D), padding_mode=ZERO).reshape((TILE_N, TILE_D))
        acc = ct.mma(p.astype(V.dtype), v, acc * alpha)
        m_i = m_new
    ct.store(Out, index=(head, x, 0), tile=(acc / l_i).astype(Out.dtype).reshape((1, TILE_M, TILE_D)))
