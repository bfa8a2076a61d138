"""The plan `resident` as an engine: on a GPU, or on the CPU simulator."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spak.kernels.interface import Scalar
from spak.kernels.microgpt.checkpoint import TrainingState
from spak.kernels.microgpt.data import Corpus
from spak.kernels.microgpt.engines import engine_description, issue
from spak.kernels.microgpt.model import Model

RESIDENT_CONFIGURATION: Mapping[str, Scalar] = {
    "plan": "resident",
    "head_products": "batched",
    "moments": "tiles",
    "backward_weights": "late",
    "num_worker_warps": 8,
    "occupancy": 1,
}
"""But for the steps of a launch, which are those between two reports of the loss."""


class ResidentEngine:
    """The plan `resident`: between two launches the whole state lies in the arrays `parameters` and `moments`."""

    def __init__(
        self, model: Model, corpus: Corpus, start: TrainingState, *, batch: int, total: int, every: int, device: str
    ) -> None:
        """Take up a run of `total` steps at `start`; compiles nothing yet.

        Raises:
            ValueError: If no launch begins at `start`: its steps are no multiple of `every`.
        """
        import torch

        from spak.kernels.microgpt.spec import SPEC, adam_factors

        if start.steps % every and start.steps != total:
            raise ValueError(f"every: the checkpoint has {start.steps} steps, which is no multiple (got {every})")
        self.what = engine_description("resident", device)
        self._configuration = {**RESIDENT_CONFIGURATION, "steps_per_launch": every}
        problem = {**vars(model), "batch": batch, "steps": total}
        self._calls = list(SPEC.calls(problem, self._configuration))
        self._done, self._spec = start.steps, SPEC
        tokens, lengths = corpus.batches(model.context, total, batch=batch)
        given = {
            "initial": start.parameters.astype(np.float32),
            "tokens": tokens,
            "lengths": lengths,
            "rates": adam_factors(total).astype(np.float32),
            "parameters": start.parameters.astype(np.float32),
            "moments": start.moments.astype(np.float32),
            "losses": np.concatenate([start.losses, np.zeros(total - start.steps)]).astype(np.float32),
            "gradients": np.zeros(len(start.parameters), np.float32),
        }
        self._arrays = {name: torch.from_numpy(array).to(device) for name, array in given.items()}

    def advance(self, steps: int) -> None:
        """One launch, which does `steps` steps."""
        first = self._done
        (call,) = [call for call in self._calls if call.scalars[0] == first]
        issue(self._spec, [call], self._arrays, self._configuration)
        self._done += steps

    def state(self) -> TrainingState:
        """Float32."""
        parameters, moments, losses = (
            self._arrays[name].cpu().numpy().copy() for name in ("parameters", "moments", "losses")
        )
        return TrainingState(self._done, parameters, moments, losses[: self._done])
