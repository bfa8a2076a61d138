/* MicroGPT in C, in double, on one core: what a GPU has to beat at this size.

   Vectors of the positions of a document are columns: X[channel][position], rows of `stride` elements, a multiple of LANES.
   A block of LANES positions is computed at a time, in registers; beyond the document they are zero and stay so, which
   makes their share of every gradient zero. Matrices are row-major (outputs, inputs), as everywhere. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 8

typedef struct {
    int32_t vocab, width, layers, heads, context, hidden;
    double epsilon, beta1, beta2, adam_epsilon;
} Model;

/* What the backward pass needs of a layer: [channel][position] each, scale[position], weights[head][query][key]. */
typedef struct {
    double *in, *normal, *q, *k, *v, *mixed, *middle, *second, *hidden, *scale, *second_scale, *weights;
} Layer;

/* Offsets of a layer's matrices in the flat vector. */
typedef struct {
    size_t wq, wk, wv, wo, fc1, fc2;
} Matrices;

typedef struct {
    Model model;
    int stride;               /* context, rounded up to LANES */
    Layer *layers;
    double *embedded, *first_scale, *last, *logits, *d_x, *d_normal, *d_hidden, *d_q, *d_k, *d_v, *d_mixed;
} Run;

static int rounded(int n) { return (n + LANES - 1) / LANES * LANES; }

/* Y[o][t] (+)= sum over i of W[o][i] X[i][t] */
static void product(int out, int in, int n, int stride, const double *W, const double *X, double *Y, int add) {
    for (int t = 0; t < n; t += LANES)
        for (int o = 0; o < out; o++) {
            double sum[LANES] = {0};
            for (int i = 0; i < in; i++)
                for (int u = 0; u < LANES; u++) sum[u] += W[o * in + i] * X[i * stride + t + u];
            for (int u = 0; u < LANES; u++) Y[o * stride + t + u] = sum[u] + (add ? Y[o * stride + t + u] : 0);
        }
}

/* dX[i][t] (+)= sum over o of W[o][i] dY[o][t] */
static void product_inputs(int out, int in, int n, int stride, const double *W, const double *dY, double *dX, int add) {
    for (int t = 0; t < n; t += LANES)
        for (int i = 0; i < in; i++) {
            double sum[LANES] = {0};
            for (int o = 0; o < out; o++)
                for (int u = 0; u < LANES; u++) sum[u] += W[o * in + i] * dY[o * stride + t + u];
            for (int u = 0; u < LANES; u++) dX[i * stride + t + u] = sum[u] + (add ? dX[i * stride + t + u] : 0);
        }
}

/* dW[o][i] += sum over t of dY[o][t] X[i][t] */
static void product_weights(int out, int in, int n, int stride, const double *dY, const double *X, double *dW) {
    for (int o = 0; o < out; o++)
        for (int i = 0; i < in; i++) {
            double sum[LANES] = {0};
            for (int t = 0; t < n; t += LANES)
                for (int u = 0; u < LANES; u++) sum[u] += dY[o * stride + t + u] * X[i * stride + t + u];
            dW[o * in + i] += ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
        }
}

/* Y = X / sqrt(mean square + epsilon), position by position; scale keeps the divisors' inverses. */
static void normalise(const Run *run, int n, const double *X, double *Y, double *scale) {
    int width = run->model.width, stride = run->stride;
    for (int t = 0; t < n; t += LANES) {
        double sum[LANES] = {0};
        for (int i = 0; i < width; i++)
            for (int u = 0; u < LANES; u++) sum[u] += X[i * stride + t + u] * X[i * stride + t + u];
        for (int u = 0; u < LANES; u++) scale[t + u] = 1 / sqrt(sum[u] / width + run->model.epsilon);
        for (int i = 0; i < width; i++)
            for (int u = 0; u < LANES; u++) Y[i * stride + t + u] = X[i * stride + t + u] * scale[t + u];
    }
}

/* dX (+)= the gradient by X of Y = normalise(X), from dY; Y and scale as it left them. */
static void normalise_back(const Run *run, int n, const double *Y, const double *scale, const double *dY, double *dX, int add) {
    int width = run->model.width, stride = run->stride;
    for (int t = 0; t < n; t += LANES) {
        double sum[LANES] = {0};
        for (int i = 0; i < width; i++)
            for (int u = 0; u < LANES; u++) sum[u] += dY[i * stride + t + u] * Y[i * stride + t + u];
        for (int u = 0; u < LANES; u++) sum[u] /= width;
        for (int i = 0; i < width; i++)
            for (int u = 0; u < LANES; u++) {
                size_t at = (size_t)i * stride + t + u;
                dX[at] = scale[t + u] * (dY[at] - sum[u] * Y[at]) + (add ? dX[at] : 0);
            }
    }
}

