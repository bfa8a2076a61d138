"""MicroGPT trained by one CTA for many steps, in cuTile: weights, gradients and Adam's moments are tiles of its step loop.

One document at a time: x = norm(wte[token] + wpe); for each layer x += attention(norm(x)), x += mlp(norm(x));
logits = x lm_head^T; the loss is the mean over the document of -log p(next). norm(x) = x * (mean(x^2) + eps)^-1/2.

Rows are positions of the document. Invariants, each with a test:
  * rows and columns beyond the model (27 of 32 tokens of the vocabulary) hold zeros, get gradients of zero and so stay;
  * a row at or beyond the document's length has a gradient of zero in its logits, and so in everything;
  * a row's scale commutes with a product from the right: products read x, and the norm's scale is applied to what they
    make, so that no product waits for the sum over a row;
  * what a step reads of its documents is asked for during the step before;
  * the way back reads its weights `after` the loss: every product wants its own layout of them, and where the compiler may
    make all layouts at the start of a step it does, and spills them.
"""

import math

import cuda.tile as ct

from spak.kernels.microgpt.model import ADAM_EPSILON, BETA1, BETA2, EPSILON, Model, names_and_shapes, offsets

ConstInt = ct.Constant[int]
ConstBool = ct.Constant[bool]
FAST = ct.RoundingMode.APPROX  # two units in the last place, in a tenth of the instructions
LOG2_E = 1.0 / math.log(2.0)
NEVER = -1.0e30  # a score or logit that takes no part: its exponential is 0

SHARED, PER_LAYER = 3, 6  # matrices: wte, wpe, lm_head; and wq, wk, wv, wo, fc1, fc2 of each layer


def places_of(sizes):
    """(first element in the flat vector, step to the next row, to the next column, rows, columns) of each matrix.

    Those of fc2 are exchanged: its tile has as many columns as every other, the width of the model.
    """
    model = Model(*sizes)
    places = []
    for (name, (rows, columns)), start in zip(names_and_shapes(model).items(), offsets(model).values(), strict=True):
        kept = (start, columns, 1, rows, columns)
        places.append((start, 1, columns, columns, rows) if name.endswith("fc2") else kept)
    return tuple(places)


def padded(size):
    """The least power of two that is not below `size`."""
    return 1 << (size - 1).bit_length()


