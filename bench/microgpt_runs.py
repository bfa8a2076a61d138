"""Who trains MicroGPT in the comparison: on the host number by number, in torch and in C, and on the GPU by the plans of the op.

A run takes the corpus, whose documents are shuffled strings, and gives losses, parameters and the first gradients as NumPy
arrays on the host: turning documents into tokens, moving them to the device and its answers back is part of every run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spak.kernels.microgpt import reference
from spak.kernels.microgpt.data import Beginning, begin, lines_of
from spak.kernels.microgpt.port import train_in_c
from spak.kernels.microgpt.reference import Trained
from spak.kernels.microgpt.scalar import train_scalars

C_PORTS = {
    "C, cc -O3": ("-O3",),
    "C, cc -O3 -march=native": ("-O3", "-march=native"),
    "C, cc -O3 -march=native -ffast-math": ("-O3", "-march=native", "-ffast-math"),
}
"""Name -> the compiler's flags; the first is the opponent that the ratios are of, the others are how far it goes."""
TORCH = "torch float64, CPU"
SCALAR = "scalar Python"
OURS = "GPU"
"""The op's default configuration."""


@dataclass(frozen=True)
class Task:
    """What is trained: from where, on `batch` documents a step, for `steps` steps."""

    start: Beginning
    steps: int
    batch: int = 1

    def documents(self) -> tuple[np.ndarray, np.ndarray]:
        """Tokens and lengths of all steps, made from the strings anew."""
        return self.start.corpus.batches(self.start.model.context, self.steps, batch=self.batch)


Runner = Callable[[Task], Trained]


def in_torch(task: Task, *, dtype: Any = None) -> Trained:
    """The reference as it is, eager, on the host."""
    tokens, lengths = task.documents()
    given = (task.start.model, task.start.parameters, tokens, lengths)
    return Trained(*(one.numpy() for one in reference.train(*given, batch=task.batch, steps=task.steps, dtype=dtype)))


def in_c(task: Task, flags: tuple[str, ...]) -> Trained:
    """The C port."""
    given = (task.start.model, task.start.parameters, *task.documents())
    return train_in_c(*given, batch=task.batch, steps=task.steps, flags=flags)


def number_by_number(names: Path, steps: int, core: int) -> float:
    """Seconds of scalar Python on one core; a process of its own calls it."""
    os.sched_setaffinity(0, {core})
    task = Task(begin(lines_of(names)), steps)
    started = time.perf_counter()
    train_scalars(task.start.model, task.start.parameters, *task.documents(), batch=1, steps=steps)
    return time.perf_counter() - started


def on_host() -> dict[str, Runner]:
    """What needs no GPU and takes less than a minute."""
    ports = {name: (lambda task, flags=flags: in_c(task, flags)) for name, flags in C_PORTS.items()}
    return {TORCH: in_torch, **ports}


class PlanRunner:  # pragma: no cover  # needs a GPU: tests/gpu
    """One configuration of the op, captured once: a run fills its inputs, replays all launches and reads what they left."""

    def __init__(
        self, spec: Any, problem: Mapping[str, Any], configuration: Mapping[str, Any], prepare: Callable[..., Any]
    ) -> None:
        """Compile, launch and capture; `prepare` is `CudaTimer.prepare`."""
        self._inputs = spec.make_inputs(problem, seed=1, device="cuda")
        self._outputs = spec.make_outputs(problem, device="cuda")
        self._replay = prepare(lambda: spec.launch(self._inputs, self._outputs, problem, configuration))

    def __call__(self, task: Task) -> Trained:
        """Fill, replay, read back; reading waits for the device."""
        import torch

        from spak.kernels.microgpt.spec import adam_factors

        tokens, lengths = task.documents()
        given = (task.start.parameters.astype(np.float32), tokens, lengths, adam_factors(task.steps).astype(np.float32))
        for array, values in zip(vars(self._inputs).values(), given, strict=True):
            array.copy_(torch.from_numpy(values))
        for one in vars(self._outputs).values():
            one.fill_(float("nan"))  # what a run does not write shows
        self._replay()
        return Trained(*(one.double().cpu().numpy() for one in vars(self._outputs).values()))


def fidelity(got: Trained, exact: Trained) -> dict[str, Any]:
    """How far a run is from the float64 one.

    Returns:
        `max_abs_difference`: of any step's loss. `known_losses`: those that microgpt.py is known by. `parameters_error` and
        `gradients_error`: relative, of the last parameters and the first gradients, as norms. `worst_gradient`: the largest
        relative error of a single gradient that is at least a thousandth of the largest. `zeros_agree`: the first gradients
        are zero exactly where the exact ones are.
    """
    norm = np.linalg.norm
    large = np.abs(exact.gradients) >= 1e-3 * np.abs(exact.gradients).max()
    single = np.abs(got.gradients - exact.gradients)[large] / np.abs(exact.gradients)[large]
    return {
        "max_abs_difference": float(np.abs(got.losses - exact.losses).max()),
        "known_losses": known_losses(got.losses),
        "parameters_error": float(norm(got.parameters - exact.parameters) / norm(exact.parameters)),
        "gradients_error": float(norm(got.gradients - exact.gradients) / norm(exact.gradients)),
        "worst_gradient": float(single.max()),
        "zeros_agree": bool(np.array_equal(got.gradients == 0, exact.gradients == 0)),
    }


def known_losses(losses: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Loss at step 1, mean of steps 51 to 100, and at the last step, of at least 100."""
    return {
        "step 1": float(losses[0]),
        "steps 51 to 100": float(np.mean(losses[50:100])),
        f"step {len(losses)}": float(losses[-1]),
    }
