"""What the trials of a search say of one law: each kind of claim is judged as `kg` judges it, by what was tried so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import comb, inf
from statistics import median
from typing import Literal, Protocol

from spak.kg.evidence.judge import MIN_REFERENCES
from spak.kg.evidence.rows import MIN_TIED
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import AxisTest, SettingTest
from spak.kg.model.base import Configuration, Scalar
from spak.kg.model.features import COMPILED_FEATURES
from spak.kg.model.law import Bound
from spak.kg.model.run import Measurement, Trial
from spak.kg.space.masks import FactoredMask
from spak.tuner.knowledge.restriction import Rule

Agreement = Literal["agrees", "contradicts", "open"]

MIN_ALONE = 128
"""Trials after which a law about compiled features that fewer than `MIN_REFERENCES` are outside of names all there is.

What it does not name is then so rare that the best of all trials has to do for the best of the others.
"""

HEADROOM = 5.0
"""The best there is takes at least 1 / (1 + HEADROOM / n) of the best of n trials.

Source: decision 0064, from the exhaustive sweeps under laws/evidence.
"""

MAX_CHANCE = 0.05
"""How often an axis that matters in no more than half of the configurations may seem to matter in most of them."""

SLOWDOWN = "slowdown"
FAILURE = "failure_rate"
CHANGE = "change"
COST = "cost"

HOPE = 2.5
"""By how much less than `HEADROOM` a preference is hoped to have in store before the order follows it no longer."""


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

    @property
    def is_suspect(self) -> bool:
        """Whether the law would be contradicted if the best so far were the best there is."""
        ...


def tally(rule: Rule, objective: str, safe: FactoredMask) -> Tally:
    """How `rule` stands before the first trial.

    Args:
        rule: One that is audited.
        objective: The measurement that ranks.
        safe: What may be tried.
    """
    test = meaning(rule.law).test
    if isinstance(test, AxisTest):
        return AxisTally(rule, objective, test)
    if isinstance(test, SettingTest):
        return SettingTally(rule, objective, test, rule.count if rule.named is None else (safe & rule.named).sum())
    return LawTally(rule, objective, safe)


class LawTally:
    """Of a law that says what whatever it names does: the trials it names, and the best of those it does not.

    Every trial is judged once against each best there was, not against all after each trial.
    """

    def __init__(self, rule: Rule, objective: str, safe: FactoredMask) -> None:
        """Nothing is known yet of `rule`; see `tally`."""
        self.rule, self._objective = rule, objective
        self._num_all = safe.sum()
        self._num_others = None if rule.named is None else (safe & ~rule.named).sum()
        self._named: list[Trial] = []
        self._others: list[Measurement] = []
        self._num_tried = 0
        self._num_judged = 0
        self._best: Measurement | None = None
        self._fastest: tuple[float, Trial] | None = None

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
            if mine is not None and (self._fastest is None or _high(mine) < self._fastest[0]):
                self._fastest = _high(mine), trial
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
        fresh += [] if self._fastest is None else [self._fastest[1]]  # judged better the more others there are
        return any(self._judge(trial).outcome == "contradicts" for trial in fresh)

    @property
    def is_suspect(self) -> bool:
        """Whether its fastest trial would contradict it if the best so far were the best there is."""
        if self._fastest is None or self._best is None:
            return False
        found = judge_trial(self.rule, self._fastest[1], BestSoFar(self._objective, self._best))
        return found.outcome == "contradicts"

    def _judge(self, trial: Trial) -> Finding:
        room = 1.0 if self._names_all else headroom(len(self._others))
        return judge_trial(self.rule, trial, BestSoFar(self._objective, self._best, room))

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

    As the claim is about the median, it is contradicted once most of the configurations are beyond its margin: for one
    value beside that which stands for the others, or for whichever of those tried differs most.
    """

    rule: Rule
    objective: str
    test: AxisTest
    _contexts: dict[tuple[Scalar, ...], dict[Scalar, Measurement]] = field(default_factory=dict)
    _kept: dict[tuple[Scalar, ...], tuple[float, Configuration, Scalar]] = field(default_factory=dict)
    _num_fresh: int = 0
    _num_named: int = 0

    def note(self, trial: Trial, *, is_named: bool) -> None:
        """Take in a finished trial; of what is not named, the value stands for the others."""
        self._num_named += is_named
        value = trial.configuration.get(self.test.name)
        mine = timed(trial, self.objective)
        if mine is None or value is None or value not in self.test.values:
            return
        key = tuple(other for name, other in trial.configuration.items() if name != self.test.name)
        self._contexts.setdefault(key, {})[value] = mine
        if not is_named:
            self._kept[key] = _low(mine), trial.configuration, value
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

    @property
    def is_suspect(self) -> bool:
        """Whether the changes seen so far are beyond the margin, however few they are."""
        seen = [seen for seen in self._contexts.values() if len(seen) > 1]
        return bool(seen) and self.objective == "time" and _change(seen)[0] > self.test.margin

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
        if self._num_named == self.rule.count:  # all is known, and the median as `kg` judges by
            return any(len(group) >= MIN_TIED and _change(group)[0] > self.test.margin for group in groups)
        left = round((self.rule.count - self._num_named) / max(len(self.test.values) - 1, 1))
        beyond = [[_least_change(seen) > self.test.margin for seen in group] for group in groups]
        return any(_are_most(one, len(one) + left) for one in beyond)

    def _pairs(self, value: Scalar) -> list[_Twins]:
        """The value that stands for all beside `value`, where both were tried."""
        beside = [(self._contexts[key], kept) for key, (_, _, kept) in self._kept.items() if value != kept]
        return [{kept: seen[kept], value: seen[value]} for seen, kept in beside if value in seen]