@ct.kernel
def train_kernel(
    Initial,  # (P,) parameters before the first step, matrices row-major one after another
    Tokens,  # (documents, context + 1) int32
    Lengths,  # (documents,) int32, tokens that have a successor
    Rates,  # (steps, 2): rate / (1 - beta1^t) and (1 - beta2^t)^-1/2
    Moments,  # (2, P) Adam's, between launches
    Losses,  # (steps,)
    Parameters,  # (P,) after the last step of this launch
    Gradients,  # (P,) of the first step
    first: int,  # step
    end: int,
    VOCAB: ConstInt,
    WIDTH: ConstInt,
    LAYERS: ConstInt,
    HEADS: ConstInt,
    CONTEXT: ConstInt,
    BATCH: ConstInt,
    BATCHED_HEADS: ConstBool,
    MOMENTS_IN_TILES: ConstBool,
    LATE: ConstBool,  # what lays out weights for the way back waits for the loss
):
    sizes = (VOCAB, WIDTH, LAYERS, HEADS, CONTEXT)
    places = ct.static_eval(places_of(sizes))
    weights, moments = (), ()
    for place in ct.static_iter(places):
        index, inside = elements(place)
        if first == 0:
            weight = ct.gather(Initial, index, mask=inside)
            mean, square = filled(weight.shape, 0.0), filled(weight.shape, 0.0)
            if not MOMENTS_IN_TILES:
                ct.scatter(Moments, (0, index), mean, mask=inside)
                ct.scatter(Moments, (1, index), square, mask=inside)
        else:
            weight = ct.gather(Parameters, index, mask=inside)
            mean, square = ct.gather(Moments, (0, index), mask=inside), ct.gather(Moments, (1, index), mask=inside)
        weights += (weight,)
        if MOMENTS_IN_TILES:
            moments += ((mean, square),)
    last = end * BATCH - 1
    coming = fetch(Tokens, Lengths, first * BATCH, sizes)
    coming_rates = rates_of(Rates, first)
    for step in range(first, end):
        given, rates = coming, coming_rates
        coming = fetch(Tokens, Lengths, min(step * BATCH + 1, last), sizes)
        coming_rates = rates_of(Rates, min(step + 1, end - 1))
        loss, gradients = document(given, weights, sizes, (BATCHED_HEADS, LATE), BATCH)
        if BATCH > 1:
            for number in range(1, BATCH):
                given = coming
                coming = fetch(Tokens, Lengths, min(step * BATCH + number + 1, last), sizes)
                own_loss, own_gradients = document(given, weights, sizes, (BATCHED_HEADS, LATE), BATCH)
                loss, gradients = loss + own_loss, sums(gradients, own_gradients)
        ct.scatter(Losses, step, loss)
        if step == 0:
            for place, gradient in ct.static_iter(zip(places, gradients, strict=True)):
                index, inside = elements(place)
                ct.scatter(Gradients, index, gradient, mask=inside)
        new_weights, new_moments = (), ()
        for i in ct.static_iter(range(len(places))):
            if MOMENTS_IN_TILES:
                weight, mean, square = adam(weights[i], gradients[i], *moments[i], rates)
                new_moments += ((mean, square),)
            else:
                index, inside = elements(places[i])
                mean, square = ct.gather(Moments, (0, index), mask=inside), ct.gather(Moments, (1, index), mask=inside)
                weight, mean, square = adam(weights[i], gradients[i], mean, square, rates)
                ct.scatter(Moments, (0, index), mean, mask=inside)
                ct.scatter(Moments, (1, index), square, mask=inside)
            new_weights += (weight,)
        weights, moments = new_weights, new_moments
    for i in ct.static_iter(range(len(places))):
        index, inside = elements(places[i])
        ct.scatter(Parameters, index, weights[i], mask=inside)
        if MOMENTS_IN_TILES:
            ct.scatter(Moments, (0, index), moments[i][0], mask=inside)
            ct.scatter(Moments, (1, index), moments[i][1], mask=inside)


def elements(place):
    """Index in the flat vector of each element of a matrix's tile, and which of them the matrix has."""
    start, row_step, column_step, rows, columns = place
    row = numbers((ct.static_eval(padded(rows)), 1), 0)
    column = numbers((1, ct.static_eval(padded(columns))), 1)
    return start + row * row_step + column * column_step, (row < rows) & (column < columns)


def fetch(Tokens, Lengths, document, sizes):
    """Tokens (T, 1), their successors (T, 1) and the length of a document."""
    row = numbers((ct.static_eval(padded(sizes[4])), 1), 0)
    tokens, successors = ct.gather(Tokens, (document, row)), ct.gather(Tokens, (document, row + 1))
    return tokens, successors, ct.gather(Lengths, document)


def rates_of(Rates, step):
    return ct.gather(Rates, (step, 0)), ct.gather(Rates, (step, 1))


def adam(weight, gradient, mean, square, rates):
    """Weight and moments after a step."""
    rate, correction = rates
    mean = BETA1 * mean + (1.0 - BETA1) * gradient
    square = BETA2 * square + (1.0 - BETA2) * gradient * gradient
    root = ct.sqrt(square, rounding_mode=FAST) * correction + ADAM_EPSILON
    return weight - rate * ct.truediv(mean, root, rounding_mode=FAST), mean, square


def sums(x, y):
    """Of two tuples of tiles, tile by tile."""
    found = ()
    for i in ct.static_iter(range(len(x))):
        found += (x[i] + y[i],)
    return found


def after(scalar, tiles):
    """The same tiles, not to be had before the scalar: a compiler may not drop a sum with 0 * scalar, which may be NaN."""
    found, zero = (), scalar * 0.0
    for i in ct.static_iter(range(len(tiles))):
        found += (tiles[i] + zero,)
    return found


