"""One search of many targets, problem sizes times devices of one op: each has a searcher, they share a budget and what they find.

What other targets of the search tried joins what is recorded elsewhere, as if it were in run files, while all of them go
on. Nothing here knows a law, a strategy or a backend, nor whether batches of one or pieces of a fleet carry the requests.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

from spak.kg.model.run import Trial
from spak.tuner.backend.base import Backend
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.loop import Asked, Asker, Running, SearchWatch
from spak.tuner.engine.searcher import Result, Searcher
from spak.tuner.knowledge.gather import Gathering
from spak.tuner.knowledge.source import Whereabouts

HEARD_GROWTH = 1.25
"""A target hears of the others when they have tried so many times as much as it heard of: its belief begins again each time."""

LEAST_OF_A_TARGET = 4
"""Requests of one target that a batch has at least, where it has room: inputs and baselines are prepared for a problem size once."""


@dataclass
class TargetSearch:
    """One target while it is searched.

    Attributes:
        name: What a person calls it, such as `h200 m2048`.
        place: Its hardware id and problem size.
        weight: What its time counts beside that of the others; positive.
        record: Called with each of its trials, before anything else happens.
        gathering: What is known elsewhere, where trials of the others join; None: it hears nothing of them.
    """

    name: str
    place: Whereabouts
    weight: float
    searcher: Searcher
    record: Callable[[Trial], None]
    gathering: Gathering | None = None
    num_heard: int = 0
    has_ended: bool = False

    def hear(self, others: Sequence[TargetSearch]) -> None:
        """Take over what the others tried, if that is enough more than at the last time."""
        if self.gathering is None:
            return
        more = {one.place: tuple(one.searcher.trials) for one in others if one is not self and one.searcher.trials}
        total = sum(map(len, more.values()))
        if total < max(self.num_heard + 1, self.num_heard * HEARD_GROWTH):
            return
        self.num_heard = total
        searcher = self.searcher
        _, known = self.gathering.known(searcher.restriction, more, searcher.objective)
        searcher.hear(known)


@dataclass
class SearchOfTargets:
    """The targets of one search, and what they share."""

    targets: Sequence[TargetSearch]
    budget: Budget
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def lane(self, hw: str) -> Asker:
        """Asks for trials of the targets of one device; lanes may be asked by several threads, each lane by one."""
        return _Lane(self, [one for one in self.targets if one.place[0] == hw])

    def run(self, backends: Mapping[str, Backend], watch: SearchWatch, *, at_once: bool = False) -> tuple[bool, float]:
        """Search until the budget is spent, every space is exhausted, or the user interrupts; whether he did, and seconds.

        Args:
            backends: Of each device of the targets.
            watch: How the search tells time, and what it shows.
            at_once: Whether the devices work at the same time, each on its own targets; else one batch of one after one
                of the other, and the same seed gives the same trials.
        """
        started = watch.clock()
        heeding = replace(watch, progress=self._heeding(watch.progress), doing=self._heeding(watch.doing))
        runs = [
            Running(self.lane(hw), backends[hw], heeding if at_once else watch, started)
            for hw in dict.fromkeys(one.place[0] for one in self.targets)
        ]
        interrupted = False
        try:
            if at_once:
                self._serve_at_once(runs)
            else:
                _serve_inturn(runs)
        except KeyboardInterrupt:
            interrupted = True
        return interrupted, watch.clock() - started

    def results(self, elapsed_s: float, *, interrupted: bool = False) -> list[Result]:
        """What was found of each target so far."""
        return [one.searcher.result(elapsed_s, interrupted=interrupted) for one in self.targets]

    def ask(self, among: Sequence[TargetSearch], count: int, elapsed_s: float) -> Iterator[Asked]:
        """At most `count` requests of the targets `among`, each in its turn, which first hears of all others.

        None asks for more at once than it asked for before, beyond a few: what it hears meanwhile is to be of use.
        """
        open_ = [one for one in among if not one.has_ended]
        count = min(count, self._due(open_, elapsed_s))
        each = math.ceil(count / max(1, len(open_)))
        for target in sorted(open_, key=turn):
            target.hear(self.targets)
            size = max(LEAST_OF_A_TARGET, min(each, target.searcher.num_asked))
            due = self._due([target], elapsed_s)
            with self._lock:
                part = min(size, count, due, self.left(elapsed_s))
                requests = target.searcher.ask(part)
            target.has_ended = part > 0 and not requests
            count -= len(requests)
            yield from (Asked(target.searcher, request, target.record) for request in requests)
            if count <= 0:
                return

    def _due(self, among: Sequence[TargetSearch], elapsed_s: float) -> int:
        """Of the trials that are left, those that the open targets `among` may have until each open one has its share by weight."""
        going = [one for one in self.targets if not one.has_ended]
        with self._lock:
            left = self.left(elapsed_s)
            whole = left + sum(one.searcher.num_asked for one in going)
            share = sum(one.weight for one in among) / sum(one.weight for one in going) if among else 0.0
            due = math.ceil(whole * share) - sum(one.searcher.num_asked for one in among)
        return min(left, max(0, due))

    @property
    def num_trials(self) -> int:
        """Of all targets so far."""
        return sum(len(one.searcher.trials) for one in self.targets)

    def left(self, elapsed_s: float) -> int:
        """Trials that the budget allows beside all that are under way."""
        return self.budget.left(sum(one.searcher.num_asked for one in self.targets), elapsed_s)

    def _heeding(self, shown: Callable[..., None]) -> Callable[..., None]:
        """The same, but it ends the lane that calls it if the search is to end."""

        def show(*said: object) -> None:
            if self._stopped.is_set():
                raise KeyboardInterrupt
            shown(*said)

        return show

    def _serve_at_once(self, runs: Sequence[Running]) -> None:
        with ThreadPoolExecutor(len(runs), thread_name_prefix="device") as pool:
            serving = [pool.submit(self._serve, one) for one in runs]
            try:
                wait(serving, return_when=FIRST_EXCEPTION)
            finally:
                if any(one.done() and one.exception() for one in serving) or not all(one.done() for one in serving):
                    self._stopped.set()
                wait(serving)
        failed = [error for one in serving if (error := one.exception()) is not None]
        failed.sort(key=lambda error: isinstance(error, KeyboardInterrupt))
        if failed:
            raise failed[0]

    def _serve(self, one: Running) -> None:
        while not self._stopped.is_set() and one.step():
            pass


def _serve_inturn(runs: Sequence[Running]) -> None:
    going = list(runs)
    while going:
        going = [one for one in going if one.step()]


def turn(target: TargetSearch) -> tuple[bool, float]:
    """Whose turn comes first: who had no trial yet, then who had fewest for its weight."""
    spent = target.searcher.num_asked
    return spent > 0, (spent + 1) / target.weight


@dataclass(frozen=True)
class _Lane(Asker):
    """The targets of one device."""

    search: SearchOfTargets
    targets: Sequence[TargetSearch]

    @property
    def searchers(self) -> list[Searcher]:
        return [one.searcher for one in self.targets]

    @property
    def num_trials(self) -> int:
        return self.search.num_trials

    def ask(self, count: int, elapsed_s: float) -> list[Asked]:
        return list(self.search.ask(self.targets, count, elapsed_s))

    def left(self, elapsed_s: float) -> int:
        return self.search.left(elapsed_s)

    def seconds_left(self, elapsed_s: float) -> float:
        return self.search.budget.seconds_left(elapsed_s)
