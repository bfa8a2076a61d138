"""A training step whose every buffer stands before it runs: as one CUDA graph on a GPU, plainly on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from spak.kernels.nanogpt.operators import AdamwConstants, AdamwState, Operators, Tensor
from spak.kernels.nanogpt.parameters import GptConfig, ParameterLayout
from spak.kernels.nanogpt.passes import Network, gpt_backward, gpt_forward, named_activations

WARMUPS = 2
"""Steps before the capture that change nothing: kernels are loaded, and libraries take their workspaces."""


@dataclass(frozen=True)
class StepSettings:
    """What a step is, beside the model.

    Attributes:
        batch: Sequences of a micro batch.
        length: Positions of a sequence.
        accumulation: Micro batches of a step.
        dropout: Probability.
        constants: Of AdamW.
        dtype: Of activations, a torch dtype.
        graph: Capture the step; needs a GPU.
    """

    batch: int
    length: int
    accumulation: int = 1
    dropout: float = 0.0
    constants: AdamwConstants = field(default_factory=AdamwConstants)
    dtype: Any = torch.float32
    graph: bool = False


class NotFiniteError(ArithmeticError):
    """A loss or a gradient was not finite: the message has the step and the tensor."""


class TrainingStep:
    """Parameters, optimiser and buffers on a device; `run` does one step.

    Nothing is read by the host until `history` is. A step whose loss or norm is not finite changes no parameter, nor does
    any after it.

    Attributes:
        state: The optimiser's buffers; `state.parameters` is the model.
        network: The model over views of them.
        gradients: (size,) A, of the last micro batch.
    """

    def __init__(
        self,
        config: GptConfig,
        operators: Operators,
        parameters: Tensor,
        factors: Tensor,
        settings: StepSettings,
        reduce: Callable[[Tensor], None] | None = None,
    ) -> None:
        """Take up training.

        Args:
            config: Sizes.
            operators: What computes.
            parameters: (size,), on the device of the run; trained in place.
            factors: (steps, 3), those of AdamW for every step of the run, from the first.
            settings: What a step is.
            reduce: Makes the gradients (size,), and the loss (1,), of all processes one, in place; may be captured.
        """
        self.config, self.settings, self.layout = config, settings, ParameterLayout.of(config)
        self._operators, self._reduce, device = operators, reduce, parameters.device
        copy = parameters.to(settings.dtype) if settings.dtype != parameters.dtype else None
        moments = torch.zeros((2, *parameters.shape), dtype=parameters.dtype, device=device)
        self.state = AdamwState(parameters, copy, moments[0], moments[1], self.layout.decayed)
        self.moments = moments
        views = self.layout.views(parameters)
        weights = views if copy is None else self.layout.views(copy)
        self.network = Network(config, operators, views, weights, settings.dtype, settings.dropout)
        self.gradients = torch.zeros(self.layout.size, dtype=settings.dtype, device=device)
        self._views = self.layout.views(self.gradients)
        self._total = torch.zeros_like(parameters) if settings.accumulation > 1 else None
        self._batch = torch.zeros((2, settings.batch, settings.length), dtype=torch.int32, device=device)
        self._factors = factors.to(device=device, dtype=parameters.dtype)
        self._step = torch.zeros(1, dtype=torch.int64, device=device)
        self._loss = torch.zeros(1, dtype=parameters.dtype, device=device)
        self._failed = torch.zeros(1, dtype=torch.bool, device=device)
        self._history = torch.full((len(factors), 2), torch.nan, dtype=parameters.dtype, device=device)
        self._graphs: tuple[Callable[[], None], Callable[[], None]] | None = None

    def set_step(self, step: int) -> None:
        """Go on after `step` steps; whoever calls it has written `state`'s parameters and `moments`."""
        self._step.fill_(step)
        if self.state.copy is not None:
            self.state.copy.copy_(self.state.parameters)

    def history(self) -> Tensor:
        """(steps, 2) on the CPU: loss, and norm of the gradients before clipping, of each step done; others NaN."""
        return self._history.cpu()

    def run(self, batches: Sequence[Tensor]) -> None:
        """One step over as many (2, batch, length) int32 tensors of tokens and targets as `accumulation` says.

        Raises:
            ValueError: If these are not as many, or of another shape or type.
        """
        self._refuse(batches)
        micro, update = self.prepared()
        for batch in batches:
            self._batch.copy_(batch, non_blocking=True)
            micro()
        update()

    def prepared(self) -> tuple[Callable[[], None], Callable[[], None]]:
        """Micro batch and update, captured at the first call; warming up draws random numbers, so whoever seeds does it after."""
        if self._graphs is None:
            self._graphs = self._captured() if self.settings.graph else (self._micro, self._update)
        return self._graphs

    def _refuse(self, batches: Sequence[Tensor]) -> None:
        if len(batches) != self.settings.accumulation:
            raise ValueError(f"batches: must be {self.settings.accumulation} (got {len(batches)})")
        for batch in batches:
            if batch.dtype != torch.int32 or batch.shape != self._batch.shape:
                wanted = f"int32 {tuple(self._batch.shape)}"
                raise ValueError(f"batches: must be {wanted} (got {batch.dtype} {tuple(batch.shape)})")

    def _micro(self) -> None:
        logits, tape = gpt_forward(self.network, self._batch[0])
        scale = 1 / (self.settings.accumulation * len(logits))
        losses = self._operators.cross_entropy(logits[:, : self.config.vocab], self._batch[1].view(-1), scale)
        self._loss += losses.sum() * scale
        gpt_backward(self.network, tape, logits, self._views)
        if self._total is not None:
            self._total += self.gradients

    def _update(self) -> None:
        gradients = self.gradients if self._total is None else self._total
        if self._reduce is not None:
            self._reduce(gradients)
            self._reduce(self._loss)  # all processes go on, or none does
        norm = self._operators.gradient_norm(gradients)
        good = norm.isfinite() & self._loss.isfinite() & ~self._failed
        norm = torch.where(good, norm, torch.nan)
        self._apply(gradients, norm)
        self._failed.copy_(~good)
        self._history.index_copy_(0, self._step, torch.stack((self._loss, norm.to(self._loss.dtype)), 1))
        self._step += 1
        self._clear()

    def _apply(self, gradients: Tensor, norm: Tensor) -> None:
        factors = self._factors.index_select(0, self._step)[0]
        self._operators.adamw(self.state, gradients, norm, factors, self.settings.constants)

    def _clear(self) -> None:
        self._loss.zero_()
        if self._total is not None:
            self._total.zero_()

    def _captured(self) -> tuple[Callable[[], None], Callable[[], None]]:  # pragma: no cover  # needs a GPU: tests/gpu
        """Micro batch and update as CUDA graphs; with one micro batch a step, one graph of both."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARMUPS):
                self._micro()
                self._apply(
                    self.gradients if self._total is None else self._total, torch.full_like(self._loss, torch.nan)
                )
                if self._reduce is not None:
                    self._reduce(self.gradients if self._total is None else self._total)
                self._clear()
        torch.cuda.current_stream().wait_stream(side)
        if self.settings.accumulation == 1:
            return _graph(self._micro, self._update), lambda: None
        return _graph(self._micro), _graph(self._update)

    def failure(self, batches: Sequence[Tensor]) -> str:
        """Which tensor is the first that is not finite, in a step over `batches` from the present state; changes nothing."""
        for name, view in self.network.parameters.items():
            if not view.isfinite().all():
                return f"parameter {name}"
        for batch in batches:
            given = batch.to(self.gradients.device)
            logits, tape = gpt_forward(self.network, given[0])
            for name, tensor in (*named_activations(tape), ("the logits", logits[:, : self.config.vocab])):
                if not tensor.isfinite().all():
                    return name
            self._operators.cross_entropy(logits[:, : self.config.vocab], given[1].view(-1), 1 / len(logits))
            gpt_backward(self.network, tape, logits, self._views)
            for name in reversed(self._views):
                if not self._views[name].isfinite().all():
                    return f"the gradient of {name}"
        return "no tensor when it was run again"


def _graph(*parts: Callable[[], None]) -> Callable[[], None]:  # pragma: no cover  # needs a GPU: tests/gpu
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for part in parts:
            part()
    replay: Callable[[], None] = graph.replay
    return replay