def filled(shape, value):
    return ct.full(shape, value, dtype=ct.float32)


def numbers(shape, axis):
    """0, 1, 2, ... along `axis`."""
    return ct.arange(shape[axis], dtype=ct.int32).reshape(shape)


def turned(x):
    """The last two axes exchanged."""
    return ct.transpose(x, -2, -1)


def product(x, y):
    """Matrix product of float32 by multiplications and additions of float32."""
    return ct.mma(x, y, filled((*x.shape[:-1], y.shape[-1]), 0.0))


def row_sum(x):
    return ct.sum(x, axis=-1, keepdims=True)


def norm_scale(x, WIDTH):
    """(T, 1): what a norm multiplies each row of x by."""
    return ct.rsqrt(row_sum(x * x) * (1.0 / WIDTH) + EPSILON)


def norm_gradient(dy, y, scale, WIDTH):
    """Gradient of x from that of y = x * scale."""
    return scale * (dy - y * (row_sum(dy * y) * (1.0 / WIDTH)))


def softmax(x):
    """Of each row."""
    raised = ct.exp2((x - ct.max(x, axis=-1, keepdims=True)) * LOG2_E)
    return ct.truediv(raised, row_sum(raised), rounding_mode=FAST)


def one_hot(tokens, TILE_V):
    """(T, V): 1 where a row's token is, 0 elsewhere."""
    return ct.where(tokens == numbers((1, TILE_V), 1), 1.0, 0.0)


def by_head(x, heads):
    """(T, C) -> (heads, T, C / heads), or (heads * T, C) in which a row holds the channels of its head and zeros."""
    T, C = x.shape
    HEADS, HEAD_DIM, BATCHED = heads
    if BATCHED:
        return ct.permute(x.reshape((T, HEADS, HEAD_DIM)), (1, 0, 2))
    return ct.where(owned(C, heads), x.reshape((1, T, C)), 0.0).reshape((HEADS * T, C))


def for_heads(x, heads):
    """(T, C) -> (heads, T, C / heads), or as it is: the other operand of a product with what `by_head` gives."""
    return by_head(x, heads) if heads[2] else x


def together(x, heads, T, C):
    """(T, C) from (heads, T, C / heads), or from (heads * T, C), each channel from the rows of its head."""
    if heads[2]:
        return ct.permute(x, (1, 0, 2)).reshape((T, C))
    return ct.sum(ct.where(owned(C, heads), x.reshape((heads[0], T, C)), 0.0), axis=0)


def summed(x, heads, T, C):
    """(T, C) from a product that already summed over heads, or from (heads, T, C / heads)."""
    return together(x, heads, T, C) if heads[2] else x


def owned(C, heads):
    """(heads, 1, C): whether a channel is the head's."""
    return numbers((1, 1, C), 2) // heads[1] == numbers((heads[0], 1, 1), 0)


