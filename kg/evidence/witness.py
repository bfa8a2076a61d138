"""What one run says of one law, recomputed from its raw trials: the evidence entry it is, or none.

Write-back, `kg check` and `kg verify` all ask here, so that they cannot disagree.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property

import numpy as np

from spak.kg.evidence.judge import MIN_PROBLEMS, MIN_REFERENCES, in_scope, judged, together
from spak.kg.evidence.numbers import judge_numbers, numbers_by_size
from spak.kg.evidence.rewriting import telling
from spak.kg.evidence.rows import Judgement, region_effects
from spak.kg.evidence.table import TrialTable, from_runs, problem_text
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import AxisTest, EffectTest, RewriteTest, SettingTest, TrialTest
from spak.kg.law.scope import Matcher, Question
from spak.kg.law.toolchain import compiler_of, holds_for
from spak.kg.law.unseen import size
from spak.kg.model.base import Scalar
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.law import Evidence, EvidenceRole, Law
from spak.kg.model.run import CONFIRM, Run, utc
from spak.kg.model.store import NodeStore

SPEAKING = frozenset({"measured", "compiled", "computed"})
"""Tiers whose runs hold trials that can be judged again."""

TABLED = frozenset({"measured", "compiled"})
"""Those whose trials are of one space and one objective, so that they make a table."""


@dataclass(frozen=True)
class RunWitness:
    """A run that can be asked about laws; `store` is the law root it belongs to."""

    run: Run
    store: NodeStore
    _said: list[tuple[Law, dict[str, Judgement]]] = field(default_factory=list, repr=False, compare=False)
    """The law asked about last, and what each problem size says of it."""
    _silent: list[tuple[Law, str]] = field(default_factory=list, repr=False, compare=False)
    """The law asked about last, and why the run cannot speak of it."""

    @cached_property
    def table(self) -> TrialTable | None:
        """Its trials; None if it has none that was made, or compares nothing but what its check is asked.

        None of trials that make no table either, such as those that differ in parameters: `kg check` says so.
        """
        if self.run.tier not in TABLED or all(trial.invalidity == "constraints" for trial in self.run.trials):
            return None
        with contextlib.suppress(ValueError):
            return from_runs([self.run])
        return None

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """Its problem sizes as evidence entries name them, sorted."""
        return tuple(sorted({problem_text(self.run.problem | trial.problem) for trial in self.run.trials}))

    @cached_property
    def facts(self) -> Mapping[str, Scalar]:
        """Hardware facts without `hw.`."""
        return hardware_facts(self.store, self.run.hw)

    @cached_property
    def toolchain(self) -> str:
        """The compiler and its version, empty if the run does not say."""
        return compiler_of(self.run.toolchain)

    @cached_property
    def occasion(self) -> str:
        """When and on what it was made, as evidence entries say it."""
        return self.run.occasion

    @cached_property
    def moment(self) -> tuple[datetime, str]:
        """Orders runs by when they were made; one that does not say when comes first."""
        return utc(self.run.created) or datetime.min.replace(tzinfo=UTC), self.run.id

    @cached_property
    def _matcher(self) -> Matcher:
        return Matcher(self.store, Question(self.run.hw, self.run.op))

    def covers(self, law: Law) -> bool:
        """Whether the run's hardware, op and toolchain are within the law's scope; the trials decide on problem sizes."""
        return not self.silence(law)

    def silence(self, law: Law) -> str:
        """Why the run cannot speak of `law`; empty if it can. The law asked about last is remembered."""
        if not self._silent or self._silent[0][0] is not law:
            self._silent[:] = [(law, self._objection(law))]
        return self._silent[0][1]

    def _objection(self, law: Law) -> str:
        test, run = meaning(law).test, self.run
        if not self.can_judge(law):
            return "its trials tell nothing of such a claim"
        if run.hw not in self.store.hardware or run.op not in self.store.ops:
            return f"nobody knows its hardware {run.hw} or its op {run.op}"
        found = self._matcher.match(law)
        if found is None or found.hw == "transferred" or not found.is_about_op:
            return f"it is about {run.op} on {run.hw}, the law about {law.scope.op} on {law.scope.hw}"
        if isinstance(test, RewriteTest):
            leads_to = self.store.systems[test.to].built_from if test.to in self.store.systems else ()
            return "" if run.op in leads_to else f"it timed {run.op}, of which {test.to} is not built"
        if law.scope.toolchain and not (self.toolchain and holds_for(law, self.toolchain)):
            return f"it was made with {self.toolchain or 'an unknown compiler'}, the law is limited to {law.scope.toolchain}"
        return ""

    def can_judge(self, law: Law) -> bool:
        """Whether the run's trials are of a kind that tells something of such a claim."""
        if meaning(law).check:
            return self.run.tier == "computed" and self.run.check == meaning(law).check
        return meaning(law).test is not None and self.table is not None

    def said(self, law: Law) -> Mapping[str, Judgement]:
        """What each problem size that says anything says of `law`; the law asked about last is remembered."""
        if not self._said or self._said[0][0] is not law:
            self._said[:] = [(law, self._judged(law))]
        return self._said[0][1]

    def _judged(self, law: Law) -> dict[str, Judgement]:
        if meaning(law).check:
            return numbers_by_size(law, self.run, self.store.ops[law.scope.op], self.facts)
        if self.table is None or self.run.op not in self.store.ops:
            return {}
        table = telling(law, self.table, self.store.ops[self.run.op], self.store.systems)
        return judged(law, table, self.facts)

    def says(self, law: Law, problems: tuple[str, ...] = (), *, min_problems: int = 1) -> Judgement:
        """The judgement of the run's trials on `law`; only of those at `problems`, if any are named."""
        if meaning(law).check:
            return judge_numbers(law, self.run, self.store.ops[law.scope.op], self.facts, problems)
        said = self.said(law)
        if problems and problems != tuple(said):
            said = _at(said, [size(text) for text in problems])
        return together(law, said, min_problems=min_problems)

    def entry(self, law: Law) -> Evidence | None:
        """The evidence entry that the run is for `law`, if it did not suggest it; None if it says nothing, or cannot be fair."""
        if not self.covers(law):
            return None
        said = self.says(law)
        if said.verdict == "inconclusive" or not self.is_fair(law, said):
            return None
        return self._entry(said, "independent")

    def recomputed(self, law: Law, entry: Evidence) -> Evidence | None:
        """`entry` as the run's trials give it, in its role; None if they say nothing at its problem sizes.

        An entry may be as cautious as a judgement of the run alone, which takes one problem size for too few.
        """
        if not self.covers(law):
            return None
        said = self.says(law, entry.problems)
        if not said.problems:
            return None
        if not self.is_fair(law, said):
            return self._entry(replace(said, verdict="inconclusive"), entry.role)
        if entry.verdict == "inconclusive" and said.verdict == "supports":
            cautious = self.says(law, entry.problems, min_problems=MIN_PROBLEMS)
            said = cautious if cautious.verdict == "inconclusive" else said
        return self._entry(said, entry.role)

    def _entry(self, said: Judgement, role: EvidenceRole) -> Evidence:
        return Evidence(
            run=self.run.id,
            verdict=said.verdict,
            tier=self.run.tier,
            role=role,
            effect=said.effect,
            interval=said.interval,
            problems=said.problems,
            toolchain=self.toolchain,
            occasion=self.occasion,
        )

    def is_fair(self, law: Law, said: Judgement) -> bool:
        """Whether a refutation rests on enough trials on the other side: the best of few is not the best there is.

        The same number as in a search's audit; see `spak.kg.evidence.judge.MIN_REFERENCES`.
        """
        test = meaning(law).test
        if said.verdict != "refutes" or isinstance(test, AxisTest | RewriteTest) or meaning(law).check:
            return True
        if isinstance(test, EffectTest) and "slowdown" not in region_effects(law):
            return True
        if {trial.origin for trial in self.run.trials} <= {CONFIRM}:  # beside the best known ones by design
            return True
        assert self.table is not None  # noqa: S101 - `says` needed it
        rows = [row for row, text in enumerate(self.table.texts) if text in said.problems]
        return all(self._compared(test, row) >= MIN_REFERENCES for row in rows)

    def _compared(self, test: TrialTest | None, row: int) -> int:
        """Timed trials on the side that a refutation leans on least."""
        assert self.table is not None  # noqa: S101 - see `is_fair`
        side = np.zeros(len(self.table.space), dtype=bool)
        if isinstance(test, EffectTest):
            side = ~self.table.holds(test.region, row, self.facts)
        elif isinstance(test, SettingTest):
            side = self.table.having(test.setting)
        return int((self.table.observed[row] & side).sum())

    def tested(self, law: Law) -> bool:
        """Whether the run names `law` among those it tested: then the law was there before it."""
        return any(verdict.law in _names(law) for verdict in self.run.tested)

    def suggestion(self, law: Law) -> str:
        """Id of the candidate of this run that `law` is, under whatever name and in whatever scope; empty if it is none."""
        listed = [candidate.law for candidate in self.run.suggested]
        return next((one.id for one in listed if one.id in _names(law) or self._same(one, law)), "")

    def _same(self, candidate: Law, law: Law) -> bool:
        """Whether both claims are about the same thing: they name the same of this run's configurations."""
        mine, its = meaning(law).test, meaning(candidate).test
        if not isinstance(mine, EffectTest) or not isinstance(its, EffectTest) or self.table is None:
            return type(law) is type(candidate) and meaning(law).subject == meaning(candidate).subject
        if not region_effects(law).keys() & region_effects(candidate).keys():
            return False
        table, facts = self.table, self.facts
        speaking = np.flatnonzero(in_scope(law, table.problems, facts)).tolist()
        own, other = (np.array([table.holds(test.region, row, facts) for row in speaking]) for test in (mine, its))
        return bool(own.any()) and np.array_equal(own, other)


def _at(said: Mapping[str, Judgement], wanted: Sequence[frozenset[str]]) -> dict[str, Judgement]:
    """What is said at the problem sizes `wanted`, in whatever order, and however completely where no size is just that."""
    exactly = {size(text) for text in said}
    return {
        text: one
        for text, one in said.items()
        if any(named == size(text) or (named not in exactly and named <= size(text)) for named in wanted)
    }


def _names(law: Law) -> set[str]:
    """Ids that the law has and had."""
    return {law.id, *(link.id for link in law.related if link.type == "renamed-from")}
