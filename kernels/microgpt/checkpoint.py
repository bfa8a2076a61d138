"""A run on disk: written whole or not at all, and refused where it is of another run."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spak.kernels.interface import Scalar


@dataclass(frozen=True)
class TrainingState:
    """All that a run goes on from; the types are those of its arithmetic.

    Attributes:
        steps: Steps done.
        parameters: (num_parameters,).
        moments: (2, num_parameters), Adam's averages of the gradients and of their squares.
        losses: (steps,).
        evaluations: (k, 2): steps, and loss on data that is not trained on.
    """

    steps: int
    parameters: np.ndarray
    moments: np.ndarray
    losses: np.ndarray
    evaluations: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))


_ARRAYS = ("parameters", "moments", "losses", "evaluations")


def save_checkpoint(path: Path, state: TrainingState, run: Mapping[str, Scalar]) -> None:
    """Write `state` of the run that `run` describes to `path`, in place of what is there.

    Raises:
        OSError: If it cannot be written; what was there stays.
    """
    arrays: dict[str, Any] = {"run": np.array(json.dumps(dict(run))), **vars(state)}
    written = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with written.open("wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)


def load_checkpoint(path: Path, run: Mapping[str, Scalar]) -> TrainingState:
    """Read what `save_checkpoint` wrote.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no checkpoint, or one of another run; the message says what differs.
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            written = json.loads(str(found["run"]))
            state = TrainingState(int(found["steps"]), **{name: found[name] for name in _ARRAYS if name in found})
    except (ValueError, KeyError, zipfile.BadZipFile, EOFError):
        raise ValueError(f"checkpoint: {path} is not one; give another file") from None
    differs = [
        f"{name} {written.get(name)!r}, not {value!r}" for name, value in run.items() if written.get(name) != value
    ]
    if differs:
        raise ValueError(f"checkpoint: {path} is of another run ({'; '.join(differs)}); give another file")
    return state
