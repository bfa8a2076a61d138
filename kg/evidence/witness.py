"""What one run says of one law, recomputed from its raw trials: the evidence entry it is, or none.

Write-back, `kg verify` and the test that entries are true to their runs all ask here, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spak.kg.evidence.judge import MIN_PROBLEMS, MIN_REFERENCES, Judgement, judge
from spak.kg.evidence.numbers import judge_numbers
from spak.kg.evidence.table import TrialTable, from_runs, problem_text
from spak.kg.law.independence import size
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import AxisTest, EffectTest, SettingTest, TrialTest
from spak.kg.law.scope import Matcher, Question
from spak.kg.law.toolchain import compiler_of, holds_for
from spak.kg.model.base import Scalar
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.law import Evidence, EvidenceRole, Law
from spak.kg.model.run import CONFIRM, Run
from spak.kg.model.store import Store

SPEAKING = frozenset({"measured", "compiled", "computed"})
"""Tiers whose runs hold trials that can be judged again."""

TABLED = frozenset({"measured", "compiled"})
"""Those whose trials are of one space and one objective, so that they make a table."""


@dataclass(frozen=True)
class RunWitness:
    """A run that can be asked about laws; `store` is the law root it belongs to."""

    run: Run
    store: Store

    @cached_property
    def table(self) -> TrialTable | None:
        """Its trials; None if it has none that was made, or compares nothing but what its check is asked."""
        if self.run.tier not in TABLED or all(trial.invalidity == "constraints" for trial in self.run.trials):
            return None
        return from_runs([self.run])

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
    def _matcher(self) -> Matcher:
        return Matcher(self.store, Question(self.run.hw, self.run.op))

    def covers(self, law: Law) -> bool:
        """Whether the run's hardware, op and toolchain are within the law's scope; the trials decide on problem sizes."""
        if not self.can_judge(law):
            return False
        if self.run.hw not in self.store.hardware or self.run.op not in self.store.ops:
            return False
        found = self._matcher.match(law)
        if found is None or found.hw == "transferred" or not found.is_about_op:
            return False
        return not law.scope.toolchain or bool(self.toolchain and holds_for(law, self.toolchain))

    def can_judge(self, law: Law) -> bool:
        """Whether the run's trials are of a kind that tells something of such a claim."""
        if meaning(law).check:
            return self.run.tier == "computed" and self.run.check == meaning(law).check
        return meaning(law).test is not None and self.table is not None

    def says(self, law: Law, problems: tuple[str, ...] = (), *, min_problems: int = 1) -> Judgement:
        """The judgement of the run's trials on `law`; only of those at `problems`, if any are named."""
        if meaning(law).check:
            return judge_numbers(law, self.run, self.store.ops[law.scope.op], self.facts, problems)
        assert self.table is not None  # noqa: S101 - `covers` said so
        table = self.table if not problems else _at(self.table, problems)
        return judge(law, table, self.facts, min_problems=min_problems)

    def entry(self, law: Law) -> Evidence | None:
        """The evidence entry that the run is for `law`; None if it says nothing, or cannot be fair."""
        if not self.covers(law):
            return None
        said = self.says(law)
        if said.verdict == "inconclusive" or not self.is_fair(law, said):
            return None
        return self._entry(said, "suggested" if self._suggests(law) else "independent")

    def recomputed(self, law: Law, entry: Evidence) -> Evidence:
        """`entry` as the run's trials give it."""
        return self._entry(self.says(law, entry.problems), entry.role)

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
            occasion=self.run.occasion,
        )

    def is_fair(self, law: Law, said: Judgement) -> bool:
        """Whether a refutation rests on enough trials on the other side: the best of few is not the best there is.

        The same number as in a search's audit; see `spak.kg.evidence.judge.MIN_REFERENCES`.
        """
        test = meaning(law).test
        if said.verdict != "refutes" or isinstance(test, AxisTest) or meaning(law).check:
            return True
        if isinstance(test, EffectTest) and next(iter(law.claim.effect), "slowdown") != "slowdown":
            return True
        if {trial.origin for trial in self.run.trials} <= {CONFIRM}:  # beside the best known ones by design
            return True
        assert self.table is not None  # noqa: S101 - `says` needed it
        rows = [row for row, problem in enumerate(self.table.problems) if problem_text(problem) in said.problems]
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

    def _suggests(self, law: Law) -> bool:
        """Whether the law was found in this run and in no other before."""
        found_elsewhere = any(entry.role == "suggested" for entry in law.evidence)
        return not found_elsewhere and any(candidate.law.id == law.id for candidate in self.run.suggested)


def differences(law: Law, entry: Evidence, witness: RunWitness) -> tuple[str, ...]:
    """In what `entry` is not what the trials of its run say; nothing if it is true to them, or they cannot tell.

    A claim that `spak.kg.evidence.judge` has no way to judge (an occupancy ratio, a throughput) differs in nothing. An entry
    may be as cautious as a judgement of the run alone, which takes one problem size for too few.
    """
    if entry.tier not in SPEAKING or not witness.can_judge(law):
        return ()
    said = witness.says(law, entry.problems)
    if not said.problems:
        return ()
    found = []
    cautious = witness.says(law, entry.problems, min_problems=MIN_PROBLEMS)
    if entry.verdict not in {said.verdict, cautious.verdict}:
        found.append(f"the entry says {entry.verdict}, the trials say {said.verdict}")
    for what, noted, seen in (("effect", entry.effect, said.effect), ("interval", entry.interval, said.interval)):
        found += [
            f"{what} {name}: the entry has {noted[name]}, the trials give {value}"
            for name, value in seen.items()
            if name in noted and not np.allclose(noted[name], value, rtol=0, atol=1e-4)
        ]
    return tuple(found)


def _at(table: TrialTable, problems: tuple[str, ...]) -> TrialTable:
    """The rows that an entry names, in whatever order it names their settings, and however completely."""
    wanted = [size(text) for text in problems]
    rows = [r for r, p in enumerate(table.problems) if any(one <= size(problem_text(p)) for one in wanted)]
    return table.only(rows)
