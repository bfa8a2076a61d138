"""A training run: what it begins with, its steps with reports and checkpoints, and what stops it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spak.kernels.interface import Scalar
from spak.kernels.microgpt.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from spak.kernels.nanogpt.data import TokenData
from spak.kernels.nanogpt.operators import Operators, Tensor
from spak.kernels.nanogpt.parallel import average_over_workers
from spak.kernels.nanogpt.parameters import GptConfig, initial_gpt_parameters, num_gpt_parameters
from spak.kernels.nanogpt.passes import gpt_forward
from spak.kernels.nanogpt.settings import TrainingSettings
from spak.kernels.nanogpt.surroundings import TrainingSurroundings, plain_operators
from spak.kernels.nanogpt.torch_operators import torch_operators
from spak.kernels.nanogpt.training_step import NotFiniteError, StepSettings, TrainingStep

_TRAINING, _VALIDATION, _DROPOUT = range(3)
"""What a seed is for, beside the run's and the step: no two draw alike."""


@dataclass(frozen=True)
class TrainingReport:
    """What is told every so many steps.

    Attributes:
        steps: Done.
        mean_loss: Of the steps since the last report, in nats.
        validation_loss: Mean over the validation batches; None: not evaluated here.
        norm: Of the last step's gradients, before clipping.
        tokens_per_second: Since the last report; None: nothing but the first step, which prepares, was timed.
        mfu: Share of the GPU's peak that the model's arithmetic reaches; None: no peak is known.
    """

    steps: int
    mean_loss: float
    validation_loss: float | None
    norm: float
    tokens_per_second: float | None
    mfu: float | None


