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
    TILE_K: ConstInt,  # a multiple of TILE_N
):
    """A token's place is the number of those before it: of smaller ids, or of the same and earlier."""
    i = ct.bid(0)
    count = Ids.shape[0]
    number = i * TILE_N + ct.arange(TILE_N, dtype=ct.int32)
    mine = ct.load(Ids, index=(i,), shape=(TILE_N,), padding_mode=ZERO, allow_tma=False)[:, None]
    before = ct.full((TILE_N, TILE_K), 0, dtype=ct.int32)
    among = i * TILE_N // TILE_K  # the tile that these tokens are in
    for k in range(among):
        other = ct.load(Ids, index=(k,), shape=(TILE_K,), check_bounds=False, allow_tma=False)[None, :]
        before = before + ct.where(other <= mine, 1, 0)
    other, place = others(Ids, among, TILE_K)
    earlier = place[None, :] < number[:, None]
    before = before + ct.where((other < mine) | ((other == mine) & earlier), 1, 0)
    for k in range(among + 1, ct.cdiv(count, TILE_K)):
        other, _ = others(Ids, k, TILE_K)
        before = before + ct.where(other < mine, 1, 0)
    to = ct.where(number < count, ct.sum(before, axis=1), count)  # out of bounds, where nothing is written
    ct.scatter(Order, to, number)
    ct.scatter(Sorted, to, mine.reshape((TILE_N,)))


def others(Ids, k, TILE_K):
    """(ids (1, TILE_K), their places) of the k-th tile; what is not there comes last."""
    place = k * TILE_K + ct.arange(TILE_K, dtype=ct.int32)
    ids = ct.load(Ids, index=(k,), shape=(TILE_K,), padding_mode=ZERO, allow_tma=False)
    return ct.where(place < Ids.shape[0], ids, LAST)[None, :], place


@ct.kernel
def token_rows_kernel(Order, Sorted, DOut, DTable, TILE_M: ConstInt, TILE_C: ConstInt, TILE_RUN: ConstInt):
    """Adds to each row of DTable whose first token is among the CTA's the sum over all of its tokens."""
    i, j = ct.bid(0), ct.bid(1)
    number = i * TILE_M + ct.arange(TILE_M, dtype=ct.int32)
    after = (i + 1) * TILE_M
    ids = ct.gather(Sorted, number, padding_value=-1)
    first = (ids != ct.gather(Sorted, number - 1, padding_value=-1)) & (ids >= 0)
    following = ct.gather(Sorted, after, padding_value=-1)
    if ct.max(ct.where(first, 1, 0)) > 0:
        column = j * TILE_C + ct.arange(TILE_C, dtype=ct.int32)[None, :]
        row = ct.where(first, ids, -1)[:, None]  # out of bounds, where nothing is read or written
        held = ct.gather(DTable, (row, column), padding_value=0.0).astype(ct.float32)
        x = rows_of(Order, DOut, number, column)
        same = ct.where(ids[:, None] == ids[None, :], 1.0, 0.0)
        sums = ct.mma(same, x, ct.full((TILE_M, TILE_C), 0.0, dtype=ct.float32))
        last = ct.max(ids)  # they rise; of the last tokens of all none follows
        if following == last and ct.max(ct.where(first & (ids == last), 1, 0)) > 0:
            rest = ct.full((1, TILE_C), 0.0, dtype=ct.float32)
            while following == last:
                run = after + ct.arange(TILE_RUN, dtype=ct.int32)
                equal = ct.gather(Sorted, run, padding_value=-1) == last
                more = rows_of(Order, DOut, ct.where(equal, run, -1), column)
                rest = rest + ct.sum(more, axis=0, keepdims=True)
                after = after + TILE_RUN
                following = ct.gather(Sorted, after, padding_value=-1)
            sums = sums + ct.where((ids == last)[:, None], rest, 0.0)
        ct.scatter(DTable, (row, column), (held + sums).astype(DTable.dtype))


def rows_of(Order, DOut, number, column):
    """Rows of DOut of these numbers among the sorted tokens; 0 where there is none."""
    token = ct.gather(Order, number, padding_value=-1)
    return ct.gather(DOut, (token[:, None], column), padding_value=0.0).astype(ct.float32)


@ct.kernel
def position_rows_kernel(
    DOut,  # (batch, positions, width)
    DTable,  # (positions, width)
    TILE_B: ConstInt,
    TILE_M: ConstInt,
    TILE_C: ConstInt,
):
    i, j = ct.bid(0), ct.bid(1)
    acc = ct.full((TILE_M, TILE_C), 0.0, dtype=ct.float32)
    for b in range(ct.cdiv(DOut.shape[0], TILE_B)):
        x = ct.load(DOut, index=(b, i, j), shape=(TILE_B, TILE_M, TILE_C), padding_mode=ZERO, allow_tma=False)
        acc = acc + ct.sum(x.astype(ct.float32), axis=0)
    ct.store(DTable, index=(i, j), tile=acc.astype(DTable.dtype), allow_tma=False)
