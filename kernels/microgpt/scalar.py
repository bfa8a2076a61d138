"""MicroGPT number by number: a graph of scalars and the chain rule, with the arithmetic of microgpt.py in its order.

Needs nothing but Python; slow on purpose, for it is what everything else is a fast form of.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from spak.kernels.microgpt.model import (
    ADAM_EPSILON,
    BETA1,
    BETA2,
    EPSILON,
    Model,
    learning_rates,
    names_and_shapes,
    offsets,
)
from spak.kernels.microgpt.reference import Trained


class Variable:
    """A number, what it was computed from, and the derivative of the loss by it once `backward` has run.

    Attributes:
        value: The number.
        operands: What it was computed from.
        slopes: Its derivative by each of them.
        gradient: Derivative of the loss by it.
    """

    __slots__ = ("gradient", "operands", "slopes", "value")

    def __init__(self, value: float, operands: tuple[Variable, ...] = (), slopes: tuple[float, ...] = ()) -> None:
        self.value, self.operands, self.slopes, self.gradient = value, operands, slopes, 0.0

    def __add__(self, other: Variable) -> Variable:
        return Variable(self.value + other.value, (self, other), (1.0, 1.0))

    def __mul__(self, other: Variable) -> Variable:
        return Variable(self.value * other.value, (self, other), (other.value, self.value))

    def plus(self, constant: float) -> Variable:
        """The sum with a constant."""
        return Variable(self.value + constant, (self,), (1.0,))

    def times(self, constant: float) -> Variable:
        """The product with a constant."""
        return Variable(self.value * constant, (self,), (constant,))

    def power(self, exponent: float) -> Variable:
        """Raised to a constant."""
        return Variable(self.value**exponent, (self,), (exponent * self.value ** (exponent - 1),))

    def exp(self) -> Variable:
        """The exponential function of it."""
        value = math.exp(self.value)
        return Variable(value, (self,), (value,))

    def log(self) -> Variable:
        """Its natural logarithm."""
        return Variable(math.log(self.value), (self,), (1 / self.value,))

    def relu(self) -> Variable:
        """0 where it is negative."""
        return Variable(max(0.0, self.value), (self,), (float(self.value > 0),))


Vector = Sequence[Variable]
Matrix = Sequence[Vector]


def total(terms: Iterable[Variable]) -> Variable:
    """Their sum, from the first to the last."""
    each = iter(terms)
    return sum(each, next(each))


def backward(loss: Variable) -> None:
    """Add to every number's gradient the derivative of `loss` by it."""
    loss.gradient = 1.0
    for number in reversed(list(operands_first(loss))):
        for operand, slope in zip(number.operands, number.slopes, strict=True):
            operand.gradient += slope * number.gradient


def operands_first(last: Variable) -> Iterator[Variable]:
    """Every number that `last` was computed from, each after its operands, and `last`."""
    seen = {last}
    path = [(last, iter(last.operands))]
    while path:
        number, remaining = path[-1]
        for operand in remaining:
            if operand not in seen:
                seen.add(operand)
                path.append((operand, iter(operand.operands)))
                break
        else:
            path.pop()
            yield number


def linear(matrix: Matrix, x: Vector) -> list[Variable]:
    """Matrix (outputs, inputs) times vector."""
    return [total(weight * element for weight, element in zip(row, x, strict=True)) for row in matrix]


def rms_normalised(x: Vector) -> list[Variable]:
    """RMSNorm without weights."""
    scale = total(element * element for element in x).times(1 / len(x)).plus(EPSILON).power(-0.5)
    return [element * scale for element in x]


def softmax(x: Vector) -> list[Variable]:
    """Exponentials over their sum; the largest is subtracted first, as a constant."""
    largest = max(element.value for element in x)
    exponentials = [element.plus(-largest).exp() for element in x]
    scale = total(exponentials).power(-1)
    return [exponential * scale for exponential in exponentials]