/* All heads, causal; weights are kept for the way back. Positions from n on stay zero. */
static void attend(const Run *run, const Layer *layer, int n) {
    int size = run->model.width / run->model.heads, stride = run->stride;
    double factor = 1 / sqrt(size);
    memset(layer->mixed, 0, sizeof(double) * run->model.width * stride);
    for (int h = 0; h < run->model.heads; h++) {
        const double *q = layer->q + (size_t)h * size * stride, *k = layer->k + (size_t)h * size * stride;
        const double *v = layer->v + (size_t)h * size * stride;
        double *mixed = layer->mixed + (size_t)h * size * stride;
        for (int t = 0; t < n; t++) {
            double *weights = layer->weights + ((size_t)h * stride + t) * stride, largest = -INFINITY, sum = 0;
            for (int s = 0; s <= t; s++) weights[s] = 0;
            for (int i = 0; i < size; i++)
                for (int s = 0; s <= t; s++) weights[s] += q[i * stride + t] * k[i * stride + s];
            for (int s = 0; s <= t; s++) largest = fmax(largest, weights[s] *= factor);
            for (int s = 0; s <= t; s++) sum += weights[s] = exp(weights[s] - largest);
            for (int s = 0; s <= t; s++) weights[s] /= sum;
            for (int i = 0; i < size; i++) {
                double out = 0;
                for (int s = 0; s <= t; s++) out += weights[s] * v[i * stride + s];
                mixed[i * stride + t] = out;
            }
        }
    }
}

/* Gradients by q, k and v from that by what attend gave. */
static void attend_back(const Run *run, const Layer *layer, int n) {
    int size = run->model.width / run->model.heads, stride = run->stride;
    double factor = 1 / sqrt(size), d_weights[stride];
    size_t bytes = sizeof(double) * run->model.width * stride;
    memset(run->d_q, 0, bytes), memset(run->d_k, 0, bytes), memset(run->d_v, 0, bytes);
    for (int h = 0; h < run->model.heads; h++) {
        size_t head = (size_t)h * size * stride;
        const double *q = layer->q + head, *k = layer->k + head, *v = layer->v + head, *d_mixed = run->d_mixed + head;
        double *d_q = run->d_q + head, *d_k = run->d_k + head, *d_v = run->d_v + head;
        for (int t = 0; t < n; t++) {
            const double *weights = layer->weights + ((size_t)h * stride + t) * stride;
            double sum = 0;
            for (int s = 0; s <= t; s++) d_weights[s] = 0;
            for (int i = 0; i < size; i++)
                for (int s = 0; s <= t; s++) {
                    d_weights[s] += d_mixed[i * stride + t] * v[i * stride + s];
                    d_v[i * stride + s] += d_mixed[i * stride + t] * weights[s];
                }
            for (int s = 0; s <= t; s++) sum += d_weights[s] * weights[s];
            for (int s = 0; s <= t; s++) d_weights[s] = (d_weights[s] - sum) * weights[s] * factor;
            for (int i = 0; i < size; i++) {
                double of_query = 0;
                for (int s = 0; s <= t; s++) {
                    of_query += d_weights[s] * k[i * stride + s];
                    d_k[i * stride + s] += d_weights[s] * q[i * stride + t];
                }
                d_q[i * stride + t] = of_query;
            }
        }
    }
}

static Matrices matrices(const Model *model, int layer) {
    size_t square = (size_t)model->width * model->width, wide = (size_t)model->hidden * model->width;
    size_t start = (size_t)(2 * model->vocab + model->context) * model->width + layer * (4 * square + 2 * wide);
    return (Matrices){start, start + square, start + 2 * square, start + 3 * square, start + 4 * square, start + 4 * square + wide};
}

