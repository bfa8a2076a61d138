"""The plan `sequence` as an engine: on a GPU, or on the CPU simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spak.kernels.cutile import DTYPES, Call
from spak.kernels.interface import Scalar
from spak.kernels.microgpt.checkpoint import TrainingState
from spak.kernels.microgpt.data import Corpus
from spak.kernels.microgpt.engines import engine_description, issue
from spak.kernels.microgpt.model import Model

SEQUENCE_CONFIGURATION: Mapping[str, Scalar] = {
    "plan": "sequence",
    "products": "fp32",
    "tile_m": 64,
    "tile_n": 64,
    "tile_t": 64,
    "tile_w": 64,
    "splits": 8,
    "num_worker_warps": 8,
    "occupancy": 1,
}
"""The op's default, in this plan."""


class SequenceEngine:
    """The plan `sequence`: weights and moments lie in a layout of its own, and are brought there and back by its own launches."""

    def __init__(
        self, model: Model, corpus: Corpus, start: TrainingState, *, batch: int, total: int, device: str
    ) -> None:
        """Take up a run of `total` steps at `start`; on a GPU the first launches compile."""
        import torch

        from spak.kernels.microgpt.spec import SPEC, adam_factors

        self.what = engine_description("sequence", device)
        self._spec, self._done, self._before = SPEC, start.steps, np.asarray(start.losses, np.float32)
        self._plan = SPEC.sequence_plan({**vars(model), "batch": batch, "steps": total}, SEQUENCE_CONFIGURATION)
        tokens, lengths = corpus.batches(model.context, total, batch=batch)
        given = {
            "initial": start.parameters.astype(np.float32),
            "tokens": tokens,
            "lengths": lengths,
            "rates": adam_factors(total).astype(np.float32),
        }
        self._arrays = {name: torch.from_numpy(array).to(device) for name, array in given.items()}
        self._arrays |= {
            name: torch.zeros(array.shape, dtype=getattr(torch, DTYPES[array.dtype]), device=device)
            for name, array in self._plan.every.items()
            if name not in given
        }
        self._issue([self._plan.begin, self._plan.clear])
        for name, moment in zip(("means", "squares"), start.moments.astype(np.float32), strict=True):
            unused = {other: torch.empty_like(self._arrays["means"]) for other in ("means", "squares")}
            initial = torch.from_numpy(moment).to(device)
            self._issue([self._plan.begin], **unused, initial=initial, weights=self._arrays[name])

    def advance(self, steps: int) -> None:
        """The launches of each step."""
        for step in range(self._done, self._done + steps):
            self._issue(list(self._plan.step(step)))
        self._done += steps

    def state(self) -> TrainingState:
        """Float32."""
        import torch

        self._issue([self._plan.end, self._plan.losses])
        moments = [torch.empty_like(self._arrays["parameters"]) for _ in range(2)]
        flat = {"parameters": moments[0], "gradients": moments[1]}
        self._issue([self._plan.end], weights=self._arrays["means"], gradient=self._arrays["squares"], **flat)
        losses = self._arrays["losses"].cpu().numpy()[len(self._before) : self._done]
        return TrainingState(
            self._done,
            self._arrays["parameters"].cpu().numpy().copy(),
            torch.stack(moments).cpu().numpy(),
            np.concatenate([self._before, losses]),
        )

    def _issue(self, calls: Sequence[Call], **others: Any) -> None:
        """With other arrays in the place of the run's own."""
        issue(self._spec, calls, {**self._arrays, **others}, SEQUENCE_CONFIGURATION)
