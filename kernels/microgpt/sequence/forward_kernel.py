"""The way forward, in cuTile: embedding, and of each layer four launches; then the logits, the loss and its gradient.

A row is a position of a document; rows of all documents lie one below another. What the way back and the gradients of the
matrices need is left in memory; see layout.py for where.
"""

import cuda.tile as ct

from spak.kernels.microgpt.sequence.layout import (
    ATTENTION_IN,
    EMBEDDED,
    HEAD_IN,
    KEYS,
    MIDDLE,
    MLP_IN,
    MLP_OUT,
    QUERIES,
    STREAM,
    VALUES,
    Layout,
)
from spak.kernels.microgpt.sequence.tile_kernel import (
    LOWEST,
    ConstInt,
    keep_of_rows,
    masked,
    new_product,
    normalise,
    product,
    read,
    write,
    zeros,
)


@ct.kernel
def embed_kernel(
    Weights,  # (weight rows, tile_c)
    Left,  # (rows, weight rows)
    Right,  # (rows, blocks * tile_c)
    Terms,  # (terms, rows)
    Tokens,  # (documents of all steps, positions + 1) int32
    step: int,
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
):
    s = Layout(LAYERS, HEADS, WIDTH, VOCAB, BATCH, POSITIONS, TILE_C, TILE_D, TILE_V, UNIT)
    i = ct.bid(0)
    document, position = of_document(i, step, s, TILE_M)
    columns = ct.arange(TILE_C, dtype=ct.int32)[None, :]
    token = ct.gather(Tokens, (document, position))[:, None]
    x = ct.gather(Weights, (s.tokens() + token, columns)) + ct.gather(Weights, (position[:, None], columns))
    x, factor = normalise(x, WIDTH)
    keep_of_rows(Terms, 2 * LAYERS, i, factor)
    write(Right, i, s.of_model(EMBEDDED), x)
    write(Right, i, s.of_model(STREAM), x)
    chosen = token == ct.arange(TILE_V, dtype=ct.int32)[None, :]
    write(Left, i, s.tokens() // TILE_V, ct.where(chosen, 1.0, 0.0))


def of_document(i, step, s, TILE_M):
    """(document, position in it) of the rows of tile i, (TILE_M,) each."""
    row = i * TILE_M + ct.arange(TILE_M, dtype=ct.int32)
    return step * s.batch + row // s.positions, row % s.positions


@ct.kernel
def project_kernel(
    Weights,
    Right,
    Heads,  # (rows, layers * 4 * attention)
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
    """Q, K and V: a CTA makes TILE_N columns of them."""
    s = Layout(LAYERS, HEADS, WIDTH, VOCAB, BATCH, POSITIONS, TILE_C, TILE_D, TILE_V, UNIT)
    i, j = ct.bid(0), ct.bid(1)
    w = read(Weights, s.layer(layer) // TILE_N + j, 0, TILE_N, TILE_C)
    y, factor = normalise(read(Right, i, s.of_model(STREAM), TILE_M, TILE_C), WIDTH)
    write(Heads, i, s.in_heads(layer, QUERIES) // TILE_N + j, new_product(y, ct.transpose(w), PRODUCTS))
    if j == 0:
        write(Right, i, 4 * layer + ATTENTION_IN, y)
        keep_of_rows(Terms, 2 * layer, i, factor)


@ct.kernel
def attend_kernel(
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
    """The attention of TILE_T positions of one document, by one head."""
    s = Layout(LAYERS, HEADS, WIDTH, VOCAB, BATCH, POSITIONS, TILE_C, TILE_D, TILE_V, UNIT)
    row, head = ct.bid(0), ct.bid(1)
    t = row % (POSITIONS // TILE_T)
    q = read(Heads, row, s.in_heads(layer, QUERIES) // TILE_D + head, TILE_T, TILE_D) * s.scale()
    peak = ct.full((TILE_T, 1), LOWEST, dtype=ct.float32)
    total = zeros(TILE_T, 1)
    o = zeros(TILE_T, TILE_D)
    for j in range(t + 1):
        k = read(Heads, row - t + j, s.in_heads(layer, KEYS) // TILE_D + head, TILE_T, TILE_D)
        v = read(Heads, row - t + j, s.in_heads(layer, VALUES) // TILE_D + head, TILE_T, TILE_D)
        scores = masked(new_product(q, ct.transpose(k), PRODUCTS), t, j)
        higher = max(peak, ct.max(scores, axis=1, keepdims=True))
        p = ct.exp(scores - higher)
        shrink = ct.exp(peak - higher)
        total = total * shrink + ct.sum(p, axis=1, keepdims=True)
        o = product(p, v, o * shrink, PRODUCTS)
        peak = higher
    write(Left, row, s.output(layer) // TILE_D + head, o / total)
    keep_of_rows(Terms, s.log_sum_exp(layer, head), row, peak + ct.log(total))


@ct.kernel
def expand_kernel(
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
    """The output projection, and TILE_N columns of the MLP's hidden layer."""
    s = Layout(LAYERS, HEADS, WIDTH, VOCAB, BATCH, POSITIONS, TILE_C, TILE_D, TILE_V, UNIT)
    i, j = ct.bid(0), ct.bid(1)
    x = read(Right, i, s.of_model(STREAM), TILE_M, TILE_C)
    for k in range(s.attention() // TILE_N):
        o = read(Left, i, s.output(layer) // TILE_N + k, TILE_M, TILE_N)
        x = x + new_product(o, read(Weights, s.output(layer) // TILE_N + k, 0, TILE_N, TILE_C), PRODUCTS)
    y, factor = normalise(x, WIDTH)
    w = read(Weights, s.first(layer) // TILE_N + j, 0, TILE_N, TILE_C)
    h = max(new_product(y, ct.transpose(w), PRODUCTS), 0.0)
    write(Left, i, s.second(layer) // TILE_N + j, h)
    if j == 0:
        write(Right, i, s.of_model(MIDDLE), x)
        write(Right, i, 4 * layer + MLP_IN, y)
        keep_of_rows(Terms, 2 * layer + 1, i, factor)


@ct.kernel
def contract_kernel(
    Weights,
    Left,
    Right,
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
    TILE_X: ConstInt,
    PRODUCTS: ConstInt,
):
    """The MLP's second matrix: TILE_X columns of the stream that the next layer, or the logits, begin with."""
    s = Layout(LAYERS, HEADS, WIDTH, VOCAB, BATCH, POSITIONS, TILE_C, TILE_D, TILE_V, UNIT)
    i, j = ct.bid(0), ct.bid(1)
    x = read(Right, i, s.of_model(MIDDLE) * (TILE_C // TILE_X) + j, TILE_M, TILE_X)
    for k in range(s.hidden() // TILE_N):
        h = read(Left, i, s.second(layer) // TILE_N + k, TILE_M, TILE_N)
        x = x + new_product(h, read(Weights, s.second(layer) // TILE_N + k, j, TILE_N, TILE_X), PRODUCTS)
    block = STREAM if layer + 1 < LAYERS else HEAD_IN
    write(Right, i, s.of_model(block) * (TILE_C // TILE_X) + j, x)


@ct.kernel
def head_kernel(
    Weights,
    Left,
    Right,
    Tokens,
    Lengths,  # (documents of all steps,) int32
    LossParts,  # (steps, rows / TILE_M)
    step: int,
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
    PRODUCTS: ConstInt,
):
    """Logits, what these rows are of the loss, and the gradient of what the last layer leaves."""
    s = Layout(LAYERS, HEADS, WIDTH, VOCAB, BATCH, POSITIONS, TILE_C, TILE_D, TILE_V, UNIT)
    i = ct.bid(0)
    w = read(Weights, s.logits() // TILE_V, 0, TILE_V, TILE_C)
    x = read(Right, i, s.of_model(HEAD_IN), TILE_M, TILE_C)
    tokens = ct.arange(TILE_V, dtype=ct.int32)[None, :]
    logits = ct.where(tokens < VOCAB, new_product(x, ct.transpose(w), PRODUCTS), LOWEST)
    logits = logits - ct.max(logits, axis=1, keepdims=True)
    p = ct.exp(logits)
    total = ct.sum(p, axis=1, keepdims=True)
    document, position = of_document(i, step, s, TILE_M)
    chosen = ct.where(ct.gather(Tokens, (document, position + 1))[:, None] == tokens, 1.0, 0.0)
    length = ct.gather(Lengths, document)
    share = (ct.where(position < length, 1.0, 0.0) / (length * BATCH))[:, None]
    loss = (ct.log(total) - ct.sum(logits * chosen, axis=1, keepdims=True)) * share
    ct.store(LossParts, index=(step, i), tile=ct.sum(loss).reshape((1, 1)))
    d = (p / total - chosen) * share
    write(Left, i, s.logits() // TILE_V, d)
    write(Right, i, 4 * (LAYERS - 1) + MLP_OUT, new_product(d, w, PRODUCTS))