static void forward(Run *run, int n, const double *weights, const int32_t *tokens) {
    const Model *model = &run->model;
    int width = model->width, hidden = model->hidden, stride = run->stride;
    const double *of_positions = weights + (size_t)model->vocab * width;
    memset(run->embedded, 0, sizeof(double) * width * stride);
    for (int t = 0; t < n; t++)
        for (int i = 0; i < width; i++)
            run->embedded[i * stride + t] = weights[tokens[t] * width + i] + of_positions[t * width + i];
    normalise(run, n, run->embedded, run->layers[0].in, run->first_scale);
    for (int l = 0; l < model->layers; l++) {
        Layer *layer = &run->layers[l];
        Matrices at = matrices(model, l);
        double *next = l + 1 < model->layers ? run->layers[l + 1].in : run->last;
        normalise(run, n, layer->in, layer->normal, layer->scale);
        product(width, width, n, stride, weights + at.wq, layer->normal, layer->q, 0);
        product(width, width, n, stride, weights + at.wk, layer->normal, layer->k, 0);
        product(width, width, n, stride, weights + at.wv, layer->normal, layer->v, 0);
        attend(run, layer, n);
        memcpy(layer->middle, layer->in, sizeof(double) * width * stride);
        product(width, width, n, stride, weights + at.wo, layer->mixed, layer->middle, 1);
        normalise(run, n, layer->middle, layer->second, layer->second_scale);
        product(hidden, width, n, stride, weights + at.fc1, layer->second, layer->hidden, 0);
        for (int i = 0; i < hidden * stride; i++) layer->hidden[i] = layer->hidden[i] > 0 ? layer->hidden[i] : 0;
        memcpy(next, layer->middle, sizeof(double) * width * stride);
        product(width, hidden, n, stride, weights + at.fc2, layer->hidden, next, 1);
    }
    product(model->vocab, width, n, stride, weights + (size_t)(model->vocab + model->context) * width, run->last, run->logits, 0);
}

/* Mean negative log likelihood of the document; the logits become its gradient by them, times `share`. */
static double cross_entropy(Run *run, int n, const int32_t *tokens, double share) {
    int vocab = run->model.vocab, stride = run->stride;
    double loss = 0;
    for (int t = 0; t < n; t++) {
        double *logits = run->logits + t, largest = -INFINITY, sum = 0;
        for (int i = 0; i < vocab; i++) largest = fmax(largest, logits[i * stride]);
        for (int i = 0; i < vocab; i++) sum += logits[i * stride] = exp(logits[i * stride] - largest);
        loss -= log(logits[tokens[t + 1] * stride] / sum);
        for (int i = 0; i < vocab; i++) logits[i * stride] *= share / (sum * n);
        logits[tokens[t + 1] * stride] -= share / n;
    }
    for (int i = 0; i < vocab; i++)
        for (int t = n; t < rounded(n); t++) run->logits[i * stride + t] = 0;
    return loss / n;
}

/* Adds to every gradient what this document, forward already, gives it. */
static void backward(Run *run, int n, const double *weights, const int32_t *tokens, double *gradients) {
    const Model *model = &run->model;
    int width = model->width, hidden = model->hidden, vocab = model->vocab, stride = run->stride;
    size_t head = (size_t)(vocab + model->context) * width;
    product_weights(vocab, width, n, stride, run->logits, run->last, gradients + head);
    product_inputs(vocab, width, n, stride, weights + head, run->logits, run->d_x, 0);
    for (int l = model->layers - 1; l >= 0; l--) {
        Layer *layer = &run->layers[l];
        Matrices at = matrices(model, l);
        product_weights(width, hidden, n, stride, run->d_x, layer->hidden, gradients + at.fc2);
        product_inputs(width, hidden, n, stride, weights + at.fc2, run->d_x, run->d_hidden, 0);
        for (int i = 0; i < hidden * stride; i++) run->d_hidden[i] = layer->hidden[i] > 0 ? run->d_hidden[i] : 0;
        product_weights(hidden, width, n, stride, run->d_hidden, layer->second, gradients + at.fc1);
        product_inputs(hidden, width, n, stride, weights + at.fc1, run->d_hidden, run->d_normal, 0);
        normalise_back(run, n, layer->second, layer->second_scale, run->d_normal, run->d_x, 1);
        product_weights(width, width, n, stride, run->d_x, layer->mixed, gradients + at.wo);
        product_inputs(width, width, n, stride, weights + at.wo, run->d_x, run->d_mixed, 0);
        attend_back(run, layer, n);
        product_weights(width, width, n, stride, run->d_q, layer->normal, gradients + at.wq);
        product_weights(width, width, n, stride, run->d_k, layer->normal, gradients + at.wk);
        product_weights(width, width, n, stride, run->d_v, layer->normal, gradients + at.wv);
        product_inputs(width, width, n, stride, weights + at.wq, run->d_q, run->d_normal, 0);
        product_inputs(width, width, n, stride, weights + at.wk, run->d_k, run->d_normal, 1);
        product_inputs(width, width, n, stride, weights + at.wv, run->d_v, run->d_normal, 1);
        normalise_back(run, n, layer->normal, layer->scale, run->d_normal, run->d_x, 1);
    }
    normalise_back(run, n, run->layers[0].in, run->first_scale, run->d_x, run->d_x, 0);
    for (int t = 0; t < n; t++)
        for (int i = 0; i < width; i++) {
            gradients[(size_t)tokens[t] * width + i] += run->d_x[i * stride + t];
            gradients[(size_t)(vocab + t) * width + i] += run->d_x[i * stride + t];
        }
}

