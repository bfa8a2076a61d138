"""The model's sizes, its parameters in one flat vector, and the values that microgpt.py starts from."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from itertools import accumulate
from random import Random

import numpy as np

EPSILON = 1e-5
"""RMSNorm's, added to the mean square. Source: microgpt.py, `rmsnorm`."""
DEVIATION = 0.08
"""Of every initial weight. Source: microgpt.py, `matrix`."""
EXPANSION = 4
"""Width of the MLP over the model's. Source: microgpt.py, `mlp_fc1`."""
BETA1, BETA2, ADAM_EPSILON = 0.85, 0.99, 1e-8
"""Decay of Adam's first and second moment, and what is added to the root. Source: microgpt.py."""
LEARNING_RATE = 0.01
"""At step 0; it falls linearly, to 0 after the last step. Source: microgpt.py."""


@dataclass(frozen=True)
class Model:
    """Sizes of the model; the defaults are microgpt.py's, and give 4,192 parameters.

    Attributes:
        vocab: Tokens, the one that begins and ends a document included; it is the last.
        width: Elements of a token's vector; a multiple of `heads`.
        layers: Of attention and MLP.
        heads: Of attention.
        context: Most positions of a document that are trained on or sampled.
    """

    vocab: int = 27
    width: int = 16
    layers: int = 1
    heads: int = 4
    context: int = 16

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise ValueError(f"{field.name}: must be at least 1 (got {getattr(self, field.name)})")
        if self.width % self.heads:
            raise ValueError(f"heads: must divide width (got {self.heads} heads, width {self.width})")

    @property
    def head_dim(self) -> int:
        """Elements of a head's queries, keys and values."""
        return self.width // self.heads

    @property
    def bos(self) -> int:
        """The token that begins and ends a document."""
        return self.vocab - 1


def names_and_shapes(model: Model) -> dict[str, tuple[int, int]]:
    """(outputs, inputs) of every matrix, in the order of the flat vector, which is that of microgpt.py's random numbers."""
    width, hidden = model.width, EXPANSION * model.width
    shapes = {"wte": (model.vocab, width), "wpe": (model.context, width), "lm_head": (model.vocab, width)}
    for layer in range(model.layers):
        shapes |= {f"layer{layer}.attn_{name}": (width, width) for name in ("wq", "wk", "wv", "wo")}
        shapes |= {f"layer{layer}.mlp_fc1": (hidden, width), f"layer{layer}.mlp_fc2": (width, hidden)}
    return shapes


def offsets(model: Model) -> dict[str, int]:
    """Where each matrix, row-major, begins in the flat vector; nothing lies between two."""
    shapes = names_and_shapes(model)
    return dict(zip(shapes, accumulate(map(math.prod, shapes.values()), initial=0), strict=False))


def num_parameters(model: Model) -> int:
    """Elements of the flat vector."""
    return sum(map(math.prod, names_and_shapes(model).values()))


def initial_parameters(model: Model, generator: Random) -> np.ndarray:
    """(num_parameters,) float64: Gaussian, drawn one by one in the order of the flat vector.

    microgpt.py seeds `generator` with 42 and shuffles the documents before: `spak.kernels.microgpt.data.begin` does both.
    """
    return np.array([generator.gauss(0, DEVIATION) for _ in range(num_parameters(model))])


def learning_rates(steps: int) -> np.ndarray:
    """(steps,) float64: Adam's at each step of a run of `steps`."""
    return LEARNING_RATE * (1 - np.arange(steps) / steps)
