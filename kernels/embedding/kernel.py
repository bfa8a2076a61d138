"""Token and position embedding, and the gradients of both tables: sums over tokens in their order, without atomics.

Out[n,c] = Wte[Ids[n],c] + Wpe[n mod T,c]; dWte[v,c] = sum of dOut[n,c] over the n with Ids[n] = v; dWpe over those with n mod T = v.

The gradient of a table comes in two ways. A product with the table of which token chose which entry reads every token for
every entry: for small tables. Or tokens are sorted, and equal ones, which then are neighbours, summed: only the rows that a
token chose are touched, and the sums are added to what they hold, which for a table shared with the output layer is the
gradient from there. Either way equal inputs give equal bits.
"""

import cuda.tile as ct

ConstInt = ct.Constant[int]
ConstBool = ct.Constant[bool]
ZERO = ct.PaddingMode.ZERO
LAST = 0x7FFFFFFF  # after every token


@ct.kernel
def forward_kernel(Ids, Wte, Wpe, Out, TILE_M: ConstInt, TILE_C: ConstInt):
    i, j = ct.bid(0), ct.bid(1)
    row = i * TILE_M + ct.arange(TILE_M, dtype=ct.int32)
    column = j * TILE_C + ct.arange(TILE_C, dtype=ct.int32)
    ids = ct.load(Ids, index=(i,), shape=(TILE_M,), padding_mode=ZERO)
    token = ct.gather(Wte, (ids[:, None], column[None, :]), padding_value=0.0)
    position = ct.gather(Wpe, ((row % Wpe.shape[0])[:, None], column[None, :]), padding_value=0.0)
    ct.store(Out, index=(i, j), tile=(token + position).astype(Out.dtype))


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
        acc = ct.mma(chosen, dout.astype(ct.float32), acc)
    ct.store(DTable, index=(i, j), tile=acc.astype(DTable.dtype))


@ct.kernel
def clear_kernel(DTable, TILE_V: ConstInt, TILE_C: ConstInt):
    ct.store(DTable, index=(ct.bid(0), ct.bid(1)), tile=ct.full((TILE_V, TILE_C), 0.0, dtype=DTable.dtype))


@ct.kernel
def sort_kernel(
    Ids,  # (tokens,) int32
    Order,  # (tokens,) int32: which token is the n-th of the sorted ones
    Sorted,  # (tokens,) int32: its id
    TILE_N: ConstInt,
):
    """A token's place is the number of those before it: of smaller ids, or of the same and earlier."""
    i = ct.bid(0)
    count = Ids.shape[0]
    mine = ct.load(Ids, index=(i,), shape=(TILE_N,), padding_mode=ZERO)
    number = i * TILE_N + ct.arange(TILE_N, dtype=ct.int32)
    before = ct.full((TILE_N, TILE_N), 0, dtype=ct.int32)
    for k in range(i):
        other = ct.load(Ids, index=(k,), shape=(TILE_N,))
        before = before + ct.where(other[None, :] <= mine[:, None], 1, 0)
    earlier = number[None, :] < number[:, None]
    here = ct.where(number < count, mine, LAST)
    before = before + ct.where((here[None, :] < mine[:, None]) | ((here[None, :] == mine[:, None]) & earlier), 1, 0)
    for k in range(i + 1, ct.cdiv(count, TILE_N)):
        other = ct.load(Ids, index=(k,), shape=(TILE_N,), padding_mode=ZERO)
        other = ct.where(k * TILE_N + ct.arange(TILE_N, dtype=ct.int32) < count, other, LAST)
        before = before + ct.where(other[None, :] < mine[:, None], 1, 0)
    place = ct.where(number < count, ct.sum(before, axis=1), count)  # out of bounds, where nothing is written
    ct.scatter(Order, place, number)
    ct.scatter(Sorted, place, mine)


@ct.kernel
def token_rows_kernel(Order, Sorted, DOut, DTable, TILE_M: ConstInt, TILE_C: ConstInt):
    """Adds to each row of DTable whose first token is among the CTA's the sum over all of its tokens."""
    i, j = ct.bid(0), ct.bid(1)
    column = j * TILE_C + ct.arange(TILE_C, dtype=ct.int32)[None, :]
    ids, x = some_tokens(Order, Sorted, DOut, i, column, TILE_M)
    number = i * TILE_M + ct.arange(TILE_M, dtype=ct.int32)
    first = (ids != ct.gather(Sorted, number - 1, padding_value=-1)) & (ids >= 0)
    same = ct.where(ids[:, None] == ids[None, :], 1.0, 0.0)
    sums = ct.mma(same, x, ct.full((TILE_M, TILE_C), 0.0, dtype=ct.float32))

    last = ct.gather(Sorted, i * TILE_M + TILE_M - 1, padding_value=-1)  # -1: no token comes after these
    rest = ct.full((1, TILE_C), 0.0, dtype=ct.float32)
    k = i + 1
    goes_on = (last >= 0) & (ct.max(ct.where(first & (ids == last), 1, 0)) > 0)
    while goes_on:
        more, x = some_tokens(Order, Sorted, DOut, k, column, TILE_M)
        rest = rest + ct.sum(ct.where(more[:, None] == last, x, 0.0), axis=0, keepdims=True)
        goes_on = ct.gather(Sorted, k * TILE_M + TILE_M - 1, padding_value=-1) == last
        k = k + 1
    sums = sums + ct.where((ids == last)[:, None], rest, 0.0)

    row = ct.where(first, ids, -1)[:, None]  # out of bounds, where nothing is read or written
    held = ct.gather(DTable, (row, column), padding_value=0.0).astype(ct.float32)
    ct.scatter(DTable, (row, column), (held + sums).astype(DTable.dtype))


def some_tokens(Order, Sorted, DOut, i, column, TILE_M):
    """(ids, rows of DOut) of the i-th tile of sorted tokens; id -1 and 0 where there is none."""
    number = i * TILE_M + ct.arange(TILE_M, dtype=ct.int32)
    ids = ct.gather(Sorted, number, padding_value=-1)
    token = ct.gather(Order, number, padding_value=-1)
    return ids, ct.gather(DOut, (token[:, None], column), padding_value=0.0).astype(ct.float32)


@ct.kernel
def position_rows_kernel(
    DOut,  # (batch, positions, width)
    DTable,  # (positions, width)
    TILE_M: ConstInt,
    TILE_C: ConstInt,
):
    i, j = ct.bid(0), ct.bid(1)
    acc = ct.full((TILE_M, TILE_C), 0.0, dtype=ct.float32)
    for b in range(DOut.shape[0]):
        x = ct.load(DOut, index=(b, i, j), shape=(1, TILE_M, TILE_C), padding_mode=ZERO)
        acc = acc + x.reshape((TILE_M, TILE_C)).astype(ct.float32)
    ct.store(DTable, index=(i, j), tile=acc.astype(DTable.dtype))
