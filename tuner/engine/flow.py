"""A search whose trials flow through a fleet: each is compiled and measured as soon as somebody is free, and none waits for a batch.

Whatever becomes of a worker, a configuration that was asked for is recorded once: with what came of it, or as the failure
of the worker that was lost with it, which nobody else is then given. What no worker had begun goes to another one.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from spak.kg.model.run import UNSTEADY_TIME, Failure, Trial
from spak.tuner.backend.base import Request
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.loop import Hooks, Searcher
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
    """

    members_s: float = 60.0
    look_s: float = 0.5


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

    searcher: Searcher
    request: Request
    ready: CompiledPiece | None = None
    device: str = ""
    is_probe: bool = False


class Flow:
    """A search of one or more searchers on the members of an executor.

    Attributes:
        health: Which devices were taken out, and why.
    """

    def __init__(
        self,
        searchers: Sequence[Searcher],
        route: Route,
        executor: Executor,
        hooks: Hooks,
        patience: FlowPatience = FlowPatience(),
    ) -> None:
        """Search with `searchers`, whose trials are those of a journal so far.

        Args:
            searchers: Each of a problem size, all of one kind of device; whoever has fewest trials is asked next.
            route: Makes pieces of requests.
            executor: Its members that offer anything but `CPU` have a device.
            hooks: As of any search.
            patience: For the fleet.
        """
        self._searchers, self._route, self._executor, self._hooks = searchers, route, executor, hooks
        self._patience = patience
        self.health = DeviceHealth()
        self._ended: queue.SimpleQueue[tuple[_Errand, Future[PieceOutcome]]] = queue.SimpleQueue()
        self._again: deque[_Errand] = deque()
        self._ready: deque[_Errand] = deque()
        self._num_out = 0
        self._busy: set[str] = set()
        self._good: _Errand | None = None
        self._exhausted: set[int] = set()

    def run(self, budget: Budget) -> bool:
        """Search until the budget is spent or every space is exhausted; whether the user interrupted.

        Raises:
            TunerError: If nobody is left who could go on; what is recorded stays.
        """
        self._started = heard = self._hooks.clock()
        try:
            while True:
                elapsed_s = self._hooks.clock() - self._started
                self._hand_out(budget, elapsed_s)
                if not (self._num_out or self._ready or self._again or self._left(budget, elapsed_s)):
                    return False
                heard = self._hear(heard)
        except KeyboardInterrupt:
            return True

    def _hear(self, heard: float) -> float:
        """Wait for a piece to end and take what came of it; when that was."""
        try:
            errand, future = self._ended.get(timeout=self._patience.look_s)
        except queue.Empty:
            if not self._num_out and self._hooks.clock() - heard > self._patience.members_s:
                raise TunerError(f"no member of the fleet can go on{self._whose_devices_are_out()}") from None
            return heard if not self._num_out else self._hooks.clock()
        self._num_out -= 1
        self._busy.discard(errand.device)
        self._take(errand, future.result())
        return self._hooks.clock()

    def _whose_devices_are_out(self) -> str:
        return "".join(f"; {device} was taken out: {why}" for device, why in sorted(self.health.out.items()))

    # ------------------------------------------------------------------------------------------------- what goes out

    def _hand_out(self, budget: Budget, elapsed_s: float) -> None:
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
            errand = self._again.popleft() if self._again else self._ask(budget, elapsed_s)
            if errand is None or not self._submit(errand, self._route.compiling(errand.request)):
                return

    def _next_for(self, device: str) -> _Errand | None:
        good = self._good
        if self.health.is_suspect(device) and good is not None:
            return _Errand(good.searcher, good.request, good.ready, is_probe=True)
        return self._ready.popleft() if self._ready else None

    def _measure(self, errand: _Errand, device: str) -> None:
        assert errand.ready is not None  # noqa: S101 - only what has compiled is ready
        errand.device = device
        if self._submit(errand, self._route.measuring(errand.request, errand.ready, device)):
            self._busy.add(device)

    def _ask(self, budget: Budget, elapsed_s: float) -> _Errand | None:
        """The next request of whoever has fewest trials; None if the budget is spent or every space is exhausted."""
        while left := self._left(budget, elapsed_s):
            place = min(left, key=lambda one: len(self._searchers[one].trials) + len(self._searchers[one].open))
            asked = self._searchers[place].ask(1)
            if asked:
                return _Errand(self._searchers[place], asked[0])
            self._exhausted.add(place)
        return None

    def _left(self, budget: Budget, elapsed_s: float) -> list[int]:
        """Searchers that may be asked for more."""
        spent = sum(len(one.trials) + len(one.open) for one in self._searchers)
        within = budget.left(spent, elapsed_s) > 0
        return [place for place in range(len(self._searchers)) if within and place not in self._exhausted]

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
        aside = errand.searcher.hidden(errand.request, dict(found.features))
        if aside is None:
            errand.ready = found
            self._ready.append(errand)
        else:
            self._hooks.record(aside)
            errand.searcher.set_aside(errand.request.index, aside)

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
        index, searcher = errand.request.index, errand.searcher
        signed = searcher.signed(index, trial)
        self._hooks.record(signed)
        searcher.take(index, signed)
        searcher.reconsider()
        spent = sum(len(one.trials) for one in self._searchers)
        self._hooks.progress(spent, self._hooks.clock() - self._started)
