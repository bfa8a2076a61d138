"""Gradients of the matrices and their update, in cuTile.

Every gradient is Left^T Right over all rows of all documents. A CTA sums one tile of it over a part of the rows; Adam sums
the parts in a fixed order. No atomics: equal inputs give equal bits.
"""

import cuda.tile as ct

from spak.kernels.microgpt.sequence.layout import (
    ATTENTION_IN,
    ATTENTION_OUT,
    EMBEDDING_OUT,
    HEAD_IN,
    MLP_IN,
    MLP_OUT,
    NUM_OF_LAYER,
)
from spak.kernels.microgpt.sequence.tile_kernel import ConstInt, new_product, read, write, zeros

BETA1, BETA2, ADAM_EPSILON = 0.85, 0.99, 1e-8


@ct.kernel
def weights_kernel(
    Left,  # (rows, weight rows)
    Right,  # (rows, blocks * tile_c)
    Parts,  # (splits, weight rows, tile_c)
    num_passes: int,  # tiles of TILE_K rows that a CTA sums over
    LAYERS: ConstInt,
    LOGITS: ConstInt,  # first rows of Weights of what they are named after
    FIRST_LAYER: ConstInt,
    ATTENTION: ConstInt,
    HIDDEN: ConstInt,
    TILE_W: ConstInt,
    TILE_X: ConstInt,
    TILE_C: ConstInt,
    TILE_K: ConstInt,
    PRODUCTS: ConstInt,
):
    w, x, part = ct.bid(0) // (TILE_C // TILE_X), ct.bid(0) % (TILE_C // TILE_X), ct.bid(1)
    block = block_of(w * TILE_W, LAYERS, LOGITS, FIRST_LAYER, (ATTENTION, HIDDEN))
    total = zeros(TILE_W, TILE_X)
    for i in range(part * num_passes, part * num_passes + num_passes):
        left = read(Left, i, w, TILE_K, TILE_W)
        right = read(Right, i, block * (TILE_C // TILE_X) + x, TILE_K, TILE_X)
        total = total + new_product(ct.transpose(left), right, PRODUCTS)  # tensor cores cut sums off: few in a row
    ct.store(Parts, index=(part, w, x), tile=total.reshape((1, TILE_W, TILE_X)))


def block_of(row, LAYERS, LOGITS, FIRST_LAYER, sizes):
    """The block of Right that belongs to a row of Weights."""
    ATTENTION, HIDDEN = sizes
    size = 4 * ATTENTION + 2 * HIDDEN
    layer, inside = (row - FIRST_LAYER) // size, (row - FIRST_LAYER) % size
    which = MLP_OUT
    which = MLP_IN if inside < 4 * ATTENTION + HIDDEN else which
    which = ATTENTION_OUT if inside < 4 * ATTENTION else which
    which = ATTENTION_IN if inside < 3 * ATTENTION else which
    block = NUM_OF_LAYER * layer + which
    block = NUM_OF_LAYER * LAYERS + HEAD_IN if row < FIRST_LAYER else block
    return NUM_OF_LAYER * LAYERS + EMBEDDING_OUT if row < LOGITS else block


@ct.kernel
def adam_kernel(
    Weights,  # (weight rows, tile_c)
    Means,  # (weight rows, tile_c), of the gradient
    Squares,  # (weight rows, tile_c), of its squares' mean
    Parts,  # (splits, weight rows, tile_c)
    Gradient,  # (weight rows, tile_c), of step 0
    Rates,  # (steps, 2): learning rate over 1 - BETA1^t, and (1 - BETA2^t)^-1/2
    step: int,
    SPLITS: ConstInt,
    TILE_A: ConstInt,
    TILE_C: ConstInt,
):
    i = ct.bid(0)
    gradient = zeros(TILE_A, TILE_C)
    for part in range(SPLITS):
        gradient = gradient + ct.load(Parts, index=(part, i, 0), shape=(1, TILE_A, TILE_C)).reshape((TILE_A, TILE_C))
    if step == 0:
        write(Gradient, i, 0, gradient)
    mean = read(Means, i, 0, TILE_A, TILE_C) * BETA1 + gradient * (1.0 - BETA1)
    square = read(Squares, i, 0, TILE_A, TILE_C) * BETA2 + gradient * gradient * (1.0 - BETA2)
    write(Means, i, 0, mean)
    write(Squares, i, 0, square)
    change = ct.gather(Rates, (step, 0)) * mean / (ct.sqrt(square) * ct.gather(Rates, (step, 1)) + ADAM_EPSILON)
    write(Weights, i, 0, read(Weights, i, 0, TILE_A, TILE_C) - change)