def _are_most(beyond: Sequence[bool], total: int) -> bool:
    """Whether more than half of `total` are, by some of them: at `MAX_CHANCE` that only those drawn are."""
    num, count = sum(beyond), len(beyond)
    half = total // 2
    ways = sum(comb(half, k) * comb(total - half, count - k) for k in range(num, count + 1))
    return bool(num) and ways <= MAX_CHANCE * comb(total, count)


@dataclass
class SettingTally:
    """Of a law that prefers a setting: the best with it, and the best of what it is preferred to.

    Attributes:
        num_with: Configurations with the setting.
    """

    rule: Rule
    objective: str
    test: SettingTest
    num_with: int
    _with: list[Measurement] = field(default_factory=list)
    _others: list[Measurement] = field(default_factory=list)
    _num_tried: int = 0

    def note(self, trial: Trial, *, is_named: bool) -> None:
        """Take in a finished trial."""
        mine = timed(trial, self.objective)
        self._num_tried += is_named
        if mine is not None and is_named:
            self._with.append(mine)
        elif mine is not None and self._is_other(trial.configuration):
            self._others.append(mine)

    def findings(self) -> Iterator[Finding]:
        """One in all: what the setting costs."""
        if not self._with or not self._others or self.objective != "time":
            return
        low, high = self._cost(self._room, headroom(len(self._others)))
        outcome: Agreement = "contradicts" if low > self._within else "agrees" if high <= self._within else "open"
        low, high = self._cost()
        yield Finding(self.rule.id, outcome, {COST: (low + high) / 2}, frozenset({COST}))

    def is_contradicted(self) -> bool:
        """Whether the setting costs more than the law allows, whatever is found with it."""
        return self._is_comparable and self._cost(self._room)[0] > self._within

    @property
    def is_suspect(self) -> bool:
        """Whether so much was tried with the setting that something as good as the rest should have been among it."""
        return self._is_comparable and self._cost(1 + (self._room - 1) / HOPE)[0] > self._within

    @property
    def _is_comparable(self) -> bool:
        return self.objective == "time" and min(len(self._with), len(self._others)) >= MIN_REFERENCES

    @property
    def _room(self) -> float:
        """How many times as long as the best there is with the setting the best so far may take."""
        return 1.0 if self._num_tried >= self.num_with else headroom(len(self._with))

    @property
    def _within(self) -> float:
        bound = self.rule.law.claim.effect.get(COST)
        return 0.0 if bound is None or bound.at_most is None else bound.at_most

    def _cost(self, room: float = 1.0, room_of_others: float = 1.0) -> tuple[float, float]:
        """From the least to the most that the setting costs, minus 1, if the best of either side is not found yet."""
        mine, other = (min(side, key=lambda m: m.value) for side in (self._with, self._others))
        return _low(mine) / room / _high(other) - 1, _high(mine) * room_of_others / _low(other) - 1

    def _is_other(self, configuration: Configuration) -> bool:
        over = [one for one in self.test.over if one.items() <= configuration.items()]
        return bool(over) or not self.test.over


