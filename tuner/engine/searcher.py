"""Chooses what one search tries next, whoever evaluates it. Decides nothing that a law or a strategy does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec
import numpy as np

from spak.kg.law.kinds.base import Power
from spak.kg.model.run import Measurement, Trial
from spak.kg.space.factors import Codes
from spak.kg.space.space import Space
from spak.tuner.backend.base import Request
from spak.tuner.chance import Indices, Purpose, stream
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.doubt import Doubt, hidden_by, is_aside
from spak.tuner.engine.tally import Finding
from spak.tuner.knowledge.known import Knowledge
from spak.tuner.knowledge.restriction import Restriction, Rule
from spak.tuner.strategy.base import Hearing, Observation, SpaceView, Strategy


@dataclass(frozen=True)
class RunningSearch:
    """What is searched, and with what.

    Attributes:
        strategy: Makes a new strategy; called again when laws turn out contradicted and the space grows.
        order: (N,) permutation of the space, best first, from what is known elsewhere; None: what the laws say, if any.
        incumbent: Index of what would run here if nothing were searched; tried at once, unless it is unsafe. None: the default.
    """

    restriction: Restriction
    strategy: Callable[[], Strategy]
    budget: Budget
    seed: int = 0
    order: Indices | None = None
    incumbent: int | None = None


@dataclass(frozen=True)
class Result:
    """What a search found.

    Attributes:
        trials: In the order they finished, those of a resumed journal first.
        indices: Place of each trial's configuration in the space.
        restriction: The laws as they ended, with those the search found contradicted.
        findings: What the trials say of the laws that name their configurations, judged against the final best.
        num_unsafe: Configurations that were not tried because of safety, where nothing else was left to try; else 0.
    """

    trials: tuple[Trial, ...]
    indices: tuple[int, ...]
    restriction: Restriction
    findings: tuple[Finding, ...]
    audited: int
    elapsed_s: float
    interrupted: bool
    num_unsafe: int = 0


@dataclass
class Searcher:
    """Chooses what is tried next, whoever evaluates it: default, audits and strategy, under laws that may fall.

    Attributes:
        search: Of its budget only the share of audits matters here.
        objective: Measurement that ranks trials, lower is better.
    """

    search: RunningSearch
    objective: str
    trials: list[Trial] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)
    tried: set[int] = field(default_factory=set)
    num_audited: int = 0
    num_proposed: int = 0
    open: dict[int, str] = field(default_factory=dict)
    best: tuple[float, int] | None = None
    known: Knowledge | None = None
    """What it heard while it ran."""

    def __post_init__(self) -> None:
        self.space = self.search.restriction.space
        self.doubt = Doubt(self.search.restriction, self.objective, partial(stream, self.search.seed))
        laws = self._law_order() if self.restriction.rules else None
        self.order = laws if self.search.order is None else self.search.order
        self._start_strategy()

    @property
    def restriction(self) -> Restriction:
        """The laws as they stand."""
        return self.doubt.restriction

    @property
    def num_asked(self) -> int:
        """Trials so far, and requests whose trials are to come."""
        return len(self.trials) + len(self.open)

    @property
    def num_free(self) -> int:
        """Configurations of the space that were neither asked for nor set aside."""
        return len(self.space) - len(self.tried) - len(self.doubt.asides)

    def restore(self, done: Sequence[Trial]) -> None:
        """Take over the trials of a journal."""
        for trial in done:
            index = self.space.index(trial.configuration)
            if index is None:
                continue
            if is_aside(trial):
                self.set_aside(index, trial)
            else:
                self.take(index, trial)
        self.reconsider()

    def result(self, elapsed_s: float, *, interrupted: bool = False) -> Result:
        """What was found so far."""
        aside = list(self.doubt.remaining())
        return Result(
            trials=(*self.trials, *(trial for _, trial in aside)),
            indices=(*self.indices, *(index for index, _ in aside)),
            restriction=self.restriction,
            findings=self.doubt.findings(),
            audited=sum(trial.origin == "audit" for trial in self.trials),
            elapsed_s=elapsed_s,
            interrupted=interrupted,
            num_unsafe=self._num_unsafe(),
        )

    def ask(self, count: int) -> list[Request]:
        """What to evaluate next, at most `count`; fewer where the space ends, none where it has ended.

        What was asked for counts as tried; each trial of it is due to `take`.
        """
        if count <= 0:
            return []
        chosen: list[tuple[int, str]] = []
        default = self.space.default_index
        if default is not None and self._is_free(default) and not self.restriction.unsafe[default]:
            chosen.append((default, "default"))
        incumbent = self.search.incumbent
        if incumbent not in {None, default} and self._is_free(incumbent) and not self.restriction.unsafe[incumbent]:
            chosen.append((incumbent, "strategy"))
        audited = self.num_audited + sum(origin == "audit" for origin in self.open.values())
        spent, fallen = len(self.trials) + len(self.open), self.doubt.num_fallen
        due = self.search.budget.audits_due(spent, count, fallen) - audited
        chosen += [(index, "audit") for index in self._take_audits(min(due, count - len(chosen)))]
        taken = {index for index, _ in chosen}
        chosen += [(index, "strategy") for index in self._propose(count - len(chosen), taken)]
        self.open |= dict(chosen[:count])
        self.tried.update(self.open)
        problem = self.space.setting.problem
        return [Request(self.space.config(index), problem, origin, index) for index, origin in chosen[:count]]

    def take(self, index: int, trial: Trial) -> None:
        """Note a finished trial of configuration `index` of the space, asked for or not, and tell the strategy."""
        self.open.pop(index, None)
        self.trials.append(trial)
        self.indices.append(index)
        self.num_audited += trial.origin == "audit"
        self.tried.add(index)
        value = self._value(trial)
        if value is not None and (self.best is None or value < self.best[0]):
            self.best = (value, index)
        self.doubt.note(index, trial, value)
        row = self._row(index)
        if row is not None:
            self.strategy.tell([Observation(row, value)])

    def signed(self, index: int, trial: Trial) -> Trial:
        """`trial` with whose knowledge spoke for it."""
        row = self._row(index)
        if row is None or trial.origin != "strategy" or not isinstance(self.strategy, Hearing):
            return trial
        whose = self.strategy.whose(row)
        return msgspec.structs.replace(trial, whose=whose) if whose else trial

    def hear(self, known: Knowledge) -> None:
        """Go on from what is known elsewhere by now, as far as the strategy starts from any."""
        self.known = known
        if isinstance(self.strategy, Hearing):
            self.strategy.hear(known)

    def hidden(self, request: Request, features: dict[str, float]) -> Trial | None:
        """What a journal keeps of a request that laws hide by what it was compiled to; None: it is to be evaluated."""
        rules = self.doubt.hiding(request.configuration, features)
        hiding = next((rule for rule in rules if _hides(rule, request.origin)), None)
        return None if hiding is None else _aside(request, hiding, features)

    def set_aside(self, index: int, trial: Trial) -> None:
        """Note that laws hide configuration `index` by what it was compiled to; to the strategy it failed."""
        self.open.pop(index, None)
        self.tried.discard(index)
        self.doubt.set_aside(index, trial)
        row = self._row(index)
        if row is not None:
            self.strategy.tell([Observation(row, None)])

    def reconsider(self) -> None:
        """Let laws that the trials so far contradict have no more effect; what they hid is searched from now on."""
        if self.doubt.reconsider():
            self._start_again()

    def _is_free(self, index: int) -> bool:
        return index not in self.tried and index not in self.doubt.asides

    def _take_audits(self, count: int) -> list[int]:
        found: list[int] = []
        best = None if self.best is None else self.best[1]
        taken = {*self.tried, *self.doubt.asides}
        taken |= set() if self.space.default_index is None else {self.space.default_index}
        while len(found) < count:
            index = self.doubt.audit({*taken, *found}, best)
            if index is None:
                break
            found.append(index)
        return found

    def _propose(self, count: int, taken: set[int]) -> list[int]:
        """Every second one from what fallen laws had hidden, while there is such a lead; the rest from the strategy.

        When that has no more, what laws still hide comes too.
        """
        found: list[int] = []
        while len(found) < count:
            self.num_proposed += 1
            out = {*self.tried, *self.doubt.asides, *taken, *found}
            lead = self.doubt.lead.next(out) if self.num_proposed % 2 else None
            if lead is not None:
                found.append(lead)
                continue
            asked = self.strategy.ask(1 if self.doubt.lead.is_open else count - len(found))
            if asked:
                found += [index for row in asked if (index := int(self.allowed[row])) not in out]
            elif self.doubt.give_way():
                self._start_again()
            else:
                break
        return found

    def _num_unsafe(self) -> int:
        """Configurations that only laws about safety keep from being tried; 0 while there are others."""
        unsafe = self.restriction.unsafe.flat
        unsafe[[index for index, aside in self.doubt.asides.items() if aside.unsafe]] = True
        tried = np.zeros(len(self.space), np.bool_)
        tried[list(self.tried)] = True
        return int((unsafe & ~tried).sum()) if (unsafe | tried).all() else 0

    def _law_order(self) -> Indices:
        return self.restriction.order(stream(self.search.seed, Purpose.LAW_ORDER, self.doubt.num_changes))

    def _start_again(self) -> None:
        if self.search.order is None or self.restriction.contested:
            self.order = self._law_order()
        self._start_strategy()

    def _start_strategy(self) -> None:
        """Begin, or begin again after a law fell: the strategy sees what is not removed and all that was tried."""
        removed = self.restriction.removed
        self.allowed = np.flatnonzero(~removed)
        order = self.order
        if order is not None and removed.any():
            order = (np.cumsum(~removed, dtype=np.int32) - 1)[order[~removed[order]]]
        self.strategy = self.search.strategy()
        view = SpaceView(len(self.allowed), self.space.cardinalities, order, partial(_codes, self.space, self.allowed))
        self.strategy.start(view, stream(self.search.seed, Purpose.STRATEGY, self.doubt.num_changes))
        told = zip(map(self._row, self.indices), self.trials, strict=True)
        known = [Observation(row, self._value(trial)) for row, trial in told if row is not None]
        if known:
            self.strategy.tell(known)
        if self.known is not None:
            self.hear(self.known)

    def _row(self, index: int) -> int | None:
        """Where the strategy sees configuration `index`; None if the laws remove it."""
        return None if self.restriction.removed[index] else int(np.searchsorted(self.allowed, index))

    def _value(self, trial: Trial) -> float | None:
        return trial.value(self.objective) if trial.invalidity == "correct" else None


def _codes(space: Space, rows: Indices) -> Codes:
    return space.codes if len(rows) == len(space) else space.codes[rows]


def _hides(rule: Rule, origin: str) -> bool:
    """Whether a law that names a compiled configuration keeps it from being evaluated; only safety exempts nothing."""
    return rule.power is Power.REMOVE and (origin == "strategy" or rule.is_safety)


def _aside(request: Request, rule: Rule, features: dict[str, float]) -> Trial:
    """A configuration that was compiled and, by its features, not evaluated."""
    return request.trial(
        invalidity="constraints",
        failure=hidden_by(rule),
        measurements=tuple(Measurement(name=name, value=value) for name, value in features.items()),
    )
