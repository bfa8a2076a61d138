"""Token and position embedding, and the gradients of both tables: sums over tokens in their order, without atomics.

Out[n,c] = Wte[Ids[n],c] + Wpe[n mod T,c]; dWte[v,c] = sum of dOut[n,c] over the n with Ids[n] = v; dWpe over those with n mod T = v.
"""

import cuda.tile as ct

ConstInt = ct.Constant[int]
ConstBool = ct.Constant[bool]
ZERO = ct.PaddingMode.ZERO


@ct.kernel
def forward_kernel(Ids, Wte, Wpe, Out, TILE_M: ConstInt, TILE_C: ConstInt):
    i, j = ct.bid(0), ct.bid(1)
    row = i * TILE_M + ct.arange(TILE_M, dtype=ct.int32)
    column = j * TILE_C + ct.arange(TILE_C, dtype=ct.int32)
    ids = ct.load(Ids, index=(i,), shape=(TILE_M,), padding_mode=ZERO)
    token = ct.gather(Wte, (ids[:, None], column[None, :]), padding_value=0.0)
    position = ct.gather(Wpe, ((row % Wpe.shape[0])[:, None], column[None, :]), padding_value=0.0)
    ct.store(Out, index=(i, j), tile=token + position)


@ct.kernel
def backward_kernel(Ids, DOut, DTable, BY_POSITION: ConstBool, TILE_M: ConstInt, TILE_C: ConstInt, TILE_V: ConstInt):
    i, j = ct.bid(0), ct.bid(1)
    entry = i * TILE_V + ct.arange(TILE_V, dtype=ct.int32)
    acc = ct.full((TILE_V, TILE_C), 0.0, dtype=ct.float32)
    for n in range(ct.cdiv(DOut.shape[0], TILE_M)):
        if BY_POSITION:
            index = (n * TILE_M + ct.arange(TILE_M, dtype=ct.int32)) % DTable.shape[0]
        else:
            index = ct.load(Ids, index=(n,), shape=(TILE_M,), padding_mode=ZERO)
        chosen = ct.where(entry[:, None] == index[None, :], 1.0, 0.0)
        dout = ct.load(DOut, index=(n, j), shape=(TILE_M, TILE_C), padding_mode=ZERO)
        acc = ct.mma(chosen, dout, acc)
    ct.store(DTable, index=(i, j), tile=acc)
