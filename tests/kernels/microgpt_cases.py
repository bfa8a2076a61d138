"""Small runs that the tests of MicroGPT share."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np

from spak.kernels.microgpt.data import Corpus, small_list
from spak.kernels.microgpt.model import Model, initial_parameters


@dataclass(frozen=True)
class Case:
    """A model, where it begins, and what it is trained on."""

    model: Model
    parameters: np.ndarray
    tokens: np.ndarray
    lengths: np.ndarray
    batch: int
    steps: int

    @classmethod
    def of(cls, batch: int, steps: int, **sizes: int) -> Case:
        generator = Random(7)
        corpus = Corpus.of(small_list()).shuffled(generator)
        model = Model(corpus.vocab, **sizes)
        parameters = initial_parameters(model, generator)
        return cls(model, parameters, *corpus.batches(model.context, steps, batch=batch), batch, steps)

    def run(self, train):
        return train(self.model, self.parameters, self.tokens, self.lengths, batch=self.batch, steps=self.steps)


TINY = Case.of(2, 3, width=6, heads=2, layers=2, context=5)
"""Two layers, a batch, heads of three elements, and documents longer than the context."""
MICRO = Case.of(1, 3)
"""The sizes of microgpt.py."""
