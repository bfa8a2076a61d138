"""Product, bias and GELU of an MLP's first layer; product and GELU's gradient on the way back through its second.

    forward:   Pre = X W^T + b          Act = gelu(Pre)
    backward:  dPre = (dY W2) * gelu'(Pre)         db = columns' sums of dPre
Products are summed in fp32, and so is all that is done with a sum before it is rounded, once.

All is done in the product's epilogue, on the accumulator: nothing but Pre, Act and dPre travels.

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

THREADS = 0  # columns of dPre are summed by the threads that hold them
TENSOR_CORES = 1  # by a product of tensor cores, with ones
APART = 2  # by launches of their own
MMA_ROWS = 64  # of a warpgroup's product


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
    Partials,  # (1, tiles of M, N) fp32, sums over the rows of a tile; not written if sums are taken apart
    TILE_M: ConstInt,
    TILE_N: ConstInt,
    TILE_K: ConstInt,
    GROUP: ConstInt,
    LATENCY: ConstInt,
    PERSISTENT: ConstBool,
    SIGMOID: ConstInt,
    SUBTILES: ConstInt,
    TMA_STORES: ConstBool,
    COLUMN_SUMS: ConstInt,
):
    tiles = (TILE_M, TILE_N, TILE_K)
    epilogue = (SIGMOID, SUBTILES, TMA_STORES, COLUMN_SUMS)
    num_m, num_n = ct.cdiv(dY.shape[0], TILE_M), ct.cdiv(W2.shape[1], TILE_N)
    if PERSISTENT:
        for t in range(ct.bid(0), num_m * num_n, ct.num_blocks(0)):
            i, j = tile_of(t, num_m, num_n, GROUP)
            backward_tile(dY, W2, Pre, dPre, Partials, i, j, tiles, LATENCY, epilogue)
    else:
        i, j = tile_of(ct.bid(0), num_m, num_n, GROUP)
        backward_tile(dY, W2, Pre, dPre, Partials, i, j, tiles, LATENCY, epilogue)


def backward_tile(dY, W2, Pre, dPre, Partials, i, j, tiles, LATENCY, epilogue):
    """Compute and write tile (i, j) of dPre and, unless that is done apart, the sums of its columns, in parts of these."""
    SIGMOID, SUBTILES, TMA_STORES, COLUMN_SUMS = epilogue
    TILE_M, TILE_N, _ = tiles
    COLUMNS = TILE_N // SUBTILES
    acc = product_tile(dY, W2, i, j, tiles, LATENCY, False)
    for c in ct.static_iter(range(SUBTILES)):
        at = j * SUBTILES + c
        if SUBTILES == 1 or at * COLUMNS < W2.shape[1]:
            x = ct.load(Pre, index=(i, at), shape=(TILE_M, COLUMNS), padding_mode=ZERO).astype(ct.float32)
            dx = ct.extract(acc, (0, c), (TILE_M, COLUMNS)) * slope(x, SIGMOID)
            rounded = dx.astype(dPre.dtype)
            ct.store(dPre, index=(i, at), tile=rounded, allow_tma=TMA_STORES)
            if COLUMN_SUMS == THREADS:
                sums = ct.sum(dx, axis=0).reshape((1, 1, COLUMNS))
                ct.store(Partials, index=(0, i, at), tile=sums, allow_tma=False)
            elif COLUMN_SUMS == TENSOR_CORES:
                ones = ct.full((MMA_ROWS, TILE_M), 1.0, dtype=dPre.dtype)
                sums = ct.mma(ones, rounded, ct.full((MMA_ROWS, COLUMNS), 0.0, dtype=ct.float32))
                sums = ct.extract(sums, (0, 0), (1, COLUMNS)).reshape((1, 1, COLUMNS))
                ct.store(Partials, index=(0, i, at), tile=sums, allow_tma=False)


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
