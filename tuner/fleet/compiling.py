"""The process of a worker that compiles: for features, for launches and for every kernel, so that its imports are made once."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from typing import TypeVar

from spak.kernels.own.launches import KernelLanguage
from spak.kg.model.base import Configuration, Model, ProblemSize
from spak.tuner.backend.compile.pool import GRACE_S
from spak.tuner.backend.compile.protocol import Compiled, Order, Setup, failed
from spak.tuner.backend.compile.toolchain import compiler_string
from spak.tuner.backend.compile.worker import serve
from spak.tuner.backend.gpu.ahead import CompiledFunctions, CompilerProcesses, CubinTarget, compile_target, versions_of
from spak.tuner.errors import TunerError

COMPILE_LIMIT_S = 600.0
"""Seconds one configuration may take for a launch: five of its functions at the compiler's own limit."""

EARLY_NICENESS = 10
"""How far what nobody has asked for yet stands back behind what the machine has to do."""

DIED = "the compiling process died"

_Answer = TypeVar("_Answer")


class CompilerVersions(Model, frozen=True, kw_only=True):
    """What compiles for launches: component -> version, and what the compiler says of itself; empty where there is none."""

    toolchain: dict[str, str] = {}  # noqa: RUF012 - msgspec copies mutable defaults
    compiler: str = ""


class CompilingProcess:
    """Compiles in a process that may crash or hang: it is begun anew for what comes next. Safe to be used from threads."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._processes: CompilerProcesses | None = None
        self._changing = threading.Lock()
        self._closed = False

    def import_early(self) -> None:
        """Start the process and let it import what compiles, at a lower priority; does not wait, and says nothing of failures."""
        with suppress(BrokenProcessPool, OSError), self._changing:
            self._running().ask(_import_early)

    def versions(self, language: KernelLanguage) -> CompilerVersions:
        """What compiles kernels of a language here.

        Raises:
            TunerError: If the process died while it imported that.
        """
        try:
            return self._answer(COMPILE_LIMIT_S, _versions, language)
        except BrokenProcessPool:
            raise TunerError("the process that imports the compiler died; memory may be short") from None

    def functions(self, target: CubinTarget, problem: ProblemSize, configuration: Configuration) -> CompiledFunctions:
        """Compile for a launch.

        Raises:
            TunerError: If nothing can be compiled here now, as where the disk is full.
            TimeoutError: If it took too long; the process is ended.
            BrokenProcessPool: If the process died.
        """
        return self._answer(COMPILE_LIMIT_S, _functions, target, dict(problem), dict(configuration))

    def features(self, setup: Setup, order: Order) -> Compiled:
        """Compile for features; what becomes of the process is part of the answer."""
        limit_s = setup.time_limit_s + GRACE_S
        try:
            return self._answer(limit_s, _features, setup, order)
        except TimeoutError:
            said = f"the compiling process did not answer within {limit_s:g} s and was ended"
            return failed("timeout", "TimeLimit", said, lasting=False)
        except BrokenProcessPool:
            return failed("compile", "WorkerDied", DIED, lasting=False)

    def close(self) -> None:
        """End the process, and start none again; safe to call twice."""
        self._closed = True
        self._end()

    def _answer(self, limit_s: float | None, what: Callable[..., _Answer], *arguments: object) -> _Answer:
        try:
            with self._changing:
                answer = self._running().ask(what, *arguments)
        except BrokenProcessPool:  # it ended while it had nothing to do: no fault of this order
            self._end()
            with self._changing:
                answer = self._running().ask(what, *arguments)
        try:
            return answer.result(limit_s)
        except (TimeoutError, BrokenProcessPool):
            self._end()
            raise

    def _running(self) -> CompilerProcesses:
        if self._closed:
            raise BrokenProcessPool("closed")
        if self._processes is None:
            self._processes = CompilerProcesses(1)
        return self._processes

    def _end(self) -> None:
        with self._changing:
            processes, self._processes = self._processes, None
        if processes is not None:
            processes.close()


# What follows runs in the compiling process.

_importing: list[threading.Thread] = []


def _import_early() -> None:
    """Import in a thread, whose priority is its own on Linux: what is asked for later is compiled at the usual one."""
    thread = threading.Thread(target=_stand_back_and_import, name="import-early", daemon=True)
    _importing.append(thread)
    thread.start()


def _stand_back_and_import() -> None:
    with suppress(OSError):
        os.nice(EARLY_NICENESS)  # of this thread
    with suppress(Exception):  # what is missing is said of each configuration
        compiler_string()


def _imported() -> None:
    """Wait for what is imported early: two threads that import one package may see the half of it."""
    while _importing:
        _importing.pop().join()


def _versions(language: KernelLanguage) -> CompilerVersions:
    _imported()
    toolchain: dict[str, str] = {}
    compiler = ""
    with suppress(Exception):  # cuTile has exceptions of its own for a tool that is missing
        toolchain = versions_of(language)
    with suppress(Exception):
        compiler = compiler_string()
    return CompilerVersions(toolchain=toolchain, compiler=compiler)


def _functions(target: CubinTarget, problem: ProblemSize, configuration: Configuration) -> CompiledFunctions:
    _imported()
    return compile_target(target, problem, configuration)


def _features(setup: Setup, order: Order) -> Compiled:
    _imported()
    with _limited_memory(setup.memory_limit_bytes):
        return serve(setup, order)


@contextmanager
def _limited_memory(most: int) -> Iterator[None]:
    """Address space of this process and of the tools that it starts meanwhile, in bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
