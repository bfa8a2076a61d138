"""A search whose trials flow through a fleet: each is compiled and measured as soon as somebody is free, and none waits for a batch.

Whatever becomes of a worker, a configuration that was asked for is recorded once: with what came of it, or as the failure
of the worker that was lost with it, which nobody else is then given. What no worker had begun goes to another one.
"""

from __future__ import annotations

import math
import queue
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from spak.kg.model.run import UNSTEADY_TIME, Failure, Trial
from spak.tuner.backend.base import Request
from spak.tuner.engine.longest import CompileSeconds
from spak.tuner.engine.loop import Asked, Asker, SearchWatch
from spak.tuner.errors import TunerError
from spak.tuner.fleet.executor import CPU, Executor, Piece, PieceOutcome, answered
from spak.tuner.fleet.health import DOUBTFUL, DeviceHealth

AHEAD = 0.25
"""Requests that wait to be compiled, as a share of those who compile: who ends finds the next one waiting."""

MOST_READY = 8
"""Requests that may have compiled and wait for a device, or as many as compile at once: devices do not keep compilers idle."""


@dataclass(frozen=True)
class FlowPatience:
    """How long a search waits in a fleet.

    Attributes:
        members_s: For a member that is needed, where nobody is there who could go on.
        look_s: Between two looks at who is there while nothing ends.
        end: The end of a search whose budget covers all that is left to try begins when that would keep those who compile
            busy for the longest compilation so far times this; then the longest is begun first. 0: as asked for.
    """

    members_s: float = 60.0
    look_s: float = 0.5
    end: float = 1.0


@dataclass(frozen=True)
class CompiledPiece:
    """What a configuration was compiled to: bytes for the piece that measures it, and its features."""

    data: bytes
    features: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class UnusableDevice:
    """A worker's word that its device fails outside any configuration."""

    reason: str


class Route(Protocol):
    """What a request is made of in a fleet: a piece that compiles it, then one that measures it."""

    def compiling(self, request: Request) -> Piece:
        """The piece that compiles it."""
        ...

    def compiled(self, request: Request, answer: bytes) -> CompiledPiece | Trial:
        """What to measure, or the trial of a configuration that does not compile."""
        ...

    def measuring(self, request: Request, compiled: CompiledPiece, device: str) -> Piece:
        """The piece that measures it on `device`."""
        ...

    def measured(self, request: Request, answer: bytes) -> Trial | UnusableDevice:
        """What came of it."""
        ...


@dataclass
class _Errand:
    """One request on its way; a probe is one that is known to run well, and no trial comes of it."""

    asked: Asked
    ready: CompiledPiece | None = None
    device: str = ""
    is_probe: bool = False

    @property
    def request(self) -> Request:
        """What is to be compiled and measured."""
        return self.asked.request


