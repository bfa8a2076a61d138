"""A branch added to the residual stream and the norm of the sum, and the gradients of both; a CTA has whole rows.

    X = R + B        Y = (X - mean) * rstd * gain + bias        rstd = (var + eps)^-1/2, or of the mean square without a mean
    dX = dX' + rstd * (G - sum(G) / C - N * sum(G * N) / C)      with G = dY * gain, N = (X - mean) * rstd, dX' from above
    dgain = sum_rows(dY * N)      dbias = sum_rows(dY)      sum_rows(dX): gradient of the bias that the branch ends with

A row is PARTS tiles of TILE_C columns, all in registers: every array is read once and written once. Sums over rows are
kept per CTA while it walks over its rows; a second launch adds them, in an order that does not depend on the device.

Invariants, each with a test:
  * the norm is of X as it is stored: gradients are of the same numbers;
  * the variance is the mean square of X - mean, not a difference of two means of squares; the mean is corrected by the
    mean of what it leaves, so that a row of equal numbers has the variance 0 whatever their size;
  * columns and rows past the end add nothing to any sum.
"""

import cuda.tile as ct

from spak.kernels.column_sum.kernel import sum_of_strips

ConstInt = ct.Constant[int]
ConstBool = ct.Constant[bool]
ZERO = ct.PaddingMode.ZERO


@ct.kernel
def forward_kernel(
    Residual,  # (rows, C), R
    Branch,  # (rows, C), B; not read without HAS_BRANCH
    Gain,  # (C,)
    Bias,  # (C,); not read without HAS_BIAS
    NewResidual,  # (rows, C), X; not written without HAS_BRANCH
    Y,  # (rows, C)
    Statistics,  # (2, rows) fp32: rstd and mean; (1, rows) without CENTRED
    epsilon: float,
    WIDTH: ConstInt,
    TILE_M: ConstInt,
    TILE_C: ConstInt,
    PARTS: ConstInt,
    CENTRED: ConstBool,
    HAS_BIAS: ConstBool,
    HAS_BRANCH: ConstBool,
    USE_TMA: ConstBool,
    LATENCY: ConstInt,
):
    tile = (TILE_M, TILE_C, PARTS, USE_TMA, LATENCY)
    gain = columns_of(Gain, TILE_C, PARTS)
    bias = gain
    if HAS_BIAS:
        bias = columns_of(Bias, TILE_C, PARTS)
    for i in range(ct.bid(0), ct.cdiv(Residual.shape[0], TILE_M), ct.num_blocks(0)):
        x = rows_of(Residual, i, tile)
        if HAS_BRANCH:
            x = stored_sum(NewResidual, i, x, rows_of(Branch, i, tile), USE_TMA)
        if CENTRED:
            x, mean, square = centred(x, WIDTH)
            ct.store(Statistics, index=(1, i), tile=mean.reshape((1, TILE_M)), allow_tma=False)
        else:
            square = total_of(products(x, x)) * (1.0 / WIDTH)
        rstd = ct.rsqrt(square + epsilon)
        ct.store(Statistics, index=(0, i), tile=rstd.reshape((1, TILE_M)), allow_tma=False)
        for c in ct.static_iter(range(PARTS)):
            y = x[c] * rstd * gain[c]
            if HAS_BIAS:
                y = y + bias[c]
            ct.store(Y, index=(i, c), tile=y.astype(Y.dtype), allow_tma=USE_TMA)


