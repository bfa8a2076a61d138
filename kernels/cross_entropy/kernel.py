"""Softmax cross-entropy of weighted rows, and its gradient in the same launch. A CTA has whole rows, tile by tile.

Loss[i] = w[i] * (log(sum_v exp(Logits[i,v])) - Logits[i,target[i]]);
dLogits[i,v] = scale * w[i] * (softmax(Logits[i])[v] - [v = target[i]]).
A row of weight 0, or whose target is negative, does not count: its loss and its gradient are 0.

DLogits may be Logits. A CTA reads its rows' targets before it writes anything, since the maximum starts from them, and
every tile before it writes that one.

Invariants, each with a test:
  * after each tile sums = sum exp(x - top) over all logits seen, whatever `top` is, which only rises;
  * `top` is finite from the start: the target's logit, or FLOOR if that is less, so that logits of -inf weigh 0;
  * the gradient of a target is written once more, after the row's tiles: no other element has to ask whether it is one.
    But where TMA or another CTA of a cluster stores tiles, nothing orders the two (FOLD_TARGET): there each asks.
"""

import math

import cuda.tile as ct

ConstInt = ct.Constant[int]
ConstBool = ct.Constant[bool]
LOG2_E = 1.0 / math.log(2.0)
FLOOR = -1.0e20  # law: attention-finite-mask-floor
NEG_INF = ct.PaddingMode.NEG_INF
ZERO = ct.PaddingMode.ZERO

HELD = 0  # the row stays in registers: one maximum, then the sum, then the gradient
ONLINE = 1  # a maximum for each row, which every tile may raise; the row is read again for the gradient
LANES = 2  # as ONLINE, but each place of a tile has a maximum of its own: threads agree once a row, not once a tile


@ct.kernel
def forward_kernel(
    Logits,  # (rows, vocab) fp32, bf16 or fp16
    Targets,  # (rows,) int32
    Weights,  # (rows,) fp32; not read unless WEIGHTED
    Loss,  # (rows,) fp32
    DLogits,  # (rows, vocab), may be Logits
    scale: float,  # of the gradient
    TILE_M: ConstInt,
    TILE_V: ConstInt,
    NUM_WHOLE: ConstInt,  # tiles of the row that have all their columns
    RAGGED: ConstBool,  # one more has not
    RAGGED_ROWS: ConstBool,  # TILE_M does not divide the rows
    WEIGHTED: ConstBool,  # else every row counts 1
    FORM: ConstInt,
    BACKWARDS: ConstBool,  # the first reading ends with the tile that the second one begins with
    USE_TMA: ConstBool,
    FOLD_TARGET: ConstBool,  # every element is written once
):
    i = ct.bid(0)
    row = i * TILE_M + ct.arange(TILE_M, dtype=ct.int32)
    target = ct.load(Targets, index=(i,), shape=(TILE_M,), padding_mode=ZERO)
    weight = ct.full((TILE_M,), 1.0, dtype=ct.float32)
    if WEIGHTED:
        weight = ct.load(Weights, index=(i,), shape=(TILE_M,), padding_mode=ZERO)
    counts = (target >= 0) & (weight != 0.0)
    target = ct.maximum(target, 0)
    reached = ct.gather(Logits, (row, target), padding_value=0.0).astype(ct.float32).reshape((TILE_M, 1))
    start = ct.maximum(reached, FLOOR)
    source = (Logits, i, (TILE_M, TILE_V), RAGGED_ROWS, USE_TMA)
    tiles = ()
    if FORM == HELD:
        for j in ct.static_iter(range(NUM_WHOLE)):
            tiles += (load_tile(source, j, False),)
        if RAGGED:
            tiles += (load_tile(source, NUM_WHOLE, True),)
        top, total = held(tiles, start)
    else:
        top, total = walked(source, start, NUM_WHOLE, RAGGED, FORM == LANES, BACKWARDS)

    counts = counts.reshape((TILE_M, 1))
    weight = weight.reshape((TILE_M, 1))
    share = ct.where(counts, weight * scale, 0.0)
    softmax = (top, ct.where(counts, share / total, 0.0))
    says = (target.reshape((TILE_M, 1)), share, FOLD_TARGET)
    if FORM == HELD:
        for j in ct.static_iter(range(NUM_WHOLE)):
            store_gradient(DLogits, source, j, tiles[j], (softmax, says), False)
        if RAGGED:
            store_gradient(DLogits, source, NUM_WHOLE, tiles[NUM_WHOLE], (softmax, says), True)
    else:
        for j in range(NUM_WHOLE):
            store_gradient(DLogits, source, j, load_tile(source, j, False), (softmax, says), False)
        if RAGGED:
            store_gradient(DLogits, source, NUM_WHOLE, load_tile(source, NUM_WHOLE, True), (softmax, says), True)

    loss = ct.where(counts, weight * (top - reached + ct.log(total)), 0.0)
    ct.store(Loss, index=(i,), tile=loss.reshape((TILE_M,)))
    if not FOLD_TARGET:
        hit = weighted(reached, softmax) - share
        ct.scatter(DLogits, (row, target), hit.reshape((TILE_M,)).astype(DLogits.dtype))


