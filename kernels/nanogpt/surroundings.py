"""What a training run is told of the world: who chooses its kernels, what a GPU can do, and a clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from spak.kernels.nanogpt.operators import Operators
from spak.kernels.nanogpt.parallel import TrainingWorker
from spak.kernels.nanogpt.parameters import GptConfig

if TYPE_CHECKING:
    from spak.kernels.nanogpt.training_step import StepSettings


class OperatorSource(Protocol):
    """Chooses what computes."""

    def __call__(self, config: GptConfig, step: StepSettings, device: Any) -> Operators:
        """Operators for this model, these shapes and this torch device, with their `reasons`."""
        ...


@dataclass(frozen=True)
class TrainingSurroundings:
    """What a run is told of the world.

    Attributes:
        operators: Chooses kernels.
        peak_tflops: Dense tensor-core peak for bf16 of the GPU of this name, in TFLOPS; None: unknown.
        seconds: A clock.
        worker: Which of the processes that train together this is.
    """

    operators: OperatorSource
    peak_tflops: Callable[[str], float | None]
    seconds: Callable[[], float] = time.perf_counter
    worker: TrainingWorker = field(default_factory=TrainingWorker)


def plain_operators(config: GptConfig, step: StepSettings, device: Any) -> Operators:
    """PyTorch's, for whatever is asked."""
    from spak.kernels.nanogpt.torch_operators import torch_operators

    del config, step, device
    return torch_operators()