@ct.kernel
def backward_kernel(
    DY,  # (rows, C)
    DNewResidual,  # (rows, C), dX'; not read without FROM_ABOVE
    NewResidual,  # (rows, C), X
    Statistics,  # (2, rows) fp32: rstd and mean; (1, rows) without CENTRED
    Gain,  # (C,)
    DResidual,  # (rows, C), dX
    DBranch,  # (rows, C), dX in another type; not written without CASTS
    Partials,  # (sums, CTAs, C) fp32: of dgain, then of dbias, then of the branch's bias
    WIDTH: ConstInt,
    TILE_M: ConstInt,
    TILE_C: ConstInt,
    PARTS: ConstInt,
    CENTRED: ConstBool,
    HAS_BIAS: ConstBool,
    HAS_BRANCH_BIAS: ConstBool,
    FROM_ABOVE: ConstBool,
    CASTS: ConstBool,
    USE_TMA: ConstBool,
    LATENCY: ConstInt,
):
    tile = (TILE_M, TILE_C, PARTS, USE_TMA, LATENCY)
    gain = columns_of(Gain, TILE_C, PARTS)
    dgain, dbias, dbranch = zeros(tile), zeros(tile), zeros(tile)
    for i in range(ct.bid(0), ct.cdiv(DY.shape[0], TILE_M), ct.num_blocks(0)):
        dy = rows_of(DY, i, tile)
        x = rows_of(NewResidual, i, tile)
        rstd = statistic(Statistics, 0, i, TILE_M)
        if CENTRED:
            x = shifted(x, statistic(Statistics, 1, i, TILE_M))
        normal = scaled(x, rstd)
        dx = gradient_of_norm(products(dy, gain), normal, rstd, WIDTH, CENTRED)
        if FROM_ABOVE:
            dx = sums(dx, rows_of(DNewResidual, i, tile))
        for c in ct.static_iter(range(PARTS)):
            ct.store(DResidual, index=(i, c), tile=dx[c].astype(DResidual.dtype), allow_tma=USE_TMA)
            if CASTS:
                ct.store(DBranch, index=(i, c), tile=dx[c].astype(DBranch.dtype), allow_tma=USE_TMA)
        dgain = sums(dgain, products(dy, normal))
        if HAS_BIAS:
            dbias = sums(dbias, dy)
        if HAS_BRANCH_BIAS:
            dbranch = sums(dbranch, dx)
    store_partials(Partials, 0, dgain)
    if HAS_BIAS:
        store_partials(Partials, 1, dbias)
    if HAS_BRANCH_BIAS:
        store_partials(Partials, 1 + HAS_BIAS, dbranch)


@ct.kernel
def finish_kernel(
    Partials,  # (sums, CTAs, C) fp32
    DGain,  # (C,)
    DBias,  # (C,); not written without HAS_BIAS
    DBranchBias,  # (C,); not written without HAS_BRANCH_BIAS
    HAS_BIAS: ConstBool,
    HAS_BRANCH_BIAS: ConstBool,
    TILE_P: ConstInt,
    TILE_N: ConstInt,
):
    j, k = ct.bid(0), ct.bid(1)
    total = sum_of_strips(Partials, k, j, TILE_P, TILE_N)
    if k == 0:
        ct.store(DGain, index=(j,), tile=total.astype(DGain.dtype), allow_tma=False)
    if HAS_BIAS and k == 1:
        ct.store(DBias, index=(j,), tile=total.astype(DBias.dtype), allow_tma=False)
    if HAS_BRANCH_BIAS and k == 1 + HAS_BIAS:
        ct.store(DBranchBias, index=(j,), tile=total.astype(DBranchBias.dtype), allow_tma=False)


def rows_of(X, i, tile):
    """PARTS tiles (TILE_M, TILE_C) fp32: tile i of the rows of X."""
    TILE_M, TILE_C, PARTS, USE_TMA, LATENCY = tile
    shape, latency = (TILE_M, TILE_C), ct.static_eval(LATENCY or None)
    found = ()
    for c in ct.static_iter(range(PARTS)):
        x = ct.load(X, index=(i, c), shape=shape, padding_mode=ZERO, allow_tma=USE_TMA, latency=latency)
        found += (x.astype(ct.float32),)
    return found


