"""One search: what is asked for is evaluated, until the budget ends. Decides nothing that a law, a strategy or a backend does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from spak.kg.model.run import Trial
from spak.tuner.backend.base import Backend, Patience, Request
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.longest import CompileSeconds
from spak.tuner.engine.searcher import Result, RunningSearch, Searcher

AHEAD = 2
"""Requests for each who compiles, where an asker that knows nothing yet would ask for fewer: one for when the first is done."""


@dataclass(frozen=True)
class SearchWatch:
    """How a search tells time, and what it shows of itself.

    Attributes:
        clock: Seconds that never go back.
        progress: Called with the trials and the seconds so far.
        doing: Called with what goes on while no trial finishes, and the seconds so far.
    """

    clock: Callable[[], float]
    progress: Callable[[int, float], None]
    doing: Callable[[str, float], None] = lambda *_: None


@dataclass(frozen=True)
class Hooks:
    """How a search meets the world.

    Attributes:
        record: Called with each finished trial, in order, before anything else happens.
        clock, progress, doing: As `SearchWatch` has them.
    """

    clock: Callable[[], float]
    record: Callable[[Trial], None]
    progress: Callable[[int, float], None]
    doing: Callable[[str, float], None] = lambda *_: None

    @property
    def watch(self) -> SearchWatch:
        """All but what keeps trials."""
        return SearchWatch(self.clock, self.progress, self.doing)


def run_search(search: RunningSearch, backend: Backend, hooks: Hooks, done: Sequence[Trial] = ()) -> Result:
    """Search until the budget is spent, the space is exhausted, or the user interrupts.

    Trials `done` in a journal that is resumed count as spent; the backend is not closed.
    """
    started = hooks.clock()
    searcher = Searcher(search, backend.provenance().objective)
    running = Running(Alone(searcher, search.budget, hooks.record), backend, hooks.watch, started)
    interrupted = False
    try:
        searcher.restore(done)
        while running.step():
            pass
    except KeyboardInterrupt:
        interrupted = True
    return searcher.result(hooks.clock() - started, interrupted=interrupted)


@dataclass(frozen=True)
class Asked:
    """A request on its way, and whose it is.

    Attributes:
        record: Called with what came of it, before anything else happens.
    """

    searcher: Searcher
    request: Request
    record: Callable[[Trial], None]

    def finish(self, trial: Trial) -> None:
        """Keep the trial that came of it, with whose knowledge spoke for it, and tell the searcher."""
        signed = self.searcher.signed(self.request.index, trial)
        self.record(signed)
        self.searcher.take(self.request.index, signed)

    def hidden(self, features: dict[str, float]) -> bool:
        """Whether laws hide it by what it was compiled to; then that is kept, and it is not to be evaluated."""
        aside = self.searcher.hidden(self.request, features)
        if aside is not None:
            self.record(aside)
            self.searcher.set_aside(self.request.index, aside)
        return aside is not None


class Asker(Protocol):
    """Who is asked what to evaluate next, whoever evaluates it: one searcher, or those of many targets."""

    @property
    def searchers(self) -> Sequence[Searcher]:
        """All that may be asked."""
        ...

    @property
    def num_trials(self) -> int:
        """Trials so far."""
        ...

    def ask(self, count: int, elapsed_s: float) -> Sequence[Asked]:
        """At most `count` requests; none where the budget is spent or nothing is left to try."""
        ...

    def left(self, elapsed_s: float) -> int:
        """Trials that the budget allows beside those under way."""
        ...

    def seconds_left(self, elapsed_s: float) -> float:
        """Of the budget."""
        ...


@dataclass(frozen=True)
class Alone(Asker):
    """One searcher with a budget of its own."""

    searcher: Searcher
    budget: Budget
    record: Callable[[Trial], None]

    @property
    def searchers(self) -> tuple[Searcher]:
        """The one."""
        return (self.searcher,)

    @property
    def num_trials(self) -> int:
        """Of the searcher."""
        return len(self.searcher.trials)

    def ask(self, count: int, elapsed_s: float) -> list[Asked]:
        """What the searcher asks for, as far as the budget goes."""
        requests = self.searcher.ask(min(count, self.left(elapsed_s)))
        return [Asked(self.searcher, request, self.record) for request in requests]

    def left(self, elapsed_s: float) -> int:
        """Trials that the budget allows beside those under way."""
        return self.budget.left(self.searcher.num_asked, elapsed_s)

    def seconds_left(self, elapsed_s: float) -> float:
        """Of the budget."""
        return self.budget.seconds_left(elapsed_s)


@dataclass
class Running:
    """A search, of one searcher or of many, whose configurations a backend evaluates in batches."""

    asker: Asker
    backend: Backend
    watch: SearchWatch
    started: float
    waiting: list[Asked] = field(default_factory=list)

    def step(self) -> bool:
        """One batch; False if there is nothing left to do.

        What would keep a batch waiting goes into the next one; the last one waits for all that was asked for, while
        there is time, and for the default in any case.
        """
        elapsed_s = self.elapsed_s()
        seconds_left = self.asker.seconds_left(elapsed_s)
        if not seconds_left:
            self.waiting = [one for one in self.waiting if one.request.origin == "default"]
        fresh = self._fresh(elapsed_s)
        asked = [*self.waiting, *fresh]
        if not asked:
            return False
        whole = not fresh or not self.asker.left(elapsed_s)
        late = self.backend.late([one.request for one in asked], self._patience(asked, seconds_left, whole=whole))
        self.waiting = [asked[place] for place in late]
        for one, trial in self._evaluate([one for place, one in enumerate(asked) if place not in late]):
            one.finish(trial)
            self.watch.progress(self.asker.num_trials, self.elapsed_s())
        for searcher in {id(one.searcher): one.searcher for one in asked}.values():
            searcher.reconsider()
        return True

    def elapsed_s(self) -> float:
        """Seconds since it began."""
        return self.watch.clock() - self.started

    def _fresh(self, elapsed_s: float) -> list[Asked]:
        """What to evaluate beside what waits; more than is asked for at once if those who compile had nothing to do else.

        A search that will try all that is left asks for all of it at its end: those who compile begin with what is
        likely to take longest, so that none has a long one when the others are done.
        """
        count = self.backend.batch_size - len(self.waiting)
        last = self._last(elapsed_s, count) if self.backend.num_compilers else None
        fresh = list(self.asker.ask(count if last is None else max(count, self._num_free), elapsed_s))
        while fresh and len(self.waiting) + len(fresh) < AHEAD * self.backend.num_compilers:
            more = self.asker.ask(count - len(fresh), elapsed_s)
            if not more:
                break
            fresh += more
        return fresh if last is None else sorted(fresh, key=lambda one: -last.expected_log(one.request))

    def _last(self, elapsed_s: float, count: int) -> CompileSeconds | None:
        """What compilations take, if all will be tried, and what `count` more leave lasts no longer than the longest of them."""
        if math.isfinite(self.asker.seconds_left(elapsed_s)) or not 0 < self._num_free <= self.asker.left(elapsed_s):
            return None
        known = CompileSeconds(trial for one in self.asker.searchers for trial in one.trials)
        lasts_s = known.keeps_busy_s(max(0, self._num_free - count), self.backend.num_compilers)
        return known if known.longest_s and lasts_s <= known.longest_s else None

    @property
    def _num_free(self) -> int:
        return sum(one.num_free for one in self.asker.searchers)

    def _patience(self, asked: Sequence[Asked], seconds_left: float, *, whole: bool) -> Patience:
        needed = [place for place, one in enumerate(asked) if one.request.origin == "default"]
        return Patience(seconds_left, whole, needed, lambda what: self.watch.doing(what, self.elapsed_s()))

    def _evaluate(self, asked: Sequence[Asked]) -> Iterator[tuple[Asked, Trial]]:
        """Compile, set aside what laws about compiled features hide, then evaluate the rest, what they postpone last."""
        if not any(rule.after is not None for one in asked for rule in one.searcher.restriction.live):
            yield from self._evaluated(asked)
            return
        first: list[Asked] = []
        last: list[Asked] = []
        features = self.backend.features([one.request for one in asked])
        for one, found in zip(asked, features, strict=True):
            if not one.hidden(found or {}):
                is_last = one.searcher.doubt.hiding(one.request.configuration, found or {})
                (last if is_last else first).append(one)
        for part in (first, last):
            yield from self._evaluated(part)

    def _evaluated(self, asked: Sequence[Asked]) -> Iterator[tuple[Asked, Trial]]:
        whose = {id(one.request): one for one in asked}
        for request, trial in self.backend.evaluate([one.request for one in asked]) if asked else ():
            yield whose[id(request)], trial
