"""What the trials of a search say of one law: each kind of claim is judged as `kg` judges it, by what was tried so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal, Protocol

from spak.kg.evidence.judge import MIN_REFERENCES, MIN_TIED
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import AxisTest
from spak.kg.model.base import Configuration, Scalar
from spak.kg.model.features import COMPILED_FEATURES
from spak.kg.model.law import Bound
from spak.kg.model.run import Measurement, Trial
from spak.kg.space.factors import Mask
from spak.tuner.knowledge.restriction import Rule

Agreement = Literal["agrees", "contradicts", "open"]

MIN_ALONE = 128
"""Trials after which a law about compiled features that fewer than `MIN_REFERENCES` are outside of names all there is.

What it does not name is then so rare that the best of all trials has to do for the best of the others.
"""

SLOWDOWN = "slowdown"
FAILURE = "failure_rate"
CHANGE = "change"


@dataclass(frozen=True)
class Finding:
    """What trials say of one law that names their configurations: one trial, or of an axis those that differ in it alone.

    Attributes:
        outcome: `open` where they cannot tell: the law is about time and nothing was timed.
        effect: What was observed, by effect name.
        at_most: Effects that the claim bounds from above only.
    """

    law: str
    outcome: Agreement
    effect: dict[str, float]
    at_most: frozenset[str] = frozenset()


class Tally(Protocol):
    """How one law stands in a search."""

    rule: Rule

    def note(self, trial: Trial, *, is_named: bool) -> None:
        """Take in a finished trial, of what the law names or not."""
        ...

    def findings(self) -> Iterator[Finding]:
        """What the trials so far say of it."""
        ...

    def is_contradicted(self) -> bool:
        """Whether what was noted since it was last asked contradicts the law."""
        ...


def tally(rule: Rule, objective: str, safe: Mask) -> Tally:
    """How `rule` stands before the first trial.

    Args:
        rule: One that is audited.
        objective: The measurement that ranks.
        safe: (N,) what may be tried.
    """
    test = meaning(rule.law).test
    return AxisTally(rule, objective, test) if isinstance(test, AxisTest) else LawTally(rule, objective, safe)


class LawTally:
    """Of a law that says what whatever it names does: the trials it names, and the best of those it does not.

    Every trial is judged once against each best there was, not against all after each trial.
    """

    def __init__(self, rule: Rule, objective: str, safe: Mask) -> None:
        """Nothing is known yet of `rule`; see `tally`."""
        self.rule, self._objective = rule, objective
        self._num_all = int(safe.sum())
        self._num_others = None if rule.named is None else int((safe & ~rule.named).sum())
        self._named: list[Trial] = []
        self._others: list[Measurement] = []
        self._num_tried = 0
        self._num_judged = 0
        self._best: Measurement | None = None

    @property
    def lacks_others(self) -> bool:
        """Whether too few of what it does not name were tried to judge it by."""
        return len(self._others) < MIN_REFERENCES and not self._names_all

    @property
    def _names_all(self) -> bool:
        """Whether all that it does not name was tried, as far as anybody can tell."""
        if self._num_others is not None:
            return self._num_tried >= self._num_others
        return self._num_tried + len(self._named) >= min(MIN_ALONE, self._num_all)

    def note(self, trial: Trial, *, is_named: bool) -> None:
        """Take in a finished trial."""
        mine = timed(trial, self._objective)
        if is_named:
            self._named.append(trial)
        else:
            self._num_tried += 1
            self._others += [] if mine is None else [mine]
        reference = self._reference()
        if reference is not self._best:
            self._best, self._num_judged = reference, 0

    def findings(self) -> Iterator[Finding]:
        """What every trial that the law names says of it, against the best of the others so far."""
        return (self._judge(trial) for trial in self._named)

    def is_contradicted(self) -> bool:
        """Whether a trial that was not judged against this best yet contradicts the law."""
        fresh, self._num_judged = self._named[self._num_judged :], len(self._named)
        return any(self._judge(trial).outcome == "contradicts" for trial in fresh)

    def _judge(self, trial: Trial) -> Finding:
        return judge_trial(self.rule, trial, objective=self._objective, best=self._best)

    def _reference(self) -> Measurement | None:
        """What a slowdown is counted from: the best that it does not name; where there are few such, the best of all.

        A law that names everything is so held against the best of what it names, and refutes itself.
        """
        if len(self._others) >= MIN_REFERENCES:
            return min(self._others, key=lambda m: m.value)
        if not self._names_all:
            return None
        every = [
            *self._others,
            *(found for trial in self._named if (found := timed(trial, self._objective)) is not None),
        ]
        return min(every, key=lambda m: m.value) if len(every) >= min(MIN_REFERENCES, self._num_all) else None


_Twins = Mapping[Scalar, Measurement]
"""Times of configurations alike but for the axis, by its value."""


@dataclass
class AxisTally:
    """Of a law that calls an axis indifferent: trials that are alike but for it.

    Judged by the median, over at least `MIN_TIED` configurations, of what the value that stands for the others
    changes to another one: for each value, and for whichever of those tried differs most.
    """

    rule: Rule
    objective: str
    test: AxisTest
    _contexts: dict[tuple[Scalar, ...], dict[Scalar, Measurement]] = field(default_factory=dict)
    _kept: dict[tuple[Scalar, ...], tuple[float, Configuration, Scalar]] = field(default_factory=dict)
    _num_fresh: int = 0

    def note(self, trial: Trial, *, is_named: bool) -> None:
        """Take in a finished trial; of what is not named, the value stands for the others."""
        value = trial.configuration.get(self.test.name)
        mine = timed(trial, self.objective)
        if mine is None or value is None or value not in self.test.values:
            return
        key = tuple(other for name, other in trial.configuration.items() if name != self.test.name)
        self._contexts.setdefault(key, {})[value] = mine
        if not is_named:
            self._kept[key] = mine.value, trial.configuration, value
        self._num_fresh += len(self._contexts[key]) > 1

    def findings(self) -> Iterator[Finding]:
        """One in all, over every configuration with another value tried beside it."""
        matched = [seen for seen in self._contexts.values() if len(seen) > 1]
        if not matched or self.objective != "time":
            return
        low, high = _change(matched)
        outcome: Agreement = "open"
        if self._contradicts():
            outcome = "contradicts"
        elif high <= self.test.margin and len(matched) >= MIN_TIED:
            outcome = "agrees"
        yield Finding(self.rule.id, outcome, {CHANGE: (low + high) / 2}, frozenset({CHANGE}))

    def is_contradicted(self) -> bool:
        """Whether the changes seen contradict the law, if one was seen since it was last asked."""
        fresh, self._num_fresh = self._num_fresh, 0
        return bool(fresh) and self.objective == "time" and self._contradicts()

    def twins(self) -> Iterator[Configuration]:
        """What would tell most, first first: the best trials but for another value of the axis.

        One beside each of the best few, then all values beside these, then beside the next.
        """
        ranked = sorted(self._kept, key=lambda key: self._kept[key][0])
        known = [key for key in ranked if len(self._contexts[key]) > 1]
        fresh = [key for key in ranked if len(self._contexts[key]) == 1]
        for key in [*known, *fresh] if len(known) >= MIN_TIED else [*fresh, *known]:
            missing = [value for value in self.test.values if value not in self._contexts[key]]
            for value in sorted(missing, key=lambda value: sum(value in seen for seen in self._contexts.values())):
                yield {**self._kept[key][1], self.test.name: value}

    def _contradicts(self) -> bool:
        groups: list[Sequence[_Twins]] = [[seen for seen in self._contexts.values() if len(seen) > 1]]
        groups += [self._pairs(value) for value in self.test.values]
        return any(len(group) >= MIN_TIED and _change(group)[0] > self.test.margin for group in groups)

    def _pairs(self, value: Scalar) -> list[_Twins]:
        """The value that stands for all beside `value`, where both were tried."""
        beside = [(self._contexts[key], kept) for key, (_, _, kept) in self._kept.items() if value != kept]
        return [{kept: seen[kept], value: seen[value]} for seen, kept in beside if value in seen]


def _change(group: Sequence[_Twins]) -> tuple[float, float]:
    """Medians of the least and the most change that the intervals of the extremes allow."""
    least = [max(0.0, max(map(_low, seen.values())) / min(map(_high, seen.values())) - 1) for seen in group]
    most = [max(map(_high, seen.values())) / min(map(_low, seen.values())) - 1 for seen in group]
    return median(least), median(most)


def timed(trial: Trial, objective: str) -> Measurement | None:
    """The measurement that ranks; None of a trial that failed."""
    found = next((m for m in trial.measurements if m.name == objective), None)
    return found if trial.invalidity == "correct" else None


def judge_trial(rule: Rule, trial: Trial, *, objective: str, best: Measurement | None) -> Finding:
    """What `trial`, whose configuration `rule` names, says of its law against the `best` so far, if there is one.

    A `slowdown` is judged only if the objective is `time`, never by a prediction.
    """
    effect, outcomes = {}, set[Agreement]()
    for name, bound in rule.law.claim.effect.items():
        low_high = _observed(name, trial, objective, best)
        if low_high is None:
            outcomes.add("open")
            continue
        low, high = low_high
        effect[name] = (low + high) / 2
        outcomes.add(_compare(bound, low, high))
    outcome: Agreement = "open"
    if "contradicts" in outcomes:
        outcome = "contradicts"
    elif outcomes == {"agrees"}:
        outcome = "agrees"
    at_most = frozenset(name for name, bound in rule.law.claim.effect.items() if bound.at_least is None)
    return Finding(rule.id, outcome, effect, at_most)


def _compare(bound: Bound, low: float, high: float) -> Agreement:
    """A bound is contradicted only if the whole interval lies beyond it, and agrees only if all of it is within."""
    if (bound.at_least is not None and high < bound.at_least) or (bound.at_most is not None and low > bound.at_most):
        return "contradicts"
    inside = (bound.at_least is None or low >= bound.at_least) and (bound.at_most is None or high <= bound.at_most)
    return "agrees" if inside else "open"


def _observed(name: str, trial: Trial, objective: str, best: Measurement | None) -> tuple[float, float] | None:
    """95 % interval of the effect `name` in `trial`; None where the trial does not tell."""
    if name == FAILURE:
        failed = float(trial.invalidity != "correct")
        return failed, failed
    if name in COMPILED_FEATURES:
        value = trial.value(name)
        return None if value is None else (value, value)
    mine = next((m for m in trial.measurements if m.name == "time"), None)
    if name != SLOWDOWN or objective != "time" or mine is None or best is None:
        return None
    return _low(mine) / _high(best), _high(mine) / _low(best)


def _low(measurement: Measurement) -> float:
    return measurement.value if measurement.low is None else measurement.low


def _high(measurement: Measurement) -> float:
    return measurement.value if measurement.high is None else measurement.high


def contradicted(findings: Sequence[Finding]) -> list[str]:
    """Laws that a finding contradicts, sorted."""
    return sorted({finding.law for finding in findings if finding.outcome == "contradicts"})
