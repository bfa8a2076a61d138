"""Compiles what libraries compile at a first call, in processes that leave it on disk, before anything is timed."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from bench import flash_attention, flex
from spak.kernels.attention.inputs import draw
from spak.kernels.interface import Problem
from spak.tuner.backend.gpu.orphan import end_with_parent

LIMIT_S = 240.0
ROWS = 512
"""Sequence to compile flash-attn-4 with: its code serves every length."""


@dataclass(frozen=True)
class Given:
    """Inputs with the gradient of the output, all (B, H, S, D)."""

    q: Any
    k: Any
    v: Any
    do: Any


def given(problem: Problem) -> Given:
    """Standard normal ones on the GPU."""
    import torch

    inputs = draw("normal", problem, seed=0, device="cuda")
    return Given(inputs.q, inputs.k, inputs.v, torch.randn_like(inputs.q))


def compile_flash_attention(problem: Problem, *, backward: bool) -> None:
    """Run it once on a short sequence."""
    import torch

    short = {**problem, "batch": 1, "seq_q": ROWS, "seq_kv": ROWS}
    inputs = given(short)
    if backward:
        flash_attention.backward(inputs, short)()
        flash_attention.backward(inputs, short, deterministic=True)()
    else:
        flash_attention.forward(inputs, short)()
    torch.cuda.synchronize()


def compile_flex(problem: Problem, *, backward: bool) -> None:
    """Run it once at the size."""
    import torch

    inputs = given(problem)
    (flex.backward if backward else flex.forward)(inputs, problem)()
    torch.cuda.synchronize()


class LibraryCompilation:
    """Under way from its start; `wait` says what failed."""

    def __init__(self, problems: Sequence[Problem], *, backward: bool, workers: int, with_flex: bool) -> None:
        """Start: a process for each kind of problem of flash-attn-4, then one for each size of FlexAttention."""
        self._started = time.monotonic()
        tasks: dict[str, tuple[Callable[..., None], Problem]] = {}
        if flash_attention.version():
            flash_attention.keep_compiled()
            tasks |= {f"fa4 {flash_attention.kind(p)}": (compile_flash_attention, p) for p in problems}
        if with_flex:
            tasks |= {f"flex {number}": (compile_flex, p) for number, p in enumerate(problems)}
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(
            max(1, min(workers, len(tasks))), mp_context=context, initializer=end_with_parent
        )
        self._futures = {
            name: self._pool.submit(do, dict(problem), backward=backward) for name, (do, problem) in tasks.items()
        }

    def wait(self) -> Mapping[str, str]:
        """Until all are done or the limit is over: what failed, and why."""
        failed: dict[str, str] = {}
        for name, future in self._futures.items():
            try:
                future.result(timeout=max(0.1, LIMIT_S - (time.monotonic() - self._started)))
            except Exception as error:  # noqa: BLE001  # what does not compile is reported, whatever it raises
                failed[name] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
        self._pool.shutdown(wait=all(future.done() for future in self._futures.values()), cancel_futures=True)
        return failed
