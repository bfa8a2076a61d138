"""Adam's and AdamW's update of a vector of parameters; new and old may be the same arrays.

M' = b1 M + (1 - b1) G; V' = b2 V + (1 - b2) G^2; P' = P - rate M' / (sqrt(V') root + eps).
AdamW first takes c G for G, c = min(1, max_norm / (|G| + 1e-6)), and (1 - decay) P for the first `decayed` of P; where |G|
is not finite, it writes nothing.
"""

import cuda.tile as ct

ConstInt = ct.Constant[int]
ZERO = ct.PaddingMode.ZERO
CLIP_EPSILON = 1e-6  # as torch.nn.utils.clip_grad_norm_ has it


@ct.kernel
def adam_kernel(
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
    g = load_vector(G, i, TILE)
    m = beta1 * load_vector(M, i, TILE) + (1.0 - beta1) * g
    v = beta2 * load_vector(V, i, TILE) + (1.0 - beta2) * g * g
    p = load_vector(P, i, TILE)
    rate = ct.load(Rates, index=(0,), shape=(1,))
    root = ct.load(Rates, index=(1,), shape=(1,))
    ct.store(NewP, index=(i,), tile=p - rate * m / (ct.sqrt(v) * root + epsilon))
    ct.store(NewM, index=(i,), tile=m)
    ct.store(NewV, index=(i,), tile=v)


@ct.kernel
def adamw_kernel(
    P,
    G,  # fp32 or bf16
    M,
    V,
    Norm,  # (1,): of G
    Factors,  # (3,): learning rate, 1 - b1^t and 1 - b2^t
    NewP,
    NewM,
    NewV,
    Copy,  # bf16, of NewP
    decayed: int,
    max_norm: float,  # 0: G is not clipped
    weight_decay: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    TILE: ConstInt,
):
    i = ct.bid(0)
    norm = ct.load(Norm, index=(0,), shape=())
    if norm < float("inf"):
        g = load_vector(G, i, TILE)
        if max_norm > 0.0:
            g = g * ct.minimum(max_norm / (norm + CLIP_EPSILON), 1.0)
        m = beta1 * load_vector(M, i, TILE) + (1.0 - beta1) * g
        v = beta2 * load_vector(V, i, TILE) + (1.0 - beta2) * g * g
        p = load_vector(P, i, TILE)
        learning_rate = ct.load(Factors, index=(0,), shape=(1,))
        rate = learning_rate / ct.load(Factors, index=(1,), shape=(1,))
        root = ct.rsqrt(ct.load(Factors, index=(2,), shape=(1,)))
        decay = learning_rate * weight_decay
        p = p - ct.where(i * TILE + ct.arange(TILE, dtype=ct.int32) < decayed, decay, 0.0) * p
        p = p - rate * m / (ct.sqrt(v) * root + epsilon)
        ct.store(NewP, index=(i,), tile=p)
        ct.store(NewM, index=(i,), tile=m)
        ct.store(NewV, index=(i,), tile=v)
        ct.store(Copy, index=(i,), tile=ct.astype(p, Copy.dtype))


@ct.kernel
def squares_kernel(G, Parts, TILE: ConstInt):
    """The sum of squares of each tile."""
    g = load_vector(G, ct.bid(0), TILE)
    ct.store(Parts, index=(ct.bid(0),), tile=ct.sum(g * g, axis=0, keepdims=True))


@ct.kernel
def norm_kernel(Parts, Norm, TILE: ConstInt):
    """One CTA; it adds in the same order every time."""
    squares = ct.full((TILE,), 0.0, dtype=ct.float32)
    for i in range(ct.cdiv(Parts.shape[0], TILE)):
        squares = squares + load_vector(Parts, i, TILE)
    ct.store(Norm, index=(0,), tile=ct.sqrt(ct.sum(squares, axis=0, keepdims=True)))


def load_vector(X, i, TILE):
    """(TILE,) fp32 at tile i of X."""
    return ct.astype(ct.load(X, index=(i,), shape=(TILE,), padding_mode=ZERO, allow_tma=False), ct.float32)