static void adam(const Model *model, size_t count, double rate, int step, double *weights, const double *gradients, double *moments) {
    double *first = moments, *second = moments + count;
    double by_first = 1 / (1 - pow(model->beta1, step)), by_second = 1 / (1 - pow(model->beta2, step));
    for (size_t i = 0; i < count; i++) {
        first[i] = model->beta1 * first[i] + (1 - model->beta1) * gradients[i];
        second[i] = model->beta2 * second[i] + (1 - model->beta2) * gradients[i] * gradients[i];
        weights[i] -= rate * by_first * first[i] / (sqrt(second[i] * by_second) + model->adam_epsilon);
    }
}

/* Arrays of a run, one after the other in `memory`, or only counted if that is NULL. Returns elements. */
static size_t laid_out(Run *run, double *memory) {
    const Model *model = &run->model;
    size_t narrow = (size_t)model->width * run->stride, wide = (size_t)model->hidden * run->stride, used = 0;
#define TAKE(pointer, elements) ((pointer) = memory + used, used += (elements))
    for (int l = 0; l < model->layers; l++) {
        Layer *layer = &run->layers[l];
        double **each[] = {&layer->in, &layer->normal, &layer->q, &layer->k, &layer->v, &layer->mixed, &layer->middle, &layer->second};
        for (size_t i = 0; i < sizeof each / sizeof *each; i++) TAKE(*each[i], narrow);
        TAKE(layer->hidden, wide);
        TAKE(layer->scale, run->stride);
        TAKE(layer->second_scale, run->stride);
        TAKE(layer->weights, (size_t)model->heads * run->stride * run->stride);
    }
    double **each[] = {&run->embedded, &run->last, &run->d_x, &run->d_normal, &run->d_q, &run->d_k, &run->d_v, &run->d_mixed};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) TAKE(*each[i], narrow);
    TAKE(run->d_hidden, wide);
    TAKE(run->first_scale, run->stride);
    TAKE(run->logits, (size_t)model->vocab * run->stride);
#undef TAKE
    return used;
}

/* Steps done + 1 .. steps done + steps. tokens[steps * batch][context + 1], lengths[steps * batch], rates[steps];
   weights[count] and moments[2 * count] change; losses[steps]; gradients[count] are those of the first of these steps.
   Returns 0, or 1 if there is no memory. */
int microgpt_train(const Model *model, int32_t batch, int32_t steps, int32_t done, const int32_t *tokens, const int32_t *lengths,
                   const double *rates, double *weights, double *moments, double *losses, double *gradients) {
    Run run = {.model = *model, .stride = rounded(model->context)};
    size_t layer = 4 * (size_t)model->width * model->width + 2 * (size_t)model->hidden * model->width;
    size_t count = (size_t)(2 * model->vocab + model->context) * model->width + model->layers * layer;
    run.layers = calloc(model->layers, sizeof *run.layers);
    if (!run.layers) return 1;
    double *memory = calloc(laid_out(&run, NULL), sizeof *memory), *sums = malloc(count * sizeof *sums);
    if (memory && sums) {
        laid_out(&run, memory);
        for (int step = 0; step < steps; step++) {
            memset(sums, 0, count * sizeof *sums);
            losses[step] = 0;
            for (int row = step * batch; row < (step + 1) * batch; row++) {
                const int32_t *document = tokens + (size_t)row * (model->context + 1);
                forward(&run, lengths[row], weights, document);
                losses[step] += cross_entropy(&run, lengths[row], document, 1.0 / batch) / batch;
                backward(&run, lengths[row], weights, document, sums);
            }
            if (step == 0) memcpy(gradients, sums, count * sizeof *sums);
            adam(model, count, rates[step], done + step + 1, weights, sums, moments);
        }
    }
    int failed = !memory || !sums;
    free(memory), free(sums), free(run.layers);
    return failed;
}