def _change(group: Sequence[_Twins]) -> tuple[float, float]:
    """Medians of the least and the most change that the intervals of the extremes allow."""
    most = [max(map(_high, seen.values())) / min(map(_low, seen.values())) - 1 for seen in group]
    return median(map(_least_change, group)), median(most)


def _least_change(seen: _Twins) -> float:
    """The least change that the intervals of the extremes allow."""
    return max(0.0, max(map(_low, seen.values())) / min(map(_high, seen.values())) - 1)


def timed(trial: Trial, objective: str) -> Measurement | None:
    """The measurement that ranks; None of a trial that failed."""
    found = next((m for m in trial.measurements if m.name == objective), None)
    return found if trial.invalidity == "correct" else None


def headroom(num_trials: int) -> float:
    """How many times as long as the best there is the best of so many trials may take."""
    return 1 + HEADROOM / num_trials if num_trials else inf


@dataclass(frozen=True)
class BestSoFar:
    """What a slowdown is counted from.

    Attributes:
        best: The best time so far; None if too little was tried.
        room: How many times as long as the best there is that may take.
    """

    objective: str
    best: Measurement | None
    room: float = 1.0


def judge_trial(rule: Rule, trial: Trial, reference: BestSoFar) -> Finding:
    """What `trial`, whose configuration `rule` names, says of its law against the best so far, if there is one.

    A `slowdown` is judged only if the objective is `time`, never by a prediction.
    """
    effect, outcomes = {}, set[Agreement]()
    for name, bound in rule.law.claim.effect.items():
        low_high = _observed(name, trial, reference)
        if low_high is None:
            outcomes.add("open")
            continue
        low, high = low_high
        effect[name] = (low + high) / 2
        outcomes.add(_compare(bound, low, high * reference.room if name == SLOWDOWN else high))
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


def _observed(name: str, trial: Trial, reference: BestSoFar) -> tuple[float, float] | None:
    """95 % interval of the effect `name` in `trial`; None where the trial does not tell."""
    if name == FAILURE:
        failed = float(trial.invalidity != "correct")
        return failed, failed
    if name in COMPILED_FEATURES:
        value = trial.value(name)
        return None if value is None else (value, value)
    mine = next((m for m in trial.measurements if m.name == "time"), None)
    best = reference.best
    if name != SLOWDOWN or reference.objective != "time" or mine is None or best is None:
        return None
    return _low(mine) / _high(best), _high(mine) / _low(best)


def _low(measurement: Measurement) -> float:
    return measurement.value if measurement.low is None else measurement.low


def _high(measurement: Measurement) -> float:
    return measurement.value if measurement.high is None else measurement.high


def contradicted(findings: Sequence[Finding]) -> list[str]:
    """Laws that a finding contradicts, sorted."""
    return sorted({finding.law for finding in findings if finding.outcome == "contradicts"})
