"""Softmax cross-entropy of weighted rows, and its gradient in the same launch; a CTA has whole rows.

Loss[i] = w[i] * (log(sum_v exp(Logits[i,v])) - Logits[i,target[i]]); dLogits[i,v] = w[i] * (softmax(Logits[i])[v] - [v = target[i]]).
A row of weight 0 is masked: its loss and its gradient are 0.
"""

import cuda.tile as ct

ConstInt = ct.Constant[int]


@ct.kernel
def forward_kernel(Logits, Targets, Weights, Loss, DLogits, TILE_M: ConstInt, TILE_V: ConstInt):
    i = ct.bid(0)
    x = ct.load(Logits, index=(i, 0), shape=(TILE_M, TILE_V), padding_mode=ct.PaddingMode.NEG_INF)
    target = ct.load(Targets, index=(i,), shape=(TILE_M,), padding_mode=ct.PaddingMode.ZERO)
    weight = ct.load(Weights, index=(i,), shape=(TILE_M,), padding_mode=ct.PaddingMode.ZERO).reshape((TILE_M, 1))
    m = ct.max(x, axis=1, keepdims=True)
    e = ct.exp(x - m)
    total = ct.sum(e, axis=1, keepdims=True)
    is_target = target[:, None] == ct.arange(TILE_V, dtype=ct.int32)[None, :]
    reached = ct.sum(ct.where(is_target, x, 0.0), axis=1, keepdims=True)
    loss = weight * (m - reached + ct.log(total))
    ct.store(Loss, index=(i,), tile=loss.reshape((TILE_M,)))
    ct.store(DLogits, index=(i, 0), tile=weight * (e / total - ct.where(is_target, 1.0, 0.0)))
