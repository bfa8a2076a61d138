"""What a captured step reads of its number, and where it leaves its loss: all else is kernels of single operations."""

import cuda.tile as ct

ConstInt = ct.Constant[int]


@ct.kernel
def fetch_kernel(
    Step,  # (1,) int32
    Tokens,  # (steps * B, T + 1) int32
    Lengths,  # (steps * B,) int32
    Schedule,  # (steps, 2)
    Ids,  # (B, T) int32
    Targets,  # (B, T) int32
    Weights,  # (B, T): 1 / (length * B) of a position that has a target, else 0
    Rates,  # (2,)
    TILE_T: ConstInt,
):
    b = ct.bid(0)
    step = ct.load(Step, index=(0,), shape=(1,))
    document = step * ct.num_blocks(0) + b
    t = ct.arange(TILE_T, dtype=ct.int32)
    length = ct.gather(Lengths, (document,))
    ids = ct.gather(Tokens, (document, t), padding_value=0)
    targets = ct.gather(Tokens, (document, t + 1), padding_value=0)
    weights = ct.where(t < length, 1.0 / (length * ct.num_blocks(0)).astype(ct.float32), 0.0)
    ct.store(Ids, index=(b, 0), tile=ids.reshape((1, TILE_T)))
    ct.store(Targets, index=(b, 0), tile=targets.reshape((1, TILE_T)))
    ct.store(Weights, index=(b, 0), tile=weights.reshape((1, TILE_T)))
    ct.store(Rates, index=(0,), tile=ct.gather(Schedule, (step, ct.arange(2, dtype=ct.int32))))


@ct.kernel
def finish_kernel(Step, Loss, Losses, TILE_M: ConstInt):
    total = ct.full((TILE_M,), 0.0, dtype=ct.float32)
    for i in range(ct.cdiv(Loss.shape[0], TILE_M)):
        total = total + ct.load(Loss, index=(i,), shape=(TILE_M,), padding_mode=ct.PaddingMode.ZERO)
    step = ct.load(Step, index=(0,), shape=(1,))
    ct.scatter(Losses, (step,), ct.sum(total, axis=0, keepdims=True))
    ct.store(Step, index=(0,), tile=step + 1)
