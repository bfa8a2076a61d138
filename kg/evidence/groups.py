"""Laws that rest on the same runs, together: who looks at them so reads each run once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from spak.kg.model.law import Law

_RUN_WORK = 3
"""What a run takes to look at, in laws."""

MAX_BUNDLES = 512
"""Bundles of groups that processes take: of 100,000 laws one is some hundreds."""


@dataclass
class Group:
    """Laws and runs, of which no law cites a run of another group."""

    laws: list[Law] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)

    @property
    def work(self) -> int:
        """What it takes to look at it, in laws."""
        return len(self.laws) + _RUN_WORK * len(self.runs)


def grouped(laws: Iterable[Law], runs: Iterable[str]) -> list[Group]:
    """`laws` and `runs` in groups, in the order of their first members; a law without evidence goes with its scope."""
    leaders: dict[str, str] = {}

    def leader(run: str) -> str:
        while (above := leaders.setdefault(run, run)) != run:
            leaders[run] = run = leaders[above]
        return run

    listed = [(law, [entry.run for entry in law.evidence] or [f"\0{law.scope.hw} {law.scope.op}"]) for law in laws]
    for _, (first, *others) in listed:
        for run in others:
            leaders[leader(run)] = leader(first)
    groups: dict[str, Group] = {}
    for law, cited in listed:
        groups.setdefault(leader(cited[0]), Group()).laws.append(law)
    for run in runs:
        groups.setdefault(leader(run), Group()).runs.append(run)
    return list(groups.values())


def bundles(groups: Iterable[Group], processes: int) -> list[list[Group]]:
    """`groups` in bundles for `processes` to take one after the other, the largest first, so that none waits long at the end.

    A group that is most of the work is cut, and its runs are read twice.
    """
    found = list(groups)
    most = 1 + sum(group.work for group in found) // (2 * processes)
    pieces = sorted((piece for group in found for piece in _cut(group, most)), key=lambda piece: -piece.work)
    return [pieces[start::MAX_BUNDLES] for start in range(min(MAX_BUNDLES, len(pieces)))]


def _cut(group: Group, most: int) -> Sequence[Group]:
    """`group`, or pieces of it that take at most so much; laws that begin with one run stay together."""
    if group.work <= most:
        return [group]
    laws = sorted(group.laws, key=lambda law: law.evidence[0].run if law.evidence else "")
    several = max(1, most // _RUN_WORK)
    return [
        *(Group(laws=laws[start : start + most]) for start in range(0, len(laws), most)),
        *(Group(runs=group.runs[start : start + several]) for start in range(0, len(group.runs), several)),
    ]