def load_tile(source, j, ragged):
    """The j-th tile of the rows, in their type; -inf where there is no logit."""
    Logits, i, shape, RAGGED_ROWS, USE_TMA = source
    if ragged or RAGGED_ROWS:
        return ct.load(Logits, index=(i, j), shape=shape, padding_mode=NEG_INF, allow_tma=USE_TMA)
    return ct.load(Logits, index=(i, j), shape=shape, check_bounds=False, allow_tma=USE_TMA)


def store_gradient(DLogits, source, j, x, row, ragged):
    """Tile j of the gradient; as if none of it were a target, unless targets are folded in."""
    _, i, shape, RAGGED_ROWS, USE_TMA = source
    softmax, (target, share, FOLD_TARGET) = row
    gradient = weighted(x.astype(ct.float32), softmax)
    if FOLD_TARGET:
        place = j * shape[1] + ct.arange(shape[1], dtype=ct.int32)[None, :]
        gradient = gradient - ct.where(place == target, share, 0.0)
    gradient = gradient.astype(DLogits.dtype)
    if ragged or RAGGED_ROWS:
        ct.store(DLogits, index=(i, j), tile=gradient, allow_tma=USE_TMA)
    else:
        ct.store(DLogits, index=(i, j), tile=gradient, check_bounds=False, allow_tma=USE_TMA)


def weighted(x, softmax):
    """The softmax of logits x, given the row's maximum and what one exponential counts."""
    top, scale = softmax
    return ct.exp2((x - top) * LOG2_E) * scale


def held(tiles, start):
    """(maximum, sum of exponentials) of rows whose tiles are all there."""
    highest = tiles[0].astype(ct.float32)
    for x in ct.static_iter(tiles[1:]):
        highest = ct.maximum(highest, x.astype(ct.float32))
    top = ct.maximum(start, ct.max(highest, axis=1, keepdims=True))
    sums = ct.full(tiles[0].shape, 0.0, dtype=ct.float32)
    for x in ct.static_iter(tiles):
        sums = sums + ct.exp2((x.astype(ct.float32) - top) * LOG2_E)
    return top, ct.sum(sums, axis=1, keepdims=True)


def walked(source, start, num_whole, ragged, in_lanes, backwards):
    """(maximum, sum of exponentials) of rows read tile by tile."""
    shape = source[2]
    top, sums = start, ct.full(shape, 0.0, dtype=ct.float32)
    if in_lanes:
        top = ct.broadcast_to(start, shape)
    if ragged and backwards:
        top, sums = raised(load_tile(source, num_whole, True), top, sums, in_lanes)
    for k in range(num_whole):
        j = num_whole - 1 - k if backwards else k
        top, sums = raised(load_tile(source, j, False), top, sums, in_lanes)
    if ragged and not backwards:
        top, sums = raised(load_tile(source, num_whole, True), top, sums, in_lanes)
    if in_lanes:
        highest = ct.max(top, axis=1, keepdims=True)
        return highest, ct.sum(sums * ct.exp2((top - highest) * LOG2_E), axis=1, keepdims=True)
    return top, ct.sum(sums, axis=1, keepdims=True)


def raised(x, top, sums, in_lanes):
    """(maximum, sums) after one more tile; in lanes one of exp(x - new) and exp(old - new) is 1."""
    logit = x.astype(ct.float32)
    if in_lanes:
        rise = logit - top
        rest = ct.exp2(-ct.abs(rise) * LOG2_E)
        return ct.maximum(top, logit), ct.where(rise > 0.0, sums * rest + 1.0, sums + rest)
    risen = ct.maximum(top, ct.max(logit, axis=1, keepdims=True))
    return risen, sums * ct.exp2((top - risen) * LOG2_E) + ct.exp2((logit - risen) * LOG2_E)
