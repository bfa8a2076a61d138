"""No law may hide its own counter-evidence: what to try where the laws say not to look, and what it says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spak.kg.evidence.judge import MIN_REFERENCES
from spak.kg.model.features import COMPILED_FEATURES
from spak.kg.model.law import Bound
from spak.kg.model.run import Measurement, Trial
from spak.kg.space.factors import Codes, Mask
from spak.tuner.chance import Ties
from spak.tuner.knowledge.restriction import Restriction, Rule

Agreement = Literal["agrees", "contradicts", "open"]

SLOWDOWN = "slowdown"
FAILURE = "failure_rate"


@dataclass(frozen=True)
class Finding:
    """What one trial says of one law that names its configuration.

    Attributes:
        outcome: `open` where the trial cannot tell: the law is about time and nothing was timed.
        effect: What was observed, by effect name.
        at_most: Effects that the claim bounds from above only.
    """

    law: str
    outcome: Agreement
    effect: dict[str, float]
    at_most: frozenset[str] = frozenset()


class Audits:
    """Configurations that laws remove or postpone, those first whose removal would cost most if the law were wrong.

    In turn from each law, the one that names most first. Of what a law names, what no other law speaks against; of
    that, in one round what differs least from the best trial so far, in the next what differs least from the default:
    only the law stands between it and a trial.
    """

    def __init__(self, restriction: Restriction, rng: np.random.Generator) -> None:
        self._restriction, self._space = restriction, restriction.space
        rules = [rule for rule in restriction.live if rule.is_audited and rule.named is not None]
        self._rules = sorted(rules, key=lambda rule: -rule.count)
        self._unsafe = np.zeros(len(restriction.space), np.bool_)
        for rule in restriction.live:
            if rule.is_safety and rule.named is not None:
                self._unsafe |= rule.named
        self._ties = Ties(rng)
        self._default = restriction.space.default_codes
        self._turn = 0

    def next(self, taken: Iterable[int], best: int | None) -> int | None:
        """The next to audit, none of `taken`; None if every configuration that a law names is. `best` is the best trial's."""
        free = ~self._unsafe
        free[list(taken)] = False
        for _ in self._rules:
            turns, place = divmod(self._turn, len(self._rules))
            self._turn += 1
            nearest_to = self._default if best is None or turns % 2 else self._space.at([best])[0]
            found = self._nearest(self._rules[place], free, nearest_to)
            if found is not None:
                return found
        return None

    def _nearest(self, rule: Rule, free: Mask, codes: Codes | None) -> int | None:
        assert rule.named is not None  # noqa: S101 - others are not audited
        rows = np.flatnonzero(rule.named & free)
        if not len(rows):
            return None
        others = self._restriction.penalty[rows]  # its own weight is in each of them
        rows = rows[others == others.min()]
        if codes is not None:
            distance = self._space.distance(codes)[rows]
            rows = rows[distance == distance.min()]
        return self._ties.first(rows)


class LawTally:
    """How one law stands in a search: the trials it names, and the best of those it does not.

    Every trial is judged once against each best there was, not against all after each trial.
    """

    def __init__(self, rule: Rule, objective: str) -> None:
        """Nothing is known yet of `rule`; `objective` is the measurement that ranks."""
        self.rule, self._objective = rule, objective
        self._named: list[Trial] = []
        self._others = 0
        self._best: Measurement | None = None
        self._num_judged = 0

    def note(self, trial: Trial, *, is_named: bool) -> None:
        """Take in a finished trial."""
        if is_named:
            self._named.append(trial)
            return
        mine = next((m for m in trial.measurements if m.name == self._objective), None)
        if mine is None or trial.invalidity != "correct":
            return
        self._others += 1
        is_better = self._best is None or mine.value < self._best.value
        if is_better:
            self._best = mine
        if is_better or self._others == MIN_REFERENCES:
            self._num_judged = 0

    def findings(self) -> Iterator[Finding]:
        """What every trial that the law names says of it, against the best of the others so far."""
        return (self._judge(trial) for trial in self._named)

    def is_contradicted(self) -> bool:
        """Whether a trial that was not judged against this best yet contradicts the law."""
        fresh, self._num_judged = self._named[self._num_judged :], len(self._named)
        return any(self._judge(trial).outcome == "contradicts" for trial in fresh)

    def _judge(self, trial: Trial) -> Finding:
        best = self._best if self._others >= MIN_REFERENCES else None
        return judge_trial(self.rule, trial, objective=self._objective, best=best)


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
