"""What trains a model in steps that a run can stop between; and the reference as such."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from spak.kernels.microgpt.checkpoint import TrainingState
from spak.kernels.microgpt.data import Corpus
from spak.kernels.microgpt.model import Model, learning_rates


class Engine(Protocol):
    """Goes on with a run. Its state is all there is: two engines with the same state do the same from there on."""

    what: str
    """For people: which arithmetic, on what."""

    def advance(self, steps: int) -> None:
        """Train so many steps."""
        ...

    def state(self) -> TrainingState:
        """A copy of where the run is."""
        ...


class TorchEngine:
    """The reference, in float64, on one core of the CPU."""

    what = "torch in float64 on the CPU"

    def __init__(self, model: Model, corpus: Corpus, start: TrainingState, *, batch: int, total: int) -> None:
        """Take up a run of `total` steps at `start`."""
        import torch

        from spak.kernels.microgpt.reference import TorchTraining

        self._corpus, self._batch, self._rates = corpus, batch, learning_rates(total)
        self._training = TorchTraining(model, start.parameters)
        self._training.moments.copy_(torch.as_tensor(start.moments))
        self._training.steps = start.steps
        self._losses = list(start.losses)

    def advance(self, steps: int) -> None:
        """Step by step."""
        import torch

        done, context = self._training.steps, self._training.model.context
        arrays = self._corpus.batches(context, steps, batch=self._batch, first_step=done)
        tokens, lengths = (torch.from_numpy(array).long() for array in arrays)
        for step in range(steps):
            rows = slice(step * self._batch, (step + 1) * self._batch)
            rate = float(self._rates[done + step])
            self._losses.append(float(self._training.step(tokens[rows], lengths[rows], rate)))

    def state(self) -> TrainingState:
        """Float64."""
        training = self._training
        parameters, moments = training.parameters.detach().numpy().copy(), training.moments.numpy().copy()
        return TrainingState(training.steps, parameters, moments, np.array(self._losses))
