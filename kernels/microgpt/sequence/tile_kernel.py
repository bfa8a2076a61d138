"""What the kernels of the plan `sequence` do with one tile: products, loads and stores, normalisation, the causal mask.

Products of float32 are made of float32 products, or of three products of tensor cores (PRODUCTS = TF32X3): each operand is
the sum of two tf32 numbers, and the product of the two small parts, below 2^-22 of the whole, is left out.
"""

import cuda.tile as ct

ConstInt = ct.Constant[int]
EPSILON = 1e-5
LOWEST = -1.0e30  # a masked score: exp(LOWEST - maximum) is 0; a position sees itself, so that no maximum is this

FP32 = 0
TF32X3 = 1


def product(a, b, acc, PRODUCTS):
    """acc + a @ b in float32."""
    if PRODUCTS == FP32:
        return ct.mma(a, b, acc)
    a_high, b_high = a.astype(ct.tfloat32), b.astype(ct.tfloat32)
    a_low = (a - a_high.astype(ct.float32)).astype(ct.tfloat32)
    b_low = (b - b_high.astype(ct.float32)).astype(ct.tfloat32)
    acc = ct.mma(a_low, b_high, acc)
    acc = ct.mma(a_high, b_low, acc)
    return ct.mma(a_high, b_high, acc)


def new_product(a, b, PRODUCTS):
    """a @ b in float32."""
    return product(a, b, zeros(a.shape[0], b.shape[1]), PRODUCTS)


def zeros(ROWS, COLUMNS):
    """Float32 zeros."""
    return ct.full((ROWS, COLUMNS), 0.0, dtype=ct.float32)


def read(array, row, column, ROWS, COLUMNS):
    """Tile (row, column) of a matrix cut into tiles of (ROWS, COLUMNS)."""
    return ct.load(array, index=(row, column), shape=(ROWS, COLUMNS))


def write(array, row, column, tile):
    """Store tile (row, column) of a matrix cut into tiles of this one's shape."""
    ct.store(array, index=(row, column), tile=tile)


def keep_of_rows(Terms, number, at, column):
    """Store one number a row, (tile_m, 1)."""
    ct.store(Terms, index=(number, at), tile=column.reshape((1, column.shape[0])))


def of_rows(Terms, number, at, ROWS):
    """What `keep_of_rows` stored, (tile_m, 1)."""
    return ct.load(Terms, index=(number, at), shape=(1, ROWS)).reshape((ROWS, 1))


def normalise(x, WIDTH):
    """(x over its root mean square, the factor (rows, 1)); columns beyond WIDTH are 0."""
    factor = ct.rsqrt(ct.sum(x * x, axis=1, keepdims=True) / WIDTH + EPSILON)
    return x * factor, factor


def normalise_back(dy, y, factor, WIDTH):
    """Gradient of x from that of y = x * factor."""
    return factor * (dy - y * (ct.sum(dy * y, axis=1, keepdims=True) / WIDTH))


def masked(scores, t, j):
    """`scores` of the queries of tile t and keys of tile j, those of later keys LOWEST."""
    SIZE = scores.shape[0]
    queries = t * SIZE + ct.arange(SIZE, dtype=ct.int32)
    keys = j * SIZE + ct.arange(SIZE, dtype=ct.int32)
    return ct.where(queries[:, None] >= keys[None, :], scores, LOWEST)
