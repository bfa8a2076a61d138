"""Product, bias and GELU of an MLP's first layer; product and GELU's gradient on the way back through its second.

    forward:   Pre = X W^T + b          Act = gelu(Pre)
    backward:  dPre = (dY W2) * gelu'(Pre)         db = columns' sums of dPre
Products are summed in fp32, and so is all that is done with a sum before it is rounded, once.

Two forms of each. In the product's epilogue, on the accumulator: nothing but Pre, Act and dPre travels. Or element by element
behind a product that a library wrote: one array more is read.

gelu(x) = x * s with s = sigmoid(2 u), u = sqrt(2 / pi) * (x + 0.044715 x^3): GPT-2's form with tanh, as 1 + tanh(u) = 2 s.

Invariants, each with a test:
  * no factor is infinite where another one is 0: gelu' of any finite number is finite;
  * rows beyond the end add nothing to a sum of a column;
  * every sum is taken in one fixed order: a partial sum for each tile of rows, then these from first to last.
"""

import math

import cuda.tile as ct

from spak.kernels.matmul.kernel import tile_of

ConstInt = ct.Constant[int]
ConstBool = ct.Constant[bool]
ZERO = ct.PaddingMode.ZERO

CUBIC = 0.044715  # Source: Hendrycks and Gimpel, Gaussian Error Linear Units
TWO_SLOPES = 2.0 * math.sqrt(2.0 / math.pi)  # of 2 u at 0
LOG2_E = 1.0 / math.log(2.0)
LARGEST_SQUARE = 1.0e4  # beyond x = +-10 the sigmoid is 0 or 1 in fp32, whatever it is of

EXP2 = 0  # the sigmoid is 1 / (1 + 2^-y)
TANH = 1  # it is (1 + tanh) / 2 by the instruction tanh.approx, whose error is about 2^-11


@ct.kernel
def forward_kernel(
    X,  # (M, K)
    W,  # (N, K)
    B,  # (N,)
    Pre,  # (M, N)
    Act,  # (M, N)
    TILE_M: ConstInt,
    TILE_N: ConstInt,
    TILE_K: ConstInt,
    GROUP: ConstInt,
    LATENCY: ConstInt,
    PERSISTENT: ConstBool,
    SIGMOID: ConstInt,
    SUBTILES: ConstInt,
    TMA_STORES: ConstBool,
):
    tiles = (TILE_M, TILE_N, TILE_K)
    epilogue = (SIGMOID, SUBTILES, TMA_STORES)
    num_m, num_n = ct.cdiv(X.shape[0], TILE_M), ct.cdiv(W.shape[0], TILE_N)
    if PERSISTENT:
        for t in range(ct.bid(0), num_m * num_n, ct.num_blocks(0)):
            i, j = tile_of(t, num_m, num_n, GROUP)
            forward_tile(X, W, B, Pre, Act, i, j, tiles, LATENCY, epilogue)
    else:
        i, j = tile_of(ct.bid(0), num_m, num_n, GROUP)
        forward_tile(X, W, B, Pre, Act, i, j, tiles, LATENCY, epilogue)


def forward_tile(X, W, B, Pre, Act, i, j, tiles, LATENCY, epilogue):
    """Compute and write tile (i, j) of Pre and Act, in parts of its columns."""
    SIGMOID, SUBTILES, TMA_STORES = epilogue
    acc = product_tile(X, W, i, j, tiles, LATENCY, True)
    COLUMNS = tiles[1] // SUBTILES
    for c in ct.static_iter(range(SUBTILES)):
        at = j * SUBTILES + c
        if SUBTILES == 1 or at * COLUMNS < W.shape[0]:
            b = ct.load(B, index=(at,), shape=(COLUMNS,), padding_mode=ZERO).astype(ct.float32)
            x = ct.extract(acc, (0, c), (tiles[0], COLUMNS)) + b.reshape((1, COLUMNS))
            ct.store(Pre, index=(i, at), tile=x.astype(Pre.dtype), allow_tma=TMA_STORES)
            ct.store(Act, index=(i, at), tile=(x * sigmoid(x, SIGMOID)).astype(Act.dtype), allow_tma=TMA_STORES)


@ct.kernel
def backward_kernel(
    dY,  # (M, K)
    W2,  # (K, N)
    Pre,  # (M, N)
    dPre,  # (M, N)
    Sums,  # (tiles of M, N) fp32, sums over the rows of a tile
    TILE_M: ConstInt,
    TILE_N: ConstInt,
    TILE_K: ConstInt,
    GROUP: ConstInt,
    LATENCY: ConstInt,
    PERSISTENT: ConstBool,
    SIGMOID: ConstInt,
    SUBTILES: ConstInt,
    TMA_STORES: ConstBool,
):
    tiles = (TILE_M, TILE_N, TILE_K)
    epilogue = (SIGMOID, SUBTILES, TMA_STORES)
    num_m, num_n = ct.cdiv(dY.shape[0], TILE_M), ct.cdiv(W2.shape[1], TILE_N)
    if PERSISTENT:
        for t in range(ct.bid(0), num_m * num_n, ct.num_blocks(0)):
            i, j = tile_of(t, num_m, num_n, GROUP)
            backward_tile(dY, W2, Pre, dPre, Sums, i, j, tiles, LATENCY, epilogue)
    else:
        i, j = tile_of(ct.bid(0), num_m, num_n, GROUP)
        backward_tile(dY, W2, Pre, dPre, Sums, i, j, tiles, LATENCY, epilogue)


