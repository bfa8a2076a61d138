"""Before the first step and after the last one, in cuTile: parameters between the flat vector and Weights, and the losses."""

import cuda.tile as ct

from spak.kernels.microgpt.sequence.layout import OUTPUTS, Layout
from spak.kernels.microgpt.sequence.tile_kernel import ConstInt, read, write, zeros

NOWHERE = -1


@ct.kernel
def begin_kernel(
    Initial,  # (parameters,)
    Weights,  # (weight rows, tile_c)
    Means,  # (weight rows, tile_c)
    Squares,  # (weight rows, tile_c)
    LAYERS: ConstInt,
    HEADS: ConstInt,
    WIDTH: ConstInt,
    VOCAB: ConstInt,
    BATCH: ConstInt,
    POSITIONS: ConstInt,
    TILE_C: ConstInt,
    TILE_D: ConstInt,
    TILE_V: ConstInt,
    UNIT: ConstInt,
    CONTEXT: ConstInt,
    TILE_A: ConstInt,
):
    s = Layout(LAYERS, HEADS, WIDTH, VOCAB, BATCH, POSITIONS, TILE_C, TILE_D, TILE_V, UNIT)
    i = ct.bid(0)
    places = places_of(i, s, CONTEXT, TILE_A)
    write(Weights, i, 0, ct.gather(Initial, places, mask=places != NOWHERE, padding_value=0.0))
    write(Means, i, 0, zeros(TILE_A, TILE_C))
    write(Squares, i, 0, zeros(TILE_A, TILE_C))


@ct.kernel
def clear_kernel(
    Left,  # (rows, weight rows): 0, but for a 1 where the column is the row's position
    POSITIONS: ConstInt,
    NUM_COLUMNS: ConstInt,  # that stand for positions
    TILE_M: ConstInt,
    UNIT: ConstInt,
):
    row, column = ct.bid(0), ct.bid(1)
    positions = (row * TILE_M + ct.arange(TILE_M, dtype=ct.int32)) % POSITIONS
    columns = column * UNIT + ct.arange(UNIT, dtype=ct.int32)
    columns = ct.where(columns < NUM_COLUMNS, columns, NOWHERE)
    write(Left, row, column, ct.where(positions[:, None] == columns[None, :], 1.0, 0.0))


@ct.kernel
def end_kernel(
    Weights,  # (weight rows, tile_c)
    Gradient,  # (weight rows, tile_c)
    Parameters,  # (parameters,)
    Gradients,  # (parameters,)
    LAYERS: ConstInt,
    HEADS: ConstInt,
    WIDTH: ConstInt,
    VOCAB: ConstInt,
    BATCH: ConstInt,
    POSITIONS: ConstInt,
    TILE_C: ConstInt,
    TILE_D: ConstInt,
    TILE_V: ConstInt,
    UNIT: ConstInt,
    CONTEXT: ConstInt,
    TILE_A: ConstInt,
):
    s = Layout(LAYERS, HEADS, WIDTH, VOCAB, BATCH, POSITIONS, TILE_C, TILE_D, TILE_V, UNIT)
    i = ct.bid(0)
    places = places_of(i, s, CONTEXT, TILE_A)
    ct.scatter(Parameters, places, read(Weights, i, 0, TILE_A, TILE_C), mask=places != NOWHERE)
    ct.scatter(Gradients, places, read(Gradient, i, 0, TILE_A, TILE_C), mask=places != NOWHERE)


def places_of(i, s, CONTEXT, TILE_A):
    """Where the elements of tile i of Weights lie in the flat vector, NOWHERE for padding, (TILE_A, tile_c)."""
    row = (i * TILE_A + ct.arange(TILE_A, dtype=ct.int32))[:, None]
    column = ct.arange(s.tile_c, dtype=ct.int32)[None, :]
    WIDTH, MATRIX = s.width, s.width * s.width
    places = (s.vocab + row) * WIDTH + column  # positions come second there, first here
    known = row < CONTEXT
    token = row - s.tokens()
    places = ct.where(token >= 0, token * WIDTH + column, places)
    known = known | ((token >= 0) & (token < s.vocab))
    token = row - s.logits()
    places = ct.where(token >= 0, (s.vocab + CONTEXT + token) * WIDTH + column, places)
    known = known | ((token >= 0) & (token < s.vocab))
    inside = row - s.layer(0)
    layer, inside, in_layer = inside // s.layer_rows(), inside % s.layer_rows(), inside >= 0
    first = (2 * s.vocab + CONTEXT) * WIDTH + layer * 12 * MATRIX
    which, inside_matrix = inside // s.attention(), inside % s.attention()
    one_head, element = inside_matrix // s.tile_d, inside_matrix % s.tile_d
    channel = one_head * (WIDTH // s.heads) + element
    of_matrix = ct.where(which < OUTPUTS, channel * WIDTH + column, column * WIDTH + channel)
    places = ct.where(in_layer, first + which * MATRIX + of_matrix, places)
    known = known | (in_layer & (which <= OUTPUTS) & (one_head < s.heads) & (element < WIDTH // s.heads))
    neuron = inside - 4 * s.attention()
    places = ct.where(in_layer & (neuron >= 0), first + 4 * MATRIX + neuron * WIDTH + column, places)
    known = known | (in_layer & (neuron >= 0) & (neuron < 4 * WIDTH))
    neuron = neuron - s.hidden()
    places = ct.where(in_layer & (neuron >= 0), first + 8 * MATRIX + column * 4 * WIDTH + neuron, places)
    known = known | (in_layer & (neuron >= 0) & (neuron < 4 * WIDTH))
    return ct.where(known & (column < WIDTH), places, NOWHERE)


@ct.kernel
def loss_kernel(
    LossParts,  # (steps, parts)
    Losses,  # (steps,)
    NUM_PARTS: ConstInt,
    TILE_P: ConstInt,  # NUM_PARTS rounded up to a power of two
):
    part = ct.arange(TILE_P, dtype=ct.int32)
    parts = ct.gather(LossParts, (ct.bid(0), part), mask=part < NUM_PARTS, padding_value=0.0)
    ct.store(Losses, index=(ct.bid(0),), tile=ct.sum(parts).reshape((1,)))
