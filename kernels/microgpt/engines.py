"""What trains a model in steps that a run can stop between; and the reference as such."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from spak.kernels.cutile import DTYPES, Call, CutileSpec
from spak.kernels.interface import Configuration
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


def issue(kernels: CutileSpec, calls: Sequence[Call], arrays: Mapping[str, Any], configuration: Configuration) -> None:
    """Launch on the GPU that `arrays` are on, or run on the simulator if they are on the CPU; what is missing is scratch."""
    import torch

    if next(iter(arrays.values())).is_cuda:  # pragma: no cover  # needs a GPU: tests/gpu
        kernels.issue(calls, arrays, configuration)
        return
    from spak.kernels import sim

    known = dict(arrays)
    for call in calls:
        for name, array in call.arrays.items():
            if name not in known:
                known[name] = torch.empty(array.shape, dtype=getattr(torch, DTYPES[array.dtype]))
        given = [known[name].view(array.shape) for name, array in call.arrays.items()]
        kernel = kernels.kernel(call.function, configuration)
        sim.launch(None, call.grid, kernel, (*given, *call.scalars, *call.constants))


def engine_description(plan: str, device: str) -> str:
    """What an engine of cuTile kernels says of itself."""
    return f"cuTile kernels on the {'GPU' if device == 'cuda' else 'CPU simulator, which is slow'}: plan {plan}"


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