def document(given, weights, sizes, variant, BATCH):
    """(loss of a document, gradient of each matrix), both divided by the documents of a step."""
    VOCAB, WIDTH, LAYERS, HEADS, _ = sizes
    tokens, successors, length = given
    wte, wpe, lm_head = weights[:SHARED]
    BATCHED_HEADS, LATE = variant
    heads = (ct.static_eval(padded(HEADS)), WIDTH // HEADS, BATCHED_HEADS)
    T, V = wpe.shape[0], wte.shape[0]
    here, next_ = one_hot(tokens, V), one_hot(successors, V)
    embedded = ct.mma(here, wte, wpe)
    first_scale = norm_scale(embedded, WIDTH)
    first_x = embedded * first_scale
    x, kept = first_x, ()
    for layer in ct.static_iter(range(LAYERS)):
        own = weights[SHARED + PER_LAYER * layer : SHARED + PER_LAYER * (layer + 1)]
        x, attention_kept = attention(x, own, heads, WIDTH)
        x, mlp_kept = mlp(x, own, WIDTH)
        kept += ((attention_kept, mlp_kept),)
    logits = ct.where(numbers((1, V), 1) < VOCAB, product(x, turned(lm_head)), NEVER)
    highest = ct.max(logits, axis=1, keepdims=True)
    raised = ct.exp2((logits - highest) * LOG2_E)
    total = row_sum(raised)
    share = ct.where(numbers((T, 1), 0) < length, 1.0 / (BATCH * length).astype(ct.float32), 0.0)
    loss = ct.sum((ct.log(total) + highest - row_sum(logits * next_)) * share)
    d_logits = (ct.truediv(raised, total, rounding_mode=FAST) - next_) * share
    d_lm_head = product(turned(d_logits), x)
    weights = after(loss, weights) if LATE else weights
    dx, of_layers = product(d_logits, weights[2]), ()
    for layer in ct.static_iter(range(LAYERS - 1, -1, -1)):
        own = weights[SHARED + PER_LAYER * layer : SHARED + PER_LAYER * (layer + 1)]
        dx, of_mlp = mlp_backward(dx, own, kept[layer][1], WIDTH)
        dx, of_attention = attention_backward(dx, own, kept[layer][0], heads, WIDTH)
        of_layers = of_attention + of_mlp + of_layers
    dx = norm_gradient(dx, first_x, first_scale, WIDTH)
    return loss, (product(turned(here), dx), dx, d_lm_head, *of_layers)


def attention(x, weights, heads, WIDTH):
    """x + attention(norm(x)) and what its gradient needs."""
    wq, wk, wv, wo = weights[:4]
    (T, C), (HEADS, HEAD_DIM, BATCHED) = x.shape, heads
    scale = norm_scale(x, WIDTH)
    q = by_head(product(x, turned(wq)) * (scale * HEAD_DIM**-0.5), heads)
    k = for_heads(product(x, turned(wk)) * scale, heads)
    v = for_heads(product(x, turned(wv)) * scale, heads)
    scores = product(q, turned(k)).reshape((HEADS, T, T))
    p = softmax(ct.where(numbers((1, 1, T), 2) <= numbers((1, T, 1), 1), scores, NEVER))
    p = p if BATCHED else p.reshape((HEADS * T, T))
    o = together(product(p, v), heads, T, C)
    return ct.mma(o, turned(wo), x), (x * scale, scale, q, k, v, p, o)


def mlp(x, weights, WIDTH):
    """x + mlp(norm(x)) and what its gradient needs."""
    fc1, fc2 = weights[4:]
    scale = norm_scale(x, WIDTH)
    z = product(x, turned(fc1))
    u = ct.maximum(z, 0.0) * scale
    return ct.mma(u, fc2, x), (x * scale, scale, z, u)


def mlp_backward(dy, weights, kept, WIDTH):
    """Gradient of x from that of x + mlp(norm(x)), and of both matrices."""
    fc1, fc2 = weights[4:]
    y, scale, z, u = kept
    dz = ct.where(z > 0.0, product(dy, turned(fc2)), 0.0)
    dx = dy + norm_gradient(product(dz, fc1), y, scale, WIDTH)
    return dx, (product(turned(dz), y), product(turned(u), dy))


def attention_backward(dx, weights, kept, heads, WIDTH):
    """Gradient of x from that of x + attention(norm(x)), and of the four matrices."""
    wq, wk, wv, wo = weights[:4]
    y, scale, q, k, v, p, o = kept
    T, C = dx.shape
    do = by_head(product(dx, wo), heads)
    ds = p * (product(do, turned(v)) - row_sum(do * by_head(o, heads)))
    dv = summed(product(turned(p), do), heads, T, C)
    dk = summed(product(turned(ds), q), heads, T, C)
    dq = together(product(ds, k), heads, T, C) * heads[1] ** -0.5
    dy = ct.mma(dq, wq, ct.mma(dk, wk, product(dv, wv)))
    of_matrices = (product(turned(dq), y), product(turned(dk), y), product(turned(dv), y), product(turned(dx), o))
    return dx + norm_gradient(dy, y, scale, WIDTH), of_matrices
