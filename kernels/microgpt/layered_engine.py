"""The plan `layered` as an engine: on a GPU, or on the CPU simulator."""

from __future__ import annotations

import numpy as np

from spak.kernels.microgpt.checkpoint import TrainingState
from spak.kernels.microgpt.data import Corpus
from spak.kernels.microgpt.engines import engine_description
from spak.kernels.microgpt.layered.launch import LayeredTraining
from spak.kernels.microgpt.model import Model


class LayeredEngine:
    """The plan `layered`: on a GPU its first step is launched, and the others replay it as a graph."""

    def __init__(
        self, model: Model, corpus: Corpus, start: TrainingState, *, batch: int, total: int, device: str
    ) -> None:
        """Take up a run of `total` steps at `start`; compiles nothing yet."""
        import torch

        from spak.kernels.microgpt.spec import adam_factors

        self.what = engine_description("layered", device)
        tokens, lengths = corpus.batches(model.context, total, batch=batch)
        given = {
            "parameters": start.parameters.astype(np.float32),
            "tokens": tokens,
            "lengths": lengths,
            "schedule": adam_factors(total).astype(np.float32),
        }
        arrays = {name: torch.tensor(array, device=device) for name, array in given.items()}
        self._training, self._done = LayeredTraining(model, arrays, batch), start.steps
        self._arrays, self._step = self._training.arrays, self._training.step
        for name, moment in zip(("m", "v"), start.moments, strict=True):
            self._arrays[name].copy_(torch.as_tensor(moment))
        self._arrays["losses"][: start.steps] = torch.as_tensor(start.losses)
        self._arrays["step"].fill_(start.steps)

    def advance(self, steps: int) -> None:
        """Step by step."""
        for _ in range(steps):
            self._step()
            if self._arrays["losses"].is_cuda and self._step == self._training.step:  # pragma: no cover  # needs a GPU
                self._step = self._training.captured().replay
        self._done += steps

    def state(self) -> TrainingState:
        """Float32."""
        found = {name: self._arrays[name].cpu().numpy().copy() for name in ("parameters", "m", "v", "losses")}
        moments = np.stack([found["m"], found["v"]])
        return TrainingState(self._done, found["parameters"], moments, found["losses"][: self._done])