class Flow:
    """A search, of one searcher or of many targets of one kind of device, on the members of an executor.

    Attributes:
        health: Which devices were taken out, and why.
    """

    def __init__(
        self,
        asker: Asker,
        route: Route,
        executor: Executor,
        watch: SearchWatch,
        patience: FlowPatience = FlowPatience(),
    ) -> None:
        """Evaluate what `asker` asks for.

        Args:
            asker: Of one kind of device.
            route: Makes pieces of requests.
            executor: Its members that offer anything but `CPU` have a device.
            watch: As of any search.
            patience: For the fleet.
        """
        self._asker, self._route, self._executor, self._watch = asker, route, executor, watch
        self._patience = patience
        self.health = DeviceHealth()
        self._ended: queue.SimpleQueue[tuple[_Errand, Future[PieceOutcome]]] = queue.SimpleQueue()
        self._again: deque[_Errand] = deque()
        self._ready: deque[_Errand] = deque()
        self._num_out = 0
        self._busy: set[str] = set()
        self._good: _Errand | None = None
        self._has_more = True
        self._last: deque[_Errand] = deque()
        self._compilations = CompileSeconds()
        for trial in (trial for searcher in asker.searchers for trial in searcher.trials):
            self._compilations.note(trial)

    def run(self) -> bool:
        """Search until the budget is spent or every space is exhausted; whether the user interrupted.

        Raises:
            TunerError: If nobody is left who could go on; what is recorded stays.
        """
        self._started = heard = self._watch.clock()
        try:
            while True:
                elapsed_s = self._watch.clock() - self._started
                self._hand_out(elapsed_s)
                waiting = self._ready or self._again or self._last
                if not (self._num_out or waiting or (self._has_more and self._asker.left(elapsed_s))):
                    return False
                heard = self._hear(heard)
        except KeyboardInterrupt:
            return True

    def _hear(self, heard: float) -> float:
        """Wait for a piece to end and take what came of it; when that was."""
        try:
            errand, future = self._ended.get(timeout=self._patience.look_s)
        except queue.Empty:
            if not self._num_out and self._watch.clock() - heard > self._patience.members_s:
                raise TunerError(f"no member of the fleet can go on{self._whose_devices_are_out()}") from None
            return heard if not self._num_out else self._watch.clock()
        self._num_out -= 1
        self._busy.discard(errand.device)
        self._take(errand, future.result())
        return self._watch.clock()

    def _whose_devices_are_out(self) -> str:
        return "".join(f"; {device} was taken out: {why}" for device, why in sorted(self.health.out.items()))

    # ------------------------------------------------------------------------------------------------- what goes out

    def _hand_out(self, elapsed_s: float) -> None:
        members = self._executor.members()
        offered = {name for member in members for name in member.resources}
        for device in sorted(offered - {CPU} - self._busy - self.health.out.keys()):
            errand = self._next_for(device)
            if errand is not None:
                self._measure(errand, device)
        if CPU not in offered:
            return
        compilers = sum(CPU in member.resources for member in members)
        most = compilers + max(2, round(AHEAD * compilers))
        while self._num_out - len(self._busy) < most and len(self._ready) < max(most, MOST_READY):
            errand = self._again.popleft() if self._again else self._next(elapsed_s, compilers)
            if errand is None or not self._submit(errand, self._route.compiling(errand.request)):
                return

    def _next_for(self, device: str) -> _Errand | None:
        good = self._good
        if self.health.is_suspect(device) and good is not None:
            return _Errand(good.asked, good.ready, is_probe=True)
        return self._ready.popleft() if self._ready else None

    def _measure(self, errand: _Errand, device: str) -> None:
        assert errand.ready is not None  # noqa: S101 - only what has compiled is ready
        errand.device = device
        if self._submit(errand, self._route.measuring(errand.request, errand.ready, device)):
            self._busy.add(device)

    def _next(self, elapsed_s: float, compilers: int) -> _Errand | None:
        """The next request, as asked for; at the end of the search the one that is likely to compile longest."""
        if not self._last and self._is_end(elapsed_s, compilers):
            rest = iter(partial(self._ask, elapsed_s), None)
            self._last.extend(sorted(rest, key=lambda one: -self._compilations.expected_log(one.request)))
        return self._last.popleft() if self._last else self._ask(elapsed_s)

    def _is_end(self, elapsed_s: float, compilers: int) -> bool:
        """Whether all that is left will be tried, whatever comes of it, and not for long any more."""
        num_free = sum(one.num_free for one in self._asker.searchers)
        is_certain = math.isinf(self._asker.seconds_left(elapsed_s)) and 0 < num_free <= self._asker.left(elapsed_s)
        longest_s = self._patience.end * self._compilations.longest_s
        return is_certain and 0 < self._compilations.keeps_busy_s(num_free, compilers) <= longest_s

    def _ask(self, elapsed_s: float) -> _Errand | None:
        """The next request; None if the budget is spent or every space is exhausted."""
        asked = self._asker.ask(1, elapsed_s)
        self._has_more = bool(asked)
        return _Errand(asked[0]) if asked else None

    def _submit(self, errand: _Errand, piece: Piece) -> bool:
        """Whether somebody takes it; if not, it waits here."""
        try:
            future = self._executor.submit(piece)
        except TunerError:
            self._put_back(errand)
            return False
        self._num_out += 1
        future.add_done_callback(partial(self._note, errand))
        return True

    def _note(self, errand: _Errand, future: Future[PieceOutcome]) -> None:
        self._ended.put((errand, future))

    def _put_back(self, errand: _Errand) -> None:
        errand.device = ""
        if not errand.is_probe:
            (self._again if errand.ready is None else self._ready).appendleft(errand)

    # ------------------------------------------------------------------------------------------------- what comes back

    def _take(self, errand: _Errand, outcome: PieceOutcome) -> None:
        if outcome.lost and not outcome.member:
            self._put_back(errand)
        elif outcome.lost:
            self._lost(errand, outcome)
        elif errand.ready is None:
            self._compiled(errand, answered(outcome) or b"")
        else:
            self._measured(errand, answered(outcome) or b"")

    def _lost(self, errand: _Errand, outcome: PieceOutcome) -> None:
        how = f"{outcome.member}: {outcome.lost}"
        if errand.is_probe:
            self.health.failed_again(errand.device, how)
            return
        if errand.device:
            self.health.failed(errand.device, how)
        self._finish(
            errand, errand.request.trial(invalidity="runtime", failure=Failure(type="WorkerLost", message=how))
        )

    def _compiled(self, errand: _Errand, answer: bytes) -> None:
        found = self._route.compiled(errand.request, answer)
        if isinstance(found, Trial):
            self._finish(errand, found)
            return
        if not errand.asked.hidden(dict(found.features)):
            errand.ready = found
            self._ready.append(errand)

    def _measured(self, errand: _Errand, answer: bytes) -> None:
        found, device = self._route.measured(errand.request, answer), errand.device
        if isinstance(found, UnusableDevice):
            self.health.unusable(device, found.reason)
            self._put_back(errand)
            return
        self._judge(device, found, is_probe=errand.is_probe)
        if not errand.is_probe:
            if found.invalidity == "correct":
                self._good = errand
            self._finish(errand, found)

    def _judge(self, device: str, found: Trial, *, is_probe: bool) -> None:
        failure = found.failure
        if failure is None:
            self.health.well(device, steady=found.value(UNSTEADY_TIME) is None)
        elif is_probe:
            self.health.failed_again(device, f"{failure.type}: {failure.message}")
        elif found.invalidity in DOUBTFUL:
            self.health.failed(device, f"{failure.type}: {failure.message}")

    def _finish(self, errand: _Errand, trial: Trial) -> None:
        errand.asked.finish(trial)
        self._compilations.note(trial)
        errand.asked.searcher.reconsider()
        self._watch.progress(self._asker.num_trials, self._watch.clock() - self._started)
