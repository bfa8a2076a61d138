"""The way back, in cuTile: four launches a layer, from the gradient of what the layer leaves to that of what it is given."""

import cuda.tile as ct

from spak.kernels.microgpt.sequence.layout import (
    ATTENTION_IN,
    ATTENTION_OUT,
    EMBEDDED,
    EMBEDDING_OUT,
    KEYS,
    MLP_IN,
    MLP_OUT,
    OUTPUTS,
    QUERIES,
    VALUES,
    Layout,
)
from spak.kernels.microgpt.sequence.tile_kernel import (
    ConstInt,
    masked,
    new_product,
    normalise_back,
    of_rows,
    product,
    read,
    write,
    zeros,
)


@ct.kernel
def contract_back_kernel(
    Weights,  # (weight rows, tile_c)
    Left,  # (rows, weight rows)
    Right,  # (rows, blocks * tile_c)
    layer: int,
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
    TILE_M: ConstInt,
    TILE_N: ConstInt,
    PRODUCTS: ConstInt,
):
    """Gradient of TILE_N columns of the MLP's hidden layer."""
    s = Layout(LAYERS, HEADS, WIDTH, VOCAB, BATCH, POSITIONS, TILE_C, TILE_D, TILE_V, UNIT)
    i, j = ct.bid(0), ct.bid(1)
    dx = read(Right, i, 4 * layer + MLP_OUT, TILE_M, TILE_C)
    w = read(Weights, s.second(layer) // TILE_N + j, 0, TILE_N, TILE_C)
    h = read(Left, i, s.second(layer) // TILE_N + j, TILE_M, TILE_N)
    dh = ct.where(h > 0.0, new_product(dx, ct.transpose(w), PRODUCTS), 0.0)
    write(Left, i, s.first(layer) // TILE_N + j, dh)


@ct.kernel
def expand_back_kernel(
    Weights,
    Left,
    Right,
    Heads,  # (rows, layers * 4 * attention)
    Terms,  # (terms, rows)
    layer: int,
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
    TILE_M: ConstInt,
    TILE_N: ConstInt,
    PRODUCTS: ConstInt,
):
    """Gradient of the stream between attention and MLP, and of the attention's output."""
    s = Layout(LAYERS, HEADS, WIDTH, VOCAB, BATCH, POSITIONS, TILE_C, TILE_D, TILE_V, UNIT)
    i = ct.bid(0)
    dy = zeros(TILE_M, TILE_C)
    for k in range(s.hidden() // TILE_N):
        dh = read(Left, i, s.first(layer) // TILE_N + k, TILE_M, TILE_N)
        dy = dy + new_product(dh, read(Weights, s.first(layer) // TILE_N + k, 0, TILE_N, TILE_C), PRODUCTS)
    y = read(Right, i, 4 * layer + MLP_IN, TILE_M, TILE_C)
    dx = normalise_back(dy, y, of_rows(Terms, 2 * layer + 1, i, TILE_M), WIDTH)
    dx = dx + read(Right, i, 4 * layer + MLP_OUT, TILE_M, TILE_C)
    write(Right, i, 4 * layer + ATTENTION_OUT, dx)
    for k in range(s.attention() // TILE_N):
        w = read(Weights, s.output(layer) // TILE_N + k, 0, TILE_N, TILE_C)
        write(Heads, i, s.in_heads(layer, OUTPUTS) // TILE_N + k, new_product(dx, ct.transpose(w), PRODUCTS))


@ct.kernel
def attend_back_kernel(
    Left,
    Heads,
    Terms,
    layer: int,
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
    TILE_T: ConstInt,
    PRODUCTS: ConstInt,
):
    """Gradients of Q, K and V of TILE_T positions of one document, of one head."""
    s = Layout(LAYERS, HEADS, WIDTH, VOCAB, BATCH, POSITIONS, TILE_C, TILE_D, TILE_V, UNIT)
    row, head = ct.bid(0), ct.bid(1)
    t = row % (POSITIONS // TILE_T)
    arrays = (Left, Heads, Terms)
    here = rows_of_head(arrays, layer, head, row, s, TILE_T)
    p, ds = weights_of_keys(here, here, t, t, PRODUCTS)
    dq = new_product(ds, here[1], PRODUCTS)
    dk = new_product(ct.transpose(ds), here[0], PRODUCTS)
    dv = new_product(ct.transpose(p), here[3], PRODUCTS)
    if POSITIONS > TILE_T:
        for j in range(t):
            keys = rows_of_head(arrays, layer, head, row - t + j, s, TILE_T)
            p, ds = weights_of_keys(here, keys, t, j, PRODUCTS)
            dq = product(ds, keys[1], dq, PRODUCTS)
        for i in range(t + 1, POSITIONS // TILE_T):
            queries = rows_of_head(arrays, layer, head, row - t + i, s, TILE_T)
            p, ds = weights_of_keys(queries, here, i, t, PRODUCTS)
            dk = product(ct.transpose(ds), queries[0], dk, PRODUCTS)
            dv = product(ct.transpose(p), queries[3], dv, PRODUCTS)
    size = s.attention() // TILE_D
    place = s.layer(layer) // TILE_D + head
    write(Left, row, place + QUERIES * size, dq * s.scale())
    write(Left, row, place + KEYS * size, dk)
    write(Left, row, place + VALUES * size, dv)


def rows_of_head(arrays, layer, head, row, s, TILE_T):
    """Of one head's rows: q (scaled), k, v, gradient of o, log-sum-exp, and the sum of o's products with its gradient."""
    Left, Heads, Terms = arrays
    q = read(Heads, row, s.in_heads(layer, QUERIES) // s.tile_d + head, TILE_T, s.tile_d) * s.scale()
    k = read(Heads, row, s.in_heads(layer, KEYS) // s.tile_d + head, TILE_T, s.tile_d)
    v = read(Heads, row, s.in_heads(layer, VALUES) // s.tile_d + head, TILE_T, s.tile_d)
    do = read(Heads, row, s.in_heads(layer, OUTPUTS) // s.tile_d + head, TILE_T, s.tile_d)
    o = read(Left, row, s.output(layer) // s.tile_d + head, TILE_T, s.tile_d)
    return q, k, v, do, of_rows(Terms, s.log_sum_exp(layer, head), row, TILE_T), ct.sum(o * do, axis=1, keepdims=True)


def weights_of_keys(queries, keys, t, j, PRODUCTS):
    """(P, gradient of the scores) of the queries of tile t and the keys of tile j, (TILE_T, TILE_T) each."""
    q, _, _, do, log_sum_exp, delta = queries
    _, k, v, _, _, _ = keys
    p = ct.exp(masked(new_product(q, ct.transpose(k), PRODUCTS), t, j) - log_sum_exp)
    return p, p * (new_product(do, ct.transpose(v), PRODUCTS) - delta)


@ct.kernel
def project_back_kernel(
    Weights,
    Left,
    Right,
    Terms,
    layer: int,
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
    TILE_M: ConstInt,
    TILE_N: ConstInt,
    PRODUCTS: ConstInt,
):
    """Gradient of what the layer is given; before the first, of the sum of the two embeddings."""
    s = Layout(LAYERS, HEADS, WIDTH, VOCAB, BATCH, POSITIONS, TILE_C, TILE_D, TILE_V, UNIT)
    i = ct.bid(0)
    dy = zeros(TILE_M, TILE_C)
    for k in range(3 * s.attention() // TILE_N):
        d = read(Left, i, s.layer(layer) // TILE_N + k, TILE_M, TILE_N)
        dy = dy + new_product(d, read(Weights, s.layer(layer) // TILE_N + k, 0, TILE_N, TILE_C), PRODUCTS)
    y = read(Right, i, 4 * layer + ATTENTION_IN, TILE_M, TILE_C)
    dx = normalise_back(dy, y, of_rows(Terms, 2 * layer, i, TILE_M), WIDTH)
    dx = dx + read(Right, i, 4 * layer + ATTENTION_OUT, TILE_M, TILE_C)
    if layer > 0:
        write(Right, i, 4 * (layer - 1) + MLP_OUT, dx)
    else:
        x = read(Right, i, s.of_model(EMBEDDED), TILE_M, TILE_C)
        d = normalise_back(dx, x, of_rows(Terms, 2 * LAYERS, i, TILE_M), WIDTH)
        write(Right, i, s.of_model(EMBEDDING_OUT), d)
