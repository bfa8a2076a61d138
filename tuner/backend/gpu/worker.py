"""The measuring process: opens the device, checks and times batches, and says each step before it takes it.

It announces every step so that, if it hangs or dies, the other side knows in which launch it was.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection

from spak.kg.model.run import Invalidity
from spak.tuner.backend.base import exception_failure
from spak.tuner.backend.gpu.orphan import end_with_parent
from spak.tuner.backend.gpu.protocol import (
    FIRST_BASELINE,
    NOBODY,
    Batch,
    Checked,
    Contestant,
    DeviceProgram,
    Done,
    Failed,
    Message,
    Opened,
    Opener,
    Prepared,
    TaskStep,
    TimedContestant,
    TimedReferences,
    WrongOutputError,
)
from spak.tuner.backend.gpu.steady import ReferenceTimes
from spak.tuner.backend.gpu.timing import interleave


def serve(opener: Opener, connection: Connection) -> None:
    """Work off batches until the connection closes or the device is lost."""
    end_with_parent()
    try:
        device = opener()
    except Exception as error:  # noqa: BLE001  # the other side turns it into a message for a person
        connection.send(_failed(NOBODY, error, fatal=True))
        return
    connection.send(Opened(device.machine()))
    while True:
        try:
            batch: Batch | None = connection.recv()
        except EOFError:
            return
        if batch is None or not _Round(device, connection).run(batch):
            return


class _Round:
    """One batch: which contestants are still in it, and where to report."""

    def __init__(self, device: DeviceProgram, connection: Connection) -> None:
        self._device = device
        self._connection = connection
        self._lost = False
        self._out: set[int] = set()

    def run(self, batch: Batch) -> bool:
        """Check all, then time all; False once the device is lost."""
        self._send(TaskStep("prepare"))
        try:
            names = self._device.prepare(batch.problem, batch.seed)
        except Exception as error:  # noqa: BLE001
            self._send(_failed(NOBODY, error, fatal=True))
            return False
        if batch.with_baselines:
            joining = [name for name in names if name not in batch.skip]
            baselines = tuple(Contestant(FIRST_BASELINE + i, baseline=name) for i, name in enumerate(joining))
            self._send(Prepared(baselines))
            batch = replace(batch, contestants=batch.contestants + baselines)
        for contestant in batch.contestants:
            if not contestant.checked and not self._lost:
                self._check(contestant)
        for contestant in self._remaining(batch):
            self._guard(TaskStep("ready", contestant.index), partial(self._ready, contestant, batch))
        if self._remaining(batch):
            self._time(batch)
        if not self._lost:
            self._send(Done(self._device.machine()))
        return not self._lost

    def _remaining(self, batch: Batch) -> list[Contestant]:
        return [] if self._lost else [c for c in batch.contestants if c.index not in self._out]

    def _check(self, contestant: Contestant) -> None:
        started = time.perf_counter()
        error = self._guard(TaskStep("check", contestant.index), lambda: self._device.check(contestant))
        if error is not None:
            self._send(Checked(contestant.index, error, (time.perf_counter() - started) * 1e3))

    def _ready(self, contestant: Contestant, batch: Batch) -> float:
        self._device.ready(contestant, batch.plan.warmups)
        return 0.0

    def _time(self, batch: Batch) -> None:
        contestants = self._remaining(batch)
        calls = 0

        def sample(contestant: Contestant) -> float:
            nonlocal calls
            if self._lost or contestant.index in self._out:
                return math.inf
            calls += 1
            if calls % len(contestants) == 0:
                self._device.observe()
            taken = self._guard(TaskStep("time", contestant.index), lambda: self._device.sample(contestant))
            return math.inf if taken is None else taken

        by_index = {contestant.index: contestant for contestant in contestants}
        rng = random.Random(batch.seed)  # noqa: S311  # orders, not secrets
        before = self._reference()
        samples = interleave(list(by_index), lambda i: sample(by_index[i]), batch.plan, rng, best_us=batch.best_us)
        after = self._reference()
        if not self._lost:
            self._send(TimedReferences(tuple(reading for reading in (before, after) if reading)))
        for contestant in self._remaining(batch):
            self._send(TimedContestant(contestant.index, tuple(samples[contestant.index])))

    def _reference(self) -> ReferenceTimes:
        """A reading of the device; what fails there is nobody's fault but the device's, and it is lost."""
        if self._lost:
            return {}
        self._send(TaskStep("reference"))
        try:
            return self._device.reference()
        except Exception as error:  # noqa: BLE001  # whatever it raises, no configuration ran
            self._lost = True
            self._send(_failed(NOBODY, error, fatal=True))
            return {}

    def _guard(self, step: TaskStep, action: Callable[[], float]) -> float | None:
        """Announce a step and take it; an exception ends its contestant, or the worker if the device is gone."""
        if self._lost:
            return None
        self._send(step)
        try:
            return action()
        except Exception as error:  # noqa: BLE001  # a failed launch is data, whatever it raises
            self._lost = not self._device.healthy()
            self._out.add(step.index)
            self._send(_failed(step.index, error, fatal=self._lost))
            return None

    def _send(self, message: Message) -> None:
        self._connection.send(message)


def _failed(index: int, error: Exception, *, fatal: bool) -> Failed:
    invalidity: Invalidity = "correctness" if isinstance(error, WrongOutputError) else "runtime"
    return Failed(index, invalidity, exception_failure(error), fatal)
