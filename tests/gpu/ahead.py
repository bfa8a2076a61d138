"""Compiles kernels on all cores, each once, before the tests that launch them."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from spak.kernels.interface import Configuration, Problem
from spak.kernels.registry import spec
from spak.tuner.backend.gpu.cubins import CubinStore, compile_into, cubin_key

SOURCE = "tests"
"""In the place of a hash of the source: the store is new in each session."""

Launch = tuple[str, Problem, Configuration]
"""Op, problem and configuration of a launch."""


def compile_ahead(launches: Iterable[Launch], arch: str, folder: Path) -> Sequence[str]:
    """Fill `folder` with the cubins of all launches; what did not compile, which is found again where it is launched."""
    wanted = {
        cubin_key(job.kernel, job.signature, arch, SOURCE): (launch, number)
        for launch in launches
        for number, job in enumerate(spec(launch[0]).compile_jobs(*launch[1:]))
    }
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        pending = [pool.submit(_compiled, launch, number, arch, folder) for launch, number in wanted.values()]
        return [reason for one in pending if (reason := one.result())]


def _compiled(launch: Launch, number: int, arch: str, folder: Path) -> str:
    job = spec(launch[0]).compile_jobs(*launch[1:])[number]
    try:
        compile_into(CubinStore(folder), job, arch, SOURCE)
    except Exception as error:  # noqa: BLE001  # whatever the compiler raises
        return f"{launch}: {type(error).__name__}: {error}"
    return ""
