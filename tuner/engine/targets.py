"""One search of many targets, problem sizes times devices of one op: each has a searcher, they share a budget and what they find.

What other targets of the search tried joins what is recorded elsewhere, as if it were in run files, while all of them go
on. Nothing here knows a law, a strategy or a backend.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field

from spak.tuner.engine.budget import Budget
from spak.tuner.engine.loop import Result, Running, Searcher
from spak.tuner.engine.shares import Sharing, TargetClaim
from spak.tuner.knowledge.gather import Gathering
from spak.tuner.knowledge.source import Whereabouts

HEARD_GROWTH = 1.25
"""A target hears of the others when they have tried so many times as much as it heard of: its belief begins again each time."""


@dataclass
class TargetSearch:
    """One target while it is searched.

    Attributes:
        name: What a person calls it, such as `h200 m2048`.
        place: Its hardware id and problem size.
        weight: What its time counts beside that of the others; positive.
        running: Its searcher, and the backend of its device.
        gathering: What is known elsewhere, where trials of the others join; None: it hears nothing of them.
    """

    name: str
    place: Whereabouts
    weight: float
    running: Running
    gathering: Gathering | None = None
    num_heard: int = 0
    has_ended: bool = False

    @property
    def searcher(self) -> Searcher:
        """What chooses its configurations."""
        return self.running.searcher

    def claim(self) -> TargetClaim:
        """What speaks for giving it the next trials."""
        spent = len(self.searcher.trials) + len(self.searcher.open)
        return TargetClaim(self.name, spent, self.weight, self.searcher.promise())

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
    sharing: Sharing
    budget: Budget
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _reserved: dict[str, int] = field(default_factory=dict)

    def run(self, *, at_once: bool = False) -> tuple[bool, float]:
        """Search until the budget is spent, every space is exhausted, or the user interrupts; whether he did, and seconds.

        Args:
            at_once: Whether the devices work at the same time, each on its own targets; else one after the other, and
                the same seed gives the same trials.
        """
        lanes = list(self._lanes()) if at_once else [list(self.targets)]
        interrupted = False
        try:
            if len(lanes) == 1:
                self._serve(lanes[0])
            else:
                self._serve_at_once(lanes)
        except KeyboardInterrupt:
            interrupted = True
        return interrupted, self._elapsed_s()

    def results(self, *, interrupted: bool = False) -> list[Result]:
        """What was found of each target so far."""
        elapsed_s = self._elapsed_s()
        return [one.searcher.result(elapsed_s, interrupted=interrupted) for one in self.targets]

    def check_stopped(self) -> None:
        """End the lane that asks if the search is to end.

        Raises:
            KeyboardInterrupt: If it is.
        """
        if self._stopped.is_set():
            raise KeyboardInterrupt

    def _elapsed_s(self) -> float:
        return self.targets[0].running.elapsed_s()

    def _lanes(self) -> Iterator[list[TargetSearch]]:
        """The targets of each device."""
        for hw in dict.fromkeys(one.place[0] for one in self.targets):
            yield [one for one in self.targets if one.place[0] == hw]

    def _serve_at_once(self, lanes: Sequence[Sequence[TargetSearch]]) -> None:
        with ThreadPoolExecutor(len(lanes), thread_name_prefix="device") as pool:
            serving = [pool.submit(self._serve, lane) for lane in lanes]
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

    def _serve(self, lane: Sequence[TargetSearch]) -> None:
        """Give a device its targets' trials, until there is nothing left to do."""
        while not self._stopped.is_set():
            with self._lock:
                open_ = [one for one in lane if not one.has_ended]
                if not open_:
                    return
                chosen = self.sharing.choose([one.claim() for one in open_])
                target = next(one for one in open_ if one.name == chosen.name)
            target.hear(self.targets)
            with self._part_of_budget(target) as left:
                target.has_ended = not target.running.step(left, self.budget.seconds_left(self._elapsed_s()))

    @contextmanager
    def _part_of_budget(self, target: TargetSearch) -> Iterator[int]:
        """Trials that the target's next batch may be of: what the budget leaves beside all that others have under way."""
        with self._lock:
            spent = sum(len(one.searcher.trials) for one in self.targets)
            others = [one for one in self.targets if one is not target]
            asked = sum(max(len(one.searcher.open), self._reserved.get(one.name, 0)) for one in others)
            left = self.budget.left(spent + asked, self._elapsed_s())
            self._reserved[target.name] = min(left, target.running.backend.batch_size)
        try:
            yield left
        finally:
            with self._lock:
                del self._reserved[target.name]
