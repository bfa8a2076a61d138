"""Keeps a measuring worker alive: time limits, crashes, restarts, and whose fault it was.

Whose fault: the worker says each step before it takes it and finishes each before the next, so the contestant of the
last announced step is the suspect. A failure in the check or warm-up stage is final: nothing else had been in flight
since the last clean step. A worker that dies or hangs while timing, in a contestant that had passed its check, may
have been harmed by a neighbour of the batch: the suspect runs again alone in a fresh worker, and what it does there
counts. The others keep their checks and start their rounds anew.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from spak.kernels.own.declared import WrongDeclarationError
from spak.kg.model.run import Failure, Invalidity
from spak.tuner.backend.gpu.protocol import (
    NOBODY,
    Batch,
    Checked,
    Contestant,
    Done,
    Failed,
    Message,
    Opened,
    Opener,
    Prepared,
    SeenDevice,
    TaskStage,
    TaskStep,
    TimedContestant,
    TimedReferences,
)
from spak.tuner.backend.gpu.steady import ReferenceTimes
from spak.tuner.backend.gpu.worker import serve
from spak.tuner.errors import TunerError


class DeviceUnusableError(TunerError):
    """The worker fails outside any configuration: no device, no driver, no memory for the inputs."""

    def __init__(self, stage: str, failure: Failure) -> None:
        """Say in which stage it failed, how, and what to try."""
        super().__init__(
            f"the GPU cannot be used: {stage} failed ({failure.type}: {failure.message}); check nvidia-smi"
        )


@dataclass(frozen=True)
class WorkerLimits:
    """Seconds each stage may take before the worker is ended."""

    open_s: float = 180.0
    prepare_s: float = 180.0
    check_s: float = 60.0
    ready_s: float = 60.0
    reference_s: float = 60.0
    time_s: float = 10.0
    close_s: float = 30.0

    def of(self, stage: TaskStage) -> float:
        """The limit of `stage`."""
        seconds: float = getattr(self, f"{stage}_s")
        return seconds


@dataclass(frozen=True)
class ContestantOutcome:
    """What became of one contestant.

    Attributes:
        error: Relative error of the check; None if there was none.
        invalidity: `correct`, or the stage that failed.
        readings: Of the device, before and after its rounds.
    """

    contestant: Contestant
    samples: tuple[float, ...] = ()
    error: float | None = None
    check_ms: float = 0.0
    invalidity: Invalidity = "correct"
    failure: Failure | None = None
    readings: tuple[ReferenceTimes, ...] = ()


@dataclass(frozen=True)
class _End:
    """How an attempt at a batch ended early."""

    step: TaskStep
    failed: Failed


class Supervisor:
    """Runs batches in a worker process, and replaces it when it must.

    Attributes:
        machine: The device as last reported; None before the first batch.
        restarts: How many workers were lost.
    """

    def __init__(self, opener: Opener, limits: WorkerLimits | None = None) -> None:
        """Start nothing yet: the worker starts with `begin` or the first batch."""
        self._opener = opener
        self._limits = limits or WorkerLimits()
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._open = False
        self.machine: SeenDevice | None = None
        self.restarts = 0

    def run(self, batch: Batch) -> Iterator[ContestantOutcome]:
        """One outcome for each contestant, failures included.

        Raises:
            TunerError: If what a file declares of its kernel is wrong.
            DeviceUnusableError: If a stage fails that belongs to no contestant, twice in a row.
        """
        attempt, lost_before = _Attempt(batch), False
        while True:
            end = self._play(attempt)
            yield from attempt.take()
            if end is None:
                return
            if end.step.index == NOBODY:
                if end.failed.failure.type == WrongDeclarationError.__name__:
                    raise TunerError(end.failed.failure.message)
                if lost_before:
                    raise DeviceUnusableError(end.step.stage, end.failed.failure)
                lost_before = True
                continue
            lost_before = False
            yield self._judge(attempt, end)
            if not attempt.waiting:
                return

    def warm(self) -> None:
        """Start the worker and open its device; one that does not open says so to the first batch."""
        try:
            if isinstance(self._worker(), Failed):
                self._discard()
        except (TimeoutError, EOFError, OSError):
            self._discard()

    def _judge(self, attempt: _Attempt, end: _End) -> ContestantOutcome:
        suspect = attempt.waiting.pop(end.step.index)
        if end.step.stage == "time" and attempt.waiting:
            alone = _Attempt(replace(attempt.batch, contestants=(suspect,)))
            again = self._play(alone)
            if again is None:
                return alone.take()[0]
            end = again
        return ContestantOutcome(suspect, invalidity=end.failed.invalidity, failure=end.failed.failure)

    def _play(self, attempt: _Attempt) -> _End | None:
        """One go at all that waits; None if it went through."""
        step = TaskStep("open")
        try:
            connection = self._worker()
            if isinstance(connection, Failed):
                self._discard()
                return _End(step, connection)
            connection.send(attempt.rest())
            while True:
                message = self._receive(connection, step.stage)
                if isinstance(message, TaskStep):
                    step = message
                elif isinstance(message, Failed) and message.fatal:
                    self._discard()
                    return _End(step, message)
                elif isinstance(message, Done):
                    self.machine = message.machine
                    return None
                else:
                    attempt.hear(message)
        except TimeoutError:
            self._discard()
            said = f"{step.stage} took more than {self._limits.of(step.stage):g} s"
            return _End(step, Failed(step.index, "timeout", Failure(type="TimeLimit", message=said)))
        except (EOFError, OSError):
            failure = Failure(type="WorkerDied", message=self._discard())
            return _End(step, Failed(step.index, "runtime", failure))

    def _receive(self, connection: Connection, stage: TaskStage) -> Message:
        if not connection.poll(self._limits.of(stage)):
            raise TimeoutError
        message: Message = connection.recv()
        return message

    def begin(self) -> None:
        """Start the worker unless it is there; it imports and opens its device while the caller does something else."""
        if self._connection is not None:
            return
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(self._opener, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def _worker(self) -> Connection | Failed:
        """The connection to a worker that takes batches, or why it did not open its device."""
        self.begin()
        assert self._connection is not None  # noqa: S101  # begun
        if self._open:
            return self._connection
        message = self._receive(self._connection, "open")
        if isinstance(message, Failed):
            return message
        if isinstance(message, Opened):
            self.machine = message.machine
        self._open = True
        return self._connection

    def _discard(self) -> str:
        """End the worker, count it as lost, and say how it ended."""
        self.restarts += 1
        return self._end(graceful=False)

    def _end(self, *, graceful: bool) -> str:
        process, connection = self._process, self._connection
        self._process = self._connection = None
        self._open = False
        if process is None or connection is None:
            return "it was not running"
        if graceful:
            connection.send(None)
        process.join(self._limits.close_s if graceful else 1.0)
        if process.is_alive():
            process.kill()
            process.join(self._limits.close_s)
        connection.close()
        code = process.exitcode
        if code is None:
            stuck = Failure(type="WorkerStuck", message="the driver does not release a killed worker")
            raise DeviceUnusableError("close", stuck)
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"

    def close(self) -> None:
        """End the worker; safe to call twice."""
        if self._process is not None:
            self._end(graceful=self._open and self._process.is_alive())


class _Attempt:
    """A batch in progress: what waits, what passed its check, what is finished."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.waiting = {contestant.index: contestant for contestant in batch.contestants}
        self._checks: dict[int, Checked] = {}
        self._readings: tuple[ReferenceTimes, ...] = ()
        self._finished: list[ContestantOutcome] = []

    def rest(self) -> Batch:
        """The batch without what is finished; what passed its check is marked."""
        contestants = tuple(replace(c, checked=i in self._checks) for i, c in self.waiting.items())
        return replace(self.batch, contestants=contestants)

    def hear(self, message: Message) -> None:
        """Note the baselines, a check, a time or a failure that the worker survived."""
        if isinstance(message, Prepared):
            self.waiting |= {contestant.index: contestant for contestant in message.baselines}
            self.batch = replace(self.batch, with_baselines=False)
        elif isinstance(message, TimedReferences):
            self._readings = message.readings
        elif isinstance(message, Checked):
            self._checks[message.index] = message
        elif isinstance(message, TimedContestant):
            check, contestant = self._checks[message.index], self.waiting.pop(message.index)
            timed = ContestantOutcome(contestant, message.samples, check.error, check.wall_ms, readings=self._readings)
            self._finished.append(timed)
        elif isinstance(message, Failed):
            contestant = self.waiting.pop(message.index)
            self._finished.append(ContestantOutcome(contestant, invalidity=message.invalidity, failure=message.failure))

    def take(self) -> list[ContestantOutcome]:
        """What finished since the last call."""
        finished, self._finished = self._finished, []
        return finished
