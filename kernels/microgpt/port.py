"""MicroGPT in C: compiles `port.c` with the machine's C compiler and runs it; float64, on one core."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from spak.kernels.microgpt.model import ADAM_EPSILON, BETA1, BETA2, EPSILON, EXPANSION, Model, learning_rates
from spak.kernels.microgpt.reference import Trained

SOURCE = Path(__file__).with_name("port.c")
FLAGS = ("-O3",)
"""What the compiler is asked for unless told otherwise; arithmetic is as written, in IEEE double."""


class _Model(ctypes.Structure):
    """`Model` of port.c."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("vocab", "width", "layers", "heads", "context", "hidden")),
        *((name, ctypes.c_double) for name in ("epsilon", "beta1", "beta2", "adam_epsilon")),
    )


@cache
def compiled(flags: tuple[str, ...] = FLAGS, compiler: str = "cc") -> Any:
    """The function `microgpt_train`, compiled once a process.

    Raises:
        RuntimeError: If there is no such compiler, or it refuses; the message has its last line.
    """
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "port.so"
        command = [compiler, *flags, "-std=gnu11", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-lm"]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except FileNotFoundError:
            raise RuntimeError(f"no C compiler {compiler!r} on the path") from None
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"{compiler}: {error.stderr.strip().splitlines()[-1]}") from None
        return ctypes.CDLL(str(library)).microgpt_train


def train_in_c(
    model: Model,
    parameters: np.ndarray,
    tokens: np.ndarray,
    lengths: np.ndarray,
    *,
    batch: int,
    steps: int,
    flags: tuple[str, ...] = FLAGS,
) -> Trained:
    """What `spak.kernels.microgpt.reference.train` does, on one core; NumPy, float64.

    Raises:
        RuntimeError: If it cannot be compiled.
        MemoryError: If the system has not enough memory.
    """
    sizes = _Model(
        model.vocab, model.width, model.layers, model.heads, model.context, EXPANSION * model.width,
        EPSILON, BETA1, BETA2, ADAM_EPSILON,
    )  # fmt: skip
    trained = np.array(parameters, np.float64)
    moments, losses, gradients = np.zeros((2, trained.size)), np.empty(steps), np.empty(trained.size)
    arrays: list[np.ndarray] = [np.ascontiguousarray(one, np.int32) for one in (tokens, lengths)]
    arrays += [learning_rates(steps), trained, moments, losses, gradients]
    pointers = [ctypes.c_void_p(one.ctypes.data) for one in arrays]
    if compiled(flags)(ctypes.byref(sizes), batch, steps, 0, *pointers):
        raise MemoryError("port.c: not enough memory for this model")
    return Trained(losses, trained, gradients)