def backward_tile(dY, W2, Pre, dPre, Sums, i, j, tiles, LATENCY, epilogue):
    """Compute and write tile (i, j) of dPre and the sums of its columns, in parts of these."""
    SIGMOID, SUBTILES, TMA_STORES = epilogue
    acc = product_tile(dY, W2, i, j, tiles, LATENCY, False)
    COLUMNS = tiles[1] // SUBTILES
    for c in ct.static_iter(range(SUBTILES)):
        at = j * SUBTILES + c
        if SUBTILES == 1 or at * COLUMNS < W2.shape[1]:
            x = ct.load(Pre, index=(i, at), shape=(tiles[0], COLUMNS), padding_mode=ZERO).astype(ct.float32)
            dx = ct.extract(acc, (0, c), (tiles[0], COLUMNS)) * slope(x, SIGMOID)
            ct.store(dPre, index=(i, at), tile=dx.astype(dPre.dtype), allow_tma=TMA_STORES)
            ct.store(Sums, index=(i, at), tile=ct.sum(dx, axis=0, keepdims=True), allow_tma=False)


def product_tile(A, B, i, j, tiles, LATENCY, TRANSPOSED):
    """Tile (i, j) of A B, or of A B^T if TRANSPOSED, in fp32; zeros beyond the ends."""
    TILE_M, TILE_N, TILE_K = tiles
    acc = ct.full((TILE_M, TILE_N), 0.0, dtype=ct.float32)
    for k in range(ct.cdiv(A.shape[1], TILE_K)):
        a = ct.load(A, index=(i, k), shape=(TILE_M, TILE_K), padding_mode=ZERO, latency=LATENCY)
        if TRANSPOSED:
            b = ct.load(B, index=(j, k), shape=(TILE_N, TILE_K), padding_mode=ZERO, latency=LATENCY)
            acc = ct.mma(a, ct.transpose(b), acc)
        else:
            b = ct.load(B, index=(k, j), shape=(TILE_K, TILE_N), padding_mode=ZERO, latency=LATENCY)
            acc = ct.mma(a, b, acc)
    return acc


@ct.kernel
def gelu_kernel(Pre, Act, ROWS: ConstInt, COLUMNS: ConstInt, SIGMOID: ConstInt):
    i, j = ct.bid(0), ct.bid(1)
    x = ct.load(Pre, index=(i, j), shape=(ROWS, COLUMNS), padding_mode=ZERO, allow_tma=False).astype(ct.float32)
    ct.store(Act, index=(i, j), tile=(x * sigmoid(x, SIGMOID)).astype(Act.dtype), allow_tma=False)


@ct.kernel
def slope_kernel(
    Pre,  # (M, N)
    dPre,  # (M, N), holds the gradient of Act
    Sums,  # (blocks of rows, N) fp32, sums over the rows of a block
    ROWS: ConstInt,
    COLUMNS: ConstInt,
    STEPS: ConstInt,  # tiles of rows, one after the other, of a block
    SIGMOID: ConstInt,
):
    block, j = ct.bid(0), ct.bid(1)
    sums = ct.full((ROWS, COLUMNS), 0.0, dtype=ct.float32)
    for i in range(block * STEPS, min(block * STEPS + STEPS, ct.cdiv(Pre.shape[0], ROWS))):
        x = ct.load(Pre, index=(i, j), shape=(ROWS, COLUMNS), padding_mode=ZERO, allow_tma=False)
        dact = ct.load(dPre, index=(i, j), shape=(ROWS, COLUMNS), padding_mode=ZERO, allow_tma=False)
        dx = dact.astype(ct.float32) * slope(x.astype(ct.float32), SIGMOID)
        ct.store(dPre, index=(i, j), tile=dx.astype(dPre.dtype), allow_tma=False)
        sums = sums + dx
    ct.store(Sums, index=(block, j), tile=ct.sum(sums, axis=0, keepdims=True), allow_tma=False)


@ct.kernel
def sums_kernel(
    Sums,  # (blocks of rows, N) fp32
    dB,  # (N,)
    ROWS: ConstInt,
    COLUMNS: ConstInt,
):
    j = ct.bid(0)
    total = ct.full((ROWS, COLUMNS), 0.0, dtype=ct.float32)
    for i in range(ct.cdiv(Sums.shape[0], ROWS)):
        total = total + ct.load(Sums, index=(i, j), shape=(ROWS, COLUMNS), padding_mode=ZERO, allow_tma=False)
    ct.store(dB, index=(j,), tile=ct.sum(total, axis=0).astype(dB.dtype), allow_tma=False)


def sigmoid(x, SIGMOID):
    """Sigmoid of 2 u of each element."""
    y = x * (TWO_SLOPES + (TWO_SLOPES * CUBIC) * (x * x))
    if SIGMOID == TANH:
        return 0.5 + 0.5 * ct.tanh(0.5 * y, rounding_mode=ct.RoundingMode.APPROX)
    return ct.truediv(1.0, 1.0 + ct.exp2(y * -LOG2_E, flush_to_zero=True), rounding_mode=ct.RoundingMode.APPROX)


def slope(x, SIGMOID):
    """gelu' of each element: s + x s (1 - s) (2 u)', in an order that has no 0 times infinity."""
    s = sigmoid(x, SIGMOID)
    square = ct.minimum(x * x, LARGEST_SQUARE)
    return s + (x * s) * ((1.0 - s) * (TWO_SLOPES + (3.0 * TWO_SLOPES * CUBIC) * square))
