"""A search that somebody else drives: ask for a configuration, try it, tell how it went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from spak.kg.expression.assignment import show_assignments
from spak.kg.model.base import Configuration, Scalar
from spak.kg.model.run import Failure, Measurement, Trial
from spak.kg.space.space import Space
from spak.tunable import Tunable
from spak.tuner.chance import Purpose, stream
from spak.tuner.engine.opening import Manner, Opening, opening
from spak.tuner.engine.searcher import Searcher
from spak.tuner.engine.tally import Finding
from spak.tuner.errors import TunerError
from spak.tuner.knowledge.gather import SearchTarget, recorded
from spak.tuner.knowledge.part import part

OBJECTIVE = "time"
"""What is told, and ranks: the median time of a launch, in microseconds."""


@dataclass(frozen=True)
class SessionResult:
    """What a session came to so far.

    Attributes:
        trials: In the order they were told; `origin` says why each was tried.
        best: The fastest that ran correctly; None if none did.
        contested: Ids of laws that the trials contradict; they have no more effect in this session.
        suspended: Laws that it goes on without although nothing contradicts them: id -> why, in words.
        findings: What the trials say of laws that speak against their configurations.
    """

    trials: tuple[Trial, ...]
    best: Trial | None
    contested: tuple[str, ...]
    findings: tuple[Finding, ...]
    suspended: Mapping[str, str]


class Session:
    """Chooses what is tried next: the default first, then what strategy, laws and recorded runs say, and audits.

    It is the loop of `tune search` and `tune replay`: the same space, seed and answers give the same trials. Several
    configurations may be asked for before the first is told. `Library.session` makes one.
    """

    def __init__(self, opening: Opening) -> None:
        """Begin."""
        self._first = opening.search
        self._searcher = Searcher(opening.search, OBJECTIVE)
        self.strategy = opening.strategy
        """Name of the strategy."""

    @property
    def space(self) -> Space:
        """What is searched."""
        return self._first.restriction.space

    def ask(self) -> dict[str, Scalar] | None:
        """The configuration to try next; None when the budget is spent or all was asked for.

        What laws removed comes when all else was asked for, so that nothing is lost for good.
        """
        searcher = self._searcher
        if not self._first.budget.left(len(searcher.trials) + len(searcher.open), 0.0):
            return None
        asked = searcher.ask(1)
        return dict(asked[0].configuration) if asked else None

    def tell(
        self,
        configuration: Configuration,
        *,
        time_us: float | None = None,
        failure: str = "",
        features: Mapping[str, float] | None = None,
    ) -> Trial:
        """Note how a configuration went, asked for or not.

        Args:
            configuration: Complete.
            time_us: Median time of a launch in microseconds, its results checked; None if it failed.
            failure: Why there is no time, in words.
            features: What its compilation gave (`spill_bytes`, `registers`); laws about them are judged by it.

        Returns:
            The trial as it was noted.

        Raises:
            TunerError: If it is not of the space, was told already, or there is not one of time and failure.
        """
        index = self.space.index(configuration)
        if index is None:
            raise TunerError(f"{show_assignments(configuration)}: not a configuration of this session's space")
        if index in self._searcher.indices:
            raise TunerError(f"{show_assignments(configuration)}: told already")
        if (time_us is None) == (not failure):
            raise TunerError("tell either time_us or failure")
        if time_us is not None and not (math.isfinite(time_us) and time_us > 0):
            raise TunerError(f"time_us is a positive number of microseconds (got {time_us})")
        found = [Measurement(name=name, value=value) for name, value in (features or {}).items()]
        if time_us is not None:
            found.append(Measurement(name=OBJECTIVE, value=time_us, unit="us"))
        trial = Trial(
            configuration=self.space.config(index),
            invalidity="runtime" if failure else "correct",
            measurements=tuple(found),
            problem=dict(self.space.setting.problem),
            origin=self._searcher.open.get(index, "told"),
            failure=Failure(type="Told", message=failure) if failure else None,
        )
        self._searcher.take(index, trial)
        self._searcher.reconsider()
        return trial

    @property
    def best(self) -> Trial | None:
        """The fastest trial that ran correctly; None if none did."""
        timed = [trial for trial in self._searcher.trials if trial.value(OBJECTIVE) is not None]
        return min(timed, key=lambda trial: trial.value(OBJECTIVE) or 0.0, default=None)

    def result(self) -> SessionResult:
        """What it came to so far."""
        found = self._searcher.result(0.0)
        laws = found.restriction
        return SessionResult(found.trials, self.best, tuple(sorted(laws.contested)), found.findings, laws.suspended)


def begin(asked: Tunable, manner: Manner, among: Sequence[Configuration] = ()) -> Session:
    """A session on the op's space or what is feasible `among` some; of a large one on what known runs speak of.

    Raises:
        KgError: If nothing is feasible.
        TunerError: If there is no such strategy.
    """
    whole, laws = asked.among(among) if among else asked.space, asked.laws
    target = SearchTarget(asked.hw, "other-problems", asked.size)
    is_bare = not laws.laws and not laws.run_ids
    space = whole if is_bare else part(whole, recorded(laws, whole, target), stream(manner.seed, Purpose.PART))
    budget = manner.budget if manner.budget.trials is not None else replace(manner.budget, trials=len(space))
    budget = replace(budget, audit=0.0) if is_bare else budget
    return Session(opening(None if is_bare else laws, space, target, replace(manner, budget=budget)))
