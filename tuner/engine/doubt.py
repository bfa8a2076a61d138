"""Which laws a search still follows: what each hides, what the trials say of it, and when it has no more effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np

from spak.kg.law.kinds.base import Power
from spak.kg.model.base import Configuration, Scalar
from spak.kg.model.run import Failure, Trial
from spak.kg.space.masks import union
from spak.tuner.chance import Purpose
from spak.tuner.engine.audit import Aside, Audits
from spak.tuner.engine.lead import Lead
from spak.tuner.engine.narrow import too_narrow
from spak.tuner.engine.tally import Finding, tally
from spak.tuner.knowledge.restriction import Restriction, Rule

REMOVED_BY_LAW = "RemovedByLaw"
"""`Failure.type` of a configuration that a law about compiled features hid to the end."""

MAX_ASIDE = 64
"""Configurations set aside one after the other before the law that names most of them leaves too little.

Compiling costs no trial, but time. A law that leaves a tenth of what is compiled does so once in a thousand trials.
"""

HOPELESS = "what it prefers is no better than the rest so far"
ALL_TRIED = "all that the laws leave was tried"


class Doubt:
    """The laws on one search. A law that trials contradict falls; one that leaves nothing to try is suspended.

    Attributes:
        restriction: The laws as they stand.
        asides: Configurations that laws about compiled features hide, by place in the space.
        lead: Where to look in what fallen laws had hidden.
    """

    def __init__(
        self, first: Restriction, objective: str, stream: Callable[[Purpose, int], np.random.Generator]
    ) -> None:
        """Begin with the laws `first`; `stream` gives the chance for a purpose, each time another."""
        self._stream, self._first, self._num_changes = stream, first, 0
        self._given_way: dict[str, str] = {}
        self._row_of_asides: list[Aside] = []
        self._suspects: frozenset[str] = frozenset()
        self.asides: dict[int, Aside] = {}
        self.restriction = first.suspend(too_narrow(first))
        self.tallies = {rule.id: tally(rule, objective, ~first.unsafe) for rule in first.rules if rule.is_doubted}
        self.lead = Lead(first.space, stream(Purpose.LEAD, 0))
        self._free()
        self._audits = Audits(self.restriction, self.tallies, self.lead.promising, stream(Purpose.AUDIT, 0))

    @property
    def num_changes(self) -> int:
        """How often the laws that have an effect changed."""
        return self._num_changes

    @property
    def num_fallen(self) -> int:
        """Contradicted laws that had been confirmed for this hardware: what came with them is likely no better."""
        return sum(rule.is_vouched and rule.id in self.restriction.contested for rule in self._first.rules)

    def note(self, index: int, trial: Trial, value: float | None) -> None:
        """Take in a finished trial of configuration `index`; `value` is None if it failed."""
        self.asides.pop(index, None)
        if trial.origin == "strategy":
            self._row_of_asides.clear()
        rules = [*self._first.speaking_of(index), *self._first.after_compiling(self._values(trial))]
        naming = {rule.id for rule in rules}
        for one in self.tallies.values():
            one.note(trial, is_named=one.rule.id in naming)
        if value is not None:
            self.lead.note(value, index)

    def findings(self) -> tuple[Finding, ...]:
        """What the trials so far say of the laws."""
        return tuple(found for one in self.tallies.values() for found in one.findings())

    def audit(self, taken: Collection[int], best: int | None) -> int | None:
        """What to try where the laws say not to look; it is no longer set aside."""
        found = self._audits.next(taken, best, self.asides)
        if found is not None:
            self.asides.pop(found, None)
        return found

    def hiding(self, configuration: Configuration, features: Mapping[str, float]) -> list[Rule]:
        """Laws about compiled features that speak against a configuration which has these, but for those in doubt."""
        rules = self.restriction.after_compiling({**self._first.space.setting.names, **configuration, **features})
        return [rule for rule in rules if rule.id not in self._suspects]

    def set_aside(self, index: int, trial: Trial) -> None:
        """Keep configuration `index` from being evaluated: `trial` has what it was compiled to."""
        rules = self._first.after_compiling(self._values(trial))
        unsafe = any(rule.is_safety and rule.power is Power.REMOVE for rule in rules)
        aside = Aside(trial, frozenset(rule.id for rule in rules), unsafe)
        self.asides[index] = aside
        if not unsafe:
            self._row_of_asides.append(aside)

    def reconsider(self) -> bool:
        """Let laws fall that the trials contradict, and suspend what leaves too little; whether that changed anything."""
        fallen = {name for name, one in self.tallies.items() if one.is_contradicted()} - self.restriction.contested
        if len(self._row_of_asides) >= MAX_ASIDE:
            self._suspend_most()
        elif not fallen and self._hopeless() == {
            law for law, why in self.restriction.suspended.items() if why == HOPELESS
        }:
            self._suspect()
            return False
        self._become(self.restriction.contest(sorted(fallen)))
        return True

    def give_way(self) -> bool:
        """Suspend every law that hides something, now that all else was tried; False if only safety hides anything."""
        hiding = [rule for rule in self.restriction.live if rule.power is Power.REMOVE and not rule.is_safety]
        if not hiding:
            return False
        self._given_way |= {rule.id: ALL_TRIED for rule in hiding}
        self._become(self.restriction)
        return True

    def remaining(self) -> Iterator[tuple[int, Trial]]:
        """What was set aside to the end."""
        return ((index, aside.trial) for index, aside in sorted(self.asides.items()))

    def _become(self, after: Restriction) -> None:
        """Follow the laws as in `after`, and search what those hid that have no more effect."""
        idle = {**dict.fromkeys(sorted(self._hopeless()), HOPELESS), **self._given_way}
        bare = after.suspend(idle)
        self.restriction = bare.suspend({**too_narrow(bare), **idle})
        self._row_of_asides.clear()
        self._suspects = frozenset(rule.id for rule in self.restriction.live if self._is_suspect(rule))
        self._release()
        self._num_changes += 1
        self._free()
        self._audits = Audits(
            self.restriction, self.tallies, self.lead.promising, self._stream(Purpose.AUDIT, self._num_changes)
        )

    def _release(self) -> None:
        """Set no longer aside what only laws name that have no more effect, or are in doubt."""
        hard = {rule.id for rule in self.restriction.live if rule.power is Power.REMOVE} - self._suspects
        self.asides = {index: aside for index, aside in self.asides.items() if aside.laws & hard}

    def _suspect(self) -> None:
        """Look at what laws hide that fall if nothing better is found of what they do not; they are followed meanwhile."""
        suspects = frozenset(rule.id for rule in self.restriction.live if self._is_suspect(rule))
        if suspects != self._suspects:
            self._suspects = suspects
            self._release()
            self._free()

    def _hopeless(self) -> set[str]:
        """Preferences that the order should follow no longer."""
        rules = [rule for rule in self._first.live if rule.power is Power.PREFER]
        return {r.id for r in rules if r.id not in self.restriction.contested and self.tallies[r.id].is_suspect}

    def _is_suspect(self, rule: Rule) -> bool:
        return rule.is_audited and self.tallies[rule.id].is_suspect

    def _free(self) -> None:
        """Let the lead look at what laws named that have no more effect, whether others name it or not.

        What a law of a relative, or an unconfirmed one, had named was only moved back, and is as likely as the rest.
        By compiled features that may be anything.
        """
        live = {rule.id for rule in self.restriction.live} - self._suspects
        vouched = [rule for rule in self._first.live if rule.is_audited and rule.is_vouched]
        idle = [rule.named for rule in vouched if rule.id not in live]
        freed = union((named for named in idle if named is not None), self._first.space.shape)
        if None in idle:
            freed |= ~freed
        self.lead.free((freed & ~self.restriction.unsafe).flat)

    def _suspend_most(self) -> None:
        """Suspend the law that names most of what was set aside last."""
        hard = {rule.id for rule in self.restriction.live if rule.power is Power.REMOVE and not rule.is_safety}
        names = Counter(law for aside in self._row_of_asides for law in sorted(aside.laws & hard))
        (law, count), *_ = names.most_common(1)
        self._given_way[law] = f"it names {count} of the last {len(self._row_of_asides)} that were compiled"

    def _values(self, trial: Trial) -> dict[str, Scalar]:
        """Every name that a law about compiled features may ask for."""
        features = {m.name: m.value for m in trial.measurements}
        return {**self._first.space.setting.names, **trial.configuration, **features}


def is_aside(trial: Trial) -> bool:
    """Whether a trial records that laws hid its configuration after compiling."""
    return trial.failure is not None and trial.failure.type == REMOVED_BY_LAW


def hidden_by(rule: Rule) -> Failure:
    """Why a configuration that `rule` hides after compiling was not evaluated."""
    return Failure(type=REMOVED_BY_LAW, message=f"{rule.id}: {rule.law.title}")