class ScalarModel:
    """The model on scalars, one position after the other, with the keys and values of the positions before."""

    def __init__(self, model: Model, matrices: Mapping[str, Matrix]) -> None:
        self.model, self.matrices = model, matrices
        self.seen: list[tuple[list[Vector], list[Vector]]] = [([], []) for _ in range(model.layers)]

    def next_logits(self, token: int) -> list[Variable]:
        """(vocab,), after `token` at the next position."""
        position = len(self.seen[0][0])
        embedded = zip(self.matrices["wte"][token], self.matrices["wpe"][position], strict=True)
        x = rms_normalised([of_token + of_position for of_token, of_position in embedded])
        for layer in range(self.model.layers):
            x = self._layer(layer, x)
        return linear(self.matrices["lm_head"], x)

    def _layer(self, layer: int, x: Vector) -> list[Variable]:
        own = {name: self.matrices[f"layer{layer}.{name}"] for name in LAYER}
        normal = rms_normalised(x)
        query = linear(own["attn_wq"], normal)
        keys, values = self.seen[layer]
        keys.append(linear(own["attn_wk"], normal))
        values.append(linear(own["attn_wv"], normal))
        out = linear(own["attn_wo"], self._attention(query, keys, values))
        x = [new + old for new, old in zip(out, x, strict=True)]
        hidden = [element.relu() for element in linear(own["mlp_fc1"], rms_normalised(x))]
        return [new + old for new, old in zip(linear(own["mlp_fc2"], hidden), x, strict=True)]

    def _attention(self, query: Vector, keys: Sequence[Vector], values: Sequence[Vector]) -> list[Variable]:
        mixed: list[Variable] = []
        size = self.model.head_dim
        for start in range(0, self.model.width, size):
            head = slice(start, start + size)
            scores = [
                total(q * k for q, k in zip(query[head], key[head], strict=True)).times(1 / size**0.5) for key in keys
            ]
            weights = softmax(scores)
            mixed += [total(w * v[i] for w, v in zip(weights, values, strict=True)) for i in range(start, start + size)]
        return mixed


LAYER = ("attn_wq", "attn_wk", "attn_wv", "attn_wo", "mlp_fc1", "mlp_fc2")
"""A layer's matrices."""


class ScalarTraining:
    """A run on scalars.

    Attributes:
        parameters: num_parameters of them, in the order of the flat vector.
        moments: Adam's averages of the gradients and of their squares, one pair a parameter.
        steps: Steps done.
    """

    def __init__(self, model: Model, parameters: Iterable[float]) -> None:
        self.model = model
        self.parameters = [Variable(float(value)) for value in parameters]
        self.moments = [(0.0, 0.0)] * len(self.parameters)
        self.steps = 0

    def matrices(self) -> dict[str, Matrix]:
        """The parameters as rows of their matrices."""
        starts = offsets(self.model)
        return {
            name: [
                self.parameters[start : start + columns]
                for start in range(starts[name], starts[name] + rows * columns, columns)
            ]
            for name, (rows, columns) in names_and_shapes(self.model).items()
        }

    def loss(self, tokens: Sequence[int], length: int) -> Variable:
        """Mean over the targets of one document; tokens: (at least length + 1)."""
        model = ScalarModel(self.model, self.matrices())
        losses = [
            softmax(model.next_logits(tokens[position]))[tokens[position + 1]].log().times(-1)
            for position in range(length)
        ]
        return total(losses).times(1 / length)

    def step(self, tokens: Sequence[Sequence[int]], lengths: Sequence[int], rate: float) -> tuple[float, list[float]]:
        """Loss before the step and its gradient; then one step of Adam, at learning rate `rate`."""
        losses = [self.loss(row, length) for row, length in zip(tokens, lengths, strict=True)]
        loss = total(losses).times(1 / len(losses))
        backward(loss)
        gradients = [parameter.gradient for parameter in self.parameters]
        self.steps += 1
        for index, (parameter, (first, second)) in enumerate(zip(self.parameters, self.moments, strict=True)):
            mean = BETA1 * first + (1 - BETA1) * parameter.gradient
            square = BETA2 * second + (1 - BETA2) * parameter.gradient**2
            self.moments[index] = mean, square
            root = (square / (1 - BETA2**self.steps)) ** 0.5
            parameter.value -= rate * (mean / (1 - BETA1**self.steps)) / (root + ADAM_EPSILON)
            parameter.gradient = 0.0
        return loss.value, gradients


def train_scalars(
    model: Model, parameters: Iterable[float], tokens: np.ndarray, lengths: np.ndarray, *, batch: int, steps: int
) -> Trained:
    """What `spak.kernels.microgpt.reference.train` does, number by number; NumPy, float64."""
    training = ScalarTraining(model, parameters)
    losses: list[float] = []
    gradients: list[float] = []
    rows, counts = tokens.tolist(), lengths.tolist()
    for step, rate in enumerate(learning_rates(steps).tolist()):
        part = slice(step * batch, (step + 1) * batch)
        loss, gradient = training.step(rows[part], counts[part], rate)
        losses.append(loss)
        gradients = gradients or gradient
    return Trained(np.array(losses), np.array([one.value for one in training.parameters]), np.array(gradients))
