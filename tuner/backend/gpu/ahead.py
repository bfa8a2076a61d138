"""Compiles on all cores ahead of the measuring worker, so that the GPU never waits for more than the first kernels."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from spak.kernels.own.launches import KernelLanguage
from spak.kernels.registry import resolve_spec
from spak.kg.model.base import Configuration, ProblemSize
from spak.kg.model.run import Failure
from spak.tuner.backend.base import exception_failure
from spak.tuner.backend.compile.protocol import disk_fault
from spak.tuner.backend.compile.toolchain import cutile_versions
from spak.tuner.backend.compile.triton_compiler import triton_toolchain
from spak.tuner.backend.gpu.cubins import CubinStore, compile_into
from spak.tuner.backend.gpu.orphan import end_with_parent
from spak.tuner.errors import TunerError

NO_COMPILER_PROCESS = (
    "the processes that compile ended before they had compiled anything or while they did: a script that searches starts "
    'processes that import it, so that what it does has to stand below `if __name__ == "__main__":`; if it does, '
    "memory may be short"
)


END_S = 10
"""Seconds that a process has to end its compiler: what does not answer to that, as it hangs in machine code, is killed."""

_Called = TypeVar("_Called")


@dataclass(frozen=True)
class CubinTarget:
    """What all compilations of a search share; `spec` is where the kernel's spec is, as `resolve_spec` takes it.

    Attributes:
        compiler: What compiled the cubins, as `compiler_string` says there; empty: the compiler here.
    """

    spec: str
    arch: str
    cubins: Path
    source_sha256: str
    timeout_s: float = 120.0
    language: KernelLanguage = "cutile"
    compiler: str = ""


@dataclass(frozen=True)
class CompiledFunctions:
    """Keys of the functions of one configuration, the hot one first; or why it did not compile."""

    keys: tuple[str, ...] = ()
    failure: Failure | None = None
    milliseconds: float = 0.0


class CompilerProcesses:
    """Processes that compile, for whichever target: what one has imported serves the next target too."""

    def __init__(self, workers: int) -> None:
        """Compile in so many processes; none starts yet."""
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)
        self._given: set[Future[Any]] = set()

    def start(
        self, target: CubinTarget, problem: ProblemSize, configuration: Configuration
    ) -> Future[CompiledFunctions]:
        """Compile; does not wait.

        Raises:
            BrokenProcessPool: If the compiling processes have ended.
        """
        return self.ask(compile_target, target, dict(problem), dict(configuration))

    def ask(self, what: Callable[..., _Called], *arguments: object) -> Future[_Called]:
        """Have one of them call `what`, which it can import; does not wait.

        Raises:
            BrokenProcessPool: If the compiling processes have ended.
        """
        given = self._pool.submit(what, *arguments)
        self._given = {one for one in self._given if not one.done()} | {given}
        return given

    def close(self) -> None:
        """Drop what has not compiled; safe to call twice."""
        processes = dict(self._pool._processes or {})  # noqa: SLF001  # Python 3.14 has `terminate_workers`
        under_way = any(not future.done() for future in self._given)
        self._pool.shutdown(wait=not under_way, cancel_futures=True)
        for process in processes.values() if under_way else ():
            for _ in range(END_S):  # each time it gives up what it compiles, of which it may have taken more than one
                if process.is_alive():
                    process.terminate()
                    process.join(1.0)
            process.kill()


class AheadCompiler:
    """Compiles for one target. What is in the store, from another problem size or search, is not compiled again."""

    def __init__(self, target: CubinTarget, *, workers: int) -> None:
        """Compile for `target` in `workers` processes; none starts yet."""
        self._target = target
        self.toolchain: Mapping[str, str] = versions_of(target.language)
        self._processes = CompilerProcesses(workers)
        self._asked: dict[tuple[object, ...], Future[CompiledFunctions]] = {}

    def start(self, problem: ProblemSize, configuration: Configuration) -> Future[CompiledFunctions]:
        """Compile, or join the same request under way; does not wait.

        Raises:
            TunerError: If the compiling processes have ended.
        """
        identity = (*sorted(problem.items()), None, *sorted(configuration.items()))
        if identity not in self._asked:
            try:
                self._asked[identity] = self._processes.start(self._target, problem, configuration)
            except BrokenProcessPool:
                raise TunerError(NO_COMPILER_PROCESS) from None
        return self._asked[identity]

    def close(self) -> None:
        """Drop what has not compiled; safe to call twice."""
        self._processes.close()


def awaited(future: Future[CompiledFunctions]) -> CompiledFunctions:
    """What a compilation came to.

    Raises:
        TunerError: If the compiling processes have ended, or the disk cannot take what they compile.
    """
    try:
        return future.result()
    except BrokenProcessPool:
        raise TunerError(NO_COMPILER_PROCESS) from None


def versions_of(language: KernelLanguage) -> dict[str, str]:
    """Versions of what compiles kernels of a language here; of one that a callable launches nobody knows."""
    if language == "triton":
        return dict(triton_toolchain().versions)
    return cutile_versions() if language else {}


def _begin() -> None:
    """A compiling process that is told to end takes its compiler and its files with it."""
    end_with_parent()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())


def _limited(language: KernelLanguage, seconds: float) -> AbstractContextManager[object]:
    """The compiler of cuTile ends after so long; another one ends when it ends."""
    if language != "cutile":
        return nullcontext()
    from cuda.tile import compiler_timeout

    limit: AbstractContextManager[object] = compiler_timeout(seconds)
    return limit


def compile_target(target: CubinTarget, problem: ProblemSize, configuration: Configuration) -> CompiledFunctions:
    """Compile a configuration in this process, or find it in the store; why it does not compile is part of the answer.

    Raises:
        TunerError: If the disk cannot take what is compiled.
    """
    started = time.perf_counter()
    spec = resolve_spec(target.spec)
    store = CubinStore(target.cubins)
    try:
        with _limited(target.language, target.timeout_s):
            jobs = spec.compile_jobs(problem, configuration)
            keys = [compile_into(store, job, target.arch, target.source_sha256)[0] for job in jobs]
    except Exception as error:  # noqa: BLE001  # a configuration that does not compile is a trial, whatever it raises
        broken = disk_fault(error)
        if broken:
            raise TunerError(f"nothing can be compiled here: {broken}; see to it and go on with --resume") from None
        return CompiledFunctions(failure=exception_failure(error))
    return CompiledFunctions(tuple(keys), milliseconds=(time.perf_counter() - started) * 1e3)
