"""Executes a named check of the kernels in a process of its own, with a time limit: what hangs or dies is a trial too."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TypeAlias

import msgspec
import numpy as np

from spak.kernels.checks import CHECKS, CheckResult, NamedCheck, named_check
from spak.kg.model.base import ProblemSize
from spak.kg.model.run import Failure, Invalidity, Kernel, Measurement, Trial
from spak.tuner.backend.base import Provenance, Request, exception_failure
from spak.tuner.backend.compile.cache import source_sha256
from spak.tuner.backend.source import ROOT
from spak.tuner.errors import TunerError

TIER = "computed"
"""Of what a check shows."""

CHECK_LIMIT_S = 60.0
"""One configuration at one size; the slowest of the checks here takes a second on a busy core."""

CheckAnswer: TypeAlias = CheckResult | tuple[Invalidity, Failure]
Server: TypeAlias = Callable[[Connection, str, int], None]


@dataclass(frozen=True)
class Checker:
    """A check by its name; `serve` is what its process runs.

    Raises:
        TunerError: If there is no such check.
    """

    name: str
    seed: int = 0
    limit_s: float = CHECK_LIMIT_S
    serve: Server | None = None

    def __post_init__(self) -> None:
        """Refuse a name that nobody knows."""
        if self.name not in CHECKS:
            raise TunerError(f"no check {self.name!r}; there are {', '.join(sorted(CHECKS))}")

    @property
    def check(self) -> NamedCheck:
        """The check itself.

        Raises:
            TunerError: If it runs kernels and what runs them is not installed.
        """
        try:
            return named_check(self.name)
        except ModuleNotFoundError as error:
            msg = f"the check {self.name} needs {error.name}, to run kernels on the simulator; pip install 'spak[sim]'"
            raise TunerError(msg) from None

    @property
    def sizes(self) -> list[ProblemSize]:
        """Problem sizes that the check draws anew, awkward ones among them."""
        return [dict(size) for size in self.check.sizes(self.seed)]

    @property
    def kernel(self) -> Kernel:
        """Which code is executed."""
        return Kernel(name=self.name, source_sha256=source_sha256(list(self.check.source_files), ROOT))

    @property
    def provenance(self) -> Provenance:
        """Arithmetic on a CPU: no device, no time."""
        return Provenance(TIER, {"numpy": np.__version__}, None, None, "")

    def execute(self, requests: Sequence[Request]) -> Iterator[Trial]:
        """A trial of each request, in order; a process that hangs or dies costs the one it had."""
        done = 0
        while done < len(requests):
            for answer in self._answers(requests[done:]):
                yield _trial(requests[done], answer)
                done += 1

    def _answers(self, requests: Sequence[Request]) -> Iterator[CheckAnswer]:
        """Answers of one process, of which the last may be how it ended."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=self.serve or _serve, args=(theirs, self.name, self.seed), daemon=True)
        process.start()
        theirs.close()
        try:
            for request in requests:
                answer, goes_on = self._ask(ours, request)
                yield answer
                if not goes_on:
                    return
        finally:
            ours.close()
            process.kill()
            process.join()

    def _ask(self, connection: Connection, request: Request) -> tuple[CheckAnswer, bool]:
        """What the process says of one request, and whether it can be asked again."""
        try:
            connection.send((dict(request.problem), dict(request.configuration)))
            if not connection.poll(self.limit_s):
                message = f"the check did not answer within {self.limit_s:g} s and was ended"
                return ("timeout", Failure(type="TimeLimit", message=message)), False
            answer: CheckAnswer = connection.recv()
        except (EOFError, OSError):
            return ("runtime", Failure(type="WorkerDied", message="the process of the check died")), False
        return answer, True


def _serve(connection: Connection, name: str, seed: int) -> None:
    """Answer until nobody asks any more."""
    check = named_check(name)
    while True:
        try:
            problem, configuration = connection.recv()
        except EOFError:
            return
        connection.send(_answer(check, problem, configuration, seed))


def _answer(check: NamedCheck, problem: ProblemSize, configuration: ProblemSize, seed: int) -> CheckAnswer:
    try:
        return check.result(problem, configuration, seed)
    except (ValueError, KeyError) as error:
        return "constraints", exception_failure(error)
    except Exception as error:  # noqa: BLE001 - whatever a check raises is what came of the trial
        return "runtime", exception_failure(error)


def _trial(request: Request, answer: CheckAnswer) -> Trial:
    trial = request.trial()
    if not isinstance(answer, CheckResult):
        invalidity, failure = answer
        return msgspec.structs.replace(trial, invalidity=invalidity, failure=failure)
    found = tuple(Measurement(name=name, value=value) for name, value in answer.measurements.items())
    trial = msgspec.structs.replace(trial, measurements=found)
    if answer.failure is None:
        return trial
    kind, message = answer.failure
    return msgspec.structs.replace(trial, invalidity="correctness", failure=Failure(type=kind, message=message))
