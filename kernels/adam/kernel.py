"""Adam's update of a vector of parameters; new and old may be the same arrays.

M' = b1 M + (1 - b1) G; V' = b2 V + (1 - b2) G^2; P' = P - rate * M' / (sqrt(V') * root + eps).
"""

import cuda.tile as ct

ConstInt = ct.Constant[int]
ZERO = ct.PaddingMode.ZERO


@ct.kernel
def update_kernel(
    P,
    G,
    M,
    V,
    Rates,  # (2,): learning rate / (1 - b1^t) and (1 - b2^t)^-1/2; in memory, so that a graph reads those of its step
    NewP,
    NewM,
    NewV,
    beta1: float,
    beta2: float,
    epsilon: float,
    TILE: ConstInt,
):
    i = ct.bid(0)
    g = ct.load(G, index=(i,), shape=(TILE,), padding_mode=ZERO)
    m = beta1 * ct.load(M, index=(i,), shape=(TILE,), padding_mode=ZERO) + (1.0 - beta1) * g
    v = beta2 * ct.load(V, index=(i,), shape=(TILE,), padding_mode=ZERO) + (1.0 - beta2) * g * g
    p = ct.load(P, index=(i,), shape=(TILE,), padding_mode=ZERO)
    rate = ct.load(Rates, index=(0,), shape=(1,))
    root = ct.load(Rates, index=(1,), shape=(1,))
    ct.store(NewP, index=(i,), tile=p - rate * m / (ct.sqrt(v) * root + epsilon))
    ct.store(NewM, index=(i,), tile=m)
    ct.store(NewV, index=(i,), tile=v)