class TrainingRun:
    """A run, taken up where its checkpoint ends."""

    def __init__(
        self, settings: TrainingSettings, data: TokenData, surroundings: TrainingSurroundings, checkpoint: Path | None
    ) -> None:
        """Read the checkpoint or draw weights, and choose what computes; nothing is trained yet.

        Raises:
            OSError: If the checkpoint cannot be read.
            ValueError: If there is no GPU and one is asked for, the batch cannot be shared by the processes, or the
                checkpoint is of another run.
        """
        self.settings, self.data, self._checkpoint, self._world = settings, data, checkpoint, surroundings
        self.config = settings.model(data.vocab)
        self.device, dtype = place_and_dtype(settings)
        if settings.deterministic:
            torch.use_deterministic_algorithms(True)  # the only way to call it
        self.description: dict[str, Scalar] = {**settings.identity, "vocab": data.vocab, "data": data.digest}
        self._share = surroundings.worker.share(settings.batch)
        shape = StepSettings(
            settings.batch // surroundings.worker.count,
            settings.context,
            settings.accumulation,
            settings.dropout,
            settings.constants,
            dtype,
            graph=self.device == "cuda",
        )
        own = settings.operators == "torch" or settings.deterministic
        chosen = plain_operators if own else surroundings.operators
        self.operators = _with_dropout(chosen(self.config, shape, _current(self.device)), settings.dropout)
        state = self._begun()
        parameters = torch.as_tensor(state.parameters).to(self.device, copy=True)
        factors = torch.from_numpy(settings.factors())
        self.step = TrainingStep(self.config, self.operators, parameters, factors, shape, self._reduce)
        self.step.moments.copy_(torch.as_tensor(state.moments))
        self.step.set_step(state.steps)
        self.done, self.evaluations = state.steps, [(int(step), float(loss)) for step, loss in state.evaluations]
        self.losses = np.array(state.losses, np.float64)

    @property
    def _reduce(self) -> Callable[[Tensor], None] | None:
        worker = self._world.worker
        return partial(average_over_workers, worker) if worker.count > 1 else None

    def _begun(self) -> TrainingState:
        path = self._checkpoint
        if path is not None and path.exists():
            return load_checkpoint(path, self.description)
        if path is not None and not path.parent.is_dir():
            raise ValueError(f"checkpoint: no folder {path.parent}")
        flat = initial_gpt_parameters(self.config, self.settings.seed)
        return TrainingState(0, flat.numpy(), np.zeros((2, len(flat)), np.float32), np.zeros(0))

    def __iter__(self) -> TrainingRun:
        return self

    def __next__(self) -> TrainingReport:
        """Train to the next report; a checkpoint that is due is written before it is told.

        Raises:
            NotFiniteError: If a loss or gradient is not finite; the message has the step and the tensor.
            OSError: If the checkpoint cannot be written.
        """
        settings, before = self.settings, self.done
        if before >= settings.steps:
            raise StopIteration
        target = min(settings.steps, (before // settings.every + 1) * settings.every)
        self._advance(1)  # compiles, captures
        self._wait()
        start = self._world.seconds()
        self._advance(target - before - 1)
        self._wait()
        spent = self._world.seconds() - start
        rows = self.step.history()[before:target].double().numpy()
        self._refuse_not_finite(rows, before)
        self.losses = np.concatenate((self.losses, rows[:, 0]))
        validation = self._evaluated_and_kept()
        rate = (target - before - 1) * self._tokens / spent if target > before + 1 else None
        return TrainingReport(
            self.done, float(rows[:, 0].mean()), validation, float(rows[-1, 1]), rate, self._mfu(rate)
        )

    @property
    def _tokens(self) -> int:
        return self.settings.batch * self.settings.context * self.settings.accumulation

    def _mfu(self, tokens_per_second: float | None) -> float | None:
        if self.device != "cuda" or tokens_per_second is None:
            return None
        peak = self._world.peak_tflops(torch.cuda.get_device_name())  # pragma: no cover  # needs a GPU: tests/gpu
        return (  # pragma: no cover  # needs a GPU: tests/gpu
            tokens_per_second * flops_per_token(self.config, self.settings.context) / (peak * 1e12) if peak else None
        )

    def _wait(self) -> None:
        if self.device == "cuda":  # pragma: no cover  # needs a GPU: tests/gpu
            torch.cuda.synchronize()

    def _advance(self, steps: int) -> None:
        self.step.prepared()
        for _ in range(steps):
            self._seed_dropout(self.done)
            self.step.run(self.batches(self.done))
            self.done += 1

    def _seed_dropout(self, step: int) -> None:
        """A resumed run drops what the run would have dropped: nothing but seed and step decide it."""
        if self.settings.dropout:
            drawn = np.random.default_rng((self.settings.seed, _DROPOUT, step, self._world.worker.rank)).integers(
                1 << 62
            )
            torch.manual_seed(int(drawn))

    def batches(self, step: int) -> Sequence[Tensor]:
        """The micro batches of a step, which its number and the seed decide."""
        seeds = [(self.settings.seed, _TRAINING, step, micro) for micro in range(self.settings.accumulation)]
        return [self._shared(self._drawn("train", seed)) for seed in seeds]

    def _shared(self, batch: Tensor) -> Tensor:
        return batch if self._world.worker.count == 1 else batch[:, self._share].contiguous()

    def _drawn(self, which: str, seeds: tuple[int, ...]) -> Tensor:
        batch = self.data.batch(which, seeds, self.settings.batch, self.settings.context)
        return batch.pin_memory() if self.device == "cuda" else batch

    def _evaluated_and_kept(self) -> float | None:
        """Evaluate and write the checkpoint, where they are due; the validation loss."""
        settings, loss = self.settings, None
        if self.done % settings.evaluate_every and self.done != settings.steps:
            return None
        if settings.evaluation_batches:
            loss = self.validation_loss()
            self.evaluations.append((self.done, loss))
        if self._checkpoint is not None and self._world.worker.rank == 0:
            save_checkpoint(self._checkpoint, self.state(), self.description)
        return loss

    def validation_loss(self) -> float:
        """Mean over `evaluation_batches` of the validation tokens, the same every time; nothing is dropped."""
        net, losses = replace(self.step.network, dropout=0.0), []
        with torch.no_grad():
            for number in range(self.settings.evaluation_batches):
                batch = self._drawn("validation", (self.settings.seed, _VALIDATION, number)).to(self.device)
                logits = gpt_forward(net, batch[0])[0][:, : self.config.vocab]
                losses.append(self.operators.cross_entropy(logits, batch[1].view(-1), 1.0).mean())
        return float(torch.stack(losses).mean())

    def _refuse_not_finite(self, rows: np.ndarray, before: int) -> None:
        bad = np.flatnonzero(~np.isfinite(rows).all(1))
        if len(bad):
            step = before + int(bad[0])
            self._seed_dropout(step)
            found = self.step.failure(self.batches(step))
            raise NotFiniteError(
                f"step {step + 1}: {found} is not finite; no parameter was changed by this step or after it"
            )

    def state(self) -> TrainingState:
        """A copy of where the run is."""
        state = self.step.state
        evaluations = np.array(self.evaluations, np.float64).reshape(-1, 2)
        parameters, moments = state.parameters.cpu().numpy().copy(), self.step.moments.cpu().numpy().copy()
        return TrainingState(self.done, parameters, moments, self.losses, evaluations)


def _with_dropout(operators: Operators, dropout: float) -> Operators:
    """PyTorch's attention where weights are dropped, for no kernel drops; and a reason that says so."""
    if not dropout:
        return operators
    plain, why = torch_operators(), f"PyTorch: drops weights with probability {dropout:g}, which no kernel does"
    reasons = {**operators.reasons, "attention": why, "attention_backward": why}
    return replace(operators, attention=plain.attention, attention_backward=plain.attention_backward, reasons=reasons)


def _current(device: str) -> Any:
    """The torch device; of several GPUs this process's."""
    return torch.device(device, torch.cuda.current_device()) if device == "cuda" else torch.device(device)


def place_and_dtype(settings: TrainingSettings) -> tuple[str, Any]:
    """Device and dtype of activations, where either may be left open.

    Raises:
        ValueError: If a GPU is asked for and there is none.
    """
    there = torch.cuda.is_available()
    if settings.device == "cuda" and not there:
        raise ValueError("device: torch sees no GPU (got cuda); set device=cpu, or leave it out")
    device = "cuda" if there and settings.device != "cpu" else "cpu"
    name = settings.dtype if settings.dtype != "auto" else {"cuda": "bfloat16", "cpu": "float32"}[device]
    return device, getattr(torch, name)


def flops_per_token(config: GptConfig, length: int) -> float:
    """Of matrix products, forward and backward: 6 a parameter, and 12 layers width T for attention, its mask not left out.

    Source: nanoGPT, `estimate_mfu`, after PaLM (arXiv:2204.02311), appendix B; positions are no parameters there.
    """
    positions = config.context * config.width
    return 6.0 * (num_gpt_parameters(config) - positions) + 12.0 * config.layers * config.width * length