def columns_of(V, TILE_C, PARTS):
    """PARTS tiles (1, TILE_C) fp32 of V (C,)."""
    found = ()
    for c in ct.static_iter(range(PARTS)):
        v = ct.load(V, index=(c,), shape=(TILE_C,), padding_mode=ZERO, allow_tma=False)
        found += (v.astype(ct.float32).reshape((1, TILE_C)),)
    return found


def statistic(Statistics, k, i, TILE_M):
    """(TILE_M, 1): number k of each row of tile i."""
    found = ct.load(Statistics, index=(k, i), shape=(1, TILE_M), padding_mode=ZERO, allow_tma=False)
    return found.reshape((TILE_M, 1))


def stored_sum(Sum, i, x, y, USE_TMA):
    """x + y as it is in Sum, where it is written to tile i of the rows."""
    found = ()
    for c in ct.static_iter(range(len(x))):
        total = (x[c] + y[c]).astype(Sum.dtype)
        ct.store(Sum, index=(i, c), tile=total, allow_tma=USE_TMA)
        found += (total.astype(ct.float32),)
    return found


def centred(x, WIDTH):
    """x without its mean, anything past the end of a row; the mean, and the mean square of what is left, (TILE_M, 1) each."""
    first = total_of(x) * (1.0 / WIDTH)
    x = inside(shifted(x, first), WIDTH)
    rest = total_of(x) * (1.0 / WIDTH)
    return shifted(x, rest), first + rest, total_of(products(x, x)) * (1.0 / WIDTH) - rest * rest


def inside(x, WIDTH):
    """x with 0 in the columns past the end of a row; only the last tile has any."""
    TILE_C = x[0].shape[1]
    if WIDTH % TILE_C == 0:
        return x
    last = len(x) - 1
    column = ct.arange(TILE_C, dtype=ct.int32).reshape((1, TILE_C))
    found = x[:last]
    found += (ct.where(column < WIDTH - last * TILE_C, x[last], 0.0),)
    return found


def gradient_of_norm(g, normal, rstd, WIDTH, CENTRED):
    """dX of a norm whose result times gain has the gradient dY: g = dY * gain; rows of PARTS tiles."""
    along = total_of(products(g, normal)) * (1.0 / WIDTH)
    mean = total_of(g) * (1.0 / WIDTH) if CENTRED else 0.0
    found = ()
    for c in ct.static_iter(range(len(g))):
        found += (rstd * (g[c] - mean - normal[c] * along),)
    return found


def store_partials(Partials, k, x):
    """Writes sums over the rows of x as sum k of this CTA."""
    for c in ct.static_iter(range(len(x))):
        total = ct.sum(x[c], axis=0).reshape((1, 1, x[c].shape[1]))
        ct.store(Partials, index=(k, ct.bid(0), c), tile=total, allow_tma=False)


def zeros(tile):
    TILE_M, TILE_C, PARTS, _, _ = tile
    found = ()
    for _ in ct.static_iter(range(PARTS)):
        found += (ct.full((TILE_M, TILE_C), 0.0, dtype=ct.float32),)
    return found


def total_of(x):
    """(TILE_M, 1): the sum over a row of PARTS tiles; threads agree on it once."""
    total = x[0]
    for c in ct.static_iter(range(1, len(x))):
        total = total + x[c]
    return ct.sum(total, axis=1, keepdims=True)


def sums(x, y):
    found = ()
    for c in ct.static_iter(range(len(x))):
        found += (x[c] + y[c],)
    return found


def products(x, y):
    found = ()
    for c in ct.static_iter(range(len(x))):
        found += (x[c] * y[c],)
    return found


def shifted(x, mean):
    """x minus a number for each row."""
    found = ()
    for c in ct.static_iter(range(len(x))):
        found += (x[c] - mean,)
    return found


def scaled(x, factor):
    """x times a number for each row."""
    found = ()
    for c in ct.static_iter(range(len(x))):
        found += (x[c] * factor,)
    return found
