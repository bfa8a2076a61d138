"""How far apart the experiments behind a law are: on how many problem sizes, devices, days, occasions and toolchains it rests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spak.kg.law.unseen import size
from spak.kg.model.law import Evidence

MIN_OCCASIONS = 2
"""Measuring occasions, each independent of the others, before a law about times or failures may remove anything."""


@dataclass(frozen=True)
class Grade:
    """What some evidence rests on; in how many kinds of each it differs.

    Attributes:
        problems: Problem sizes.
        devices: Kinds of hardware that were measured; 0 where nothing was.
        days: Days, in UTC, on which something was measured.
        occasions: Measuring occasions, see `count_occasions`; 0 where nothing was measured.
        toolchains: Compilers and their versions.
    """

    problems: int
    devices: int
    days: int
    occasions: int
    toolchains: int

    def __str__(self) -> str:
        """`12 problem sizes, 2 devices, 1 day, 2 occasions, 1 toolchain`; what is not known is left out."""
        named = (
            (self.problems, "problem size"),
            (self.devices, "device"),
            (self.days, "day"),
            (self.occasions, "occasion"),
            (self.toolchains, "toolchain"),
        )
        return ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in named if count)


def grade(evidence: Iterable[Evidence]) -> Grade:
    """On how much `evidence` rests."""
    entries = list(evidence)
    timed = [entry for entry in entries if entry.tier == "measured"]
    return Grade(
        problems=len({size(text) for entry in entries for text in entry.problems}),
        devices=len(set(filter(None, map(hardware, timed)))),
        days=len({occasion.split()[0] for occasion in _occasions(timed)}),
        occasions=count_occasions(timed),
        toolchains=len({entry.toolchain for entry in entries if entry.toolchain}),
    )


def hardware(entry: Evidence) -> str:
    """The kind of hardware that an entry's run was measured on; empty if nobody noted it."""
    return entry.occasion.split()[1] if entry.occasion else ""


def machine(entry: Evidence) -> str:
    """The very device that an entry's run was measured on; empty if nobody noted it."""
    return (*entry.occasion.split(), "", "", "")[2]


def count_occasions(measured: Iterable[Evidence]) -> int:
    """The most of these entries that are pairwise independent.

    Two are if they are of different days (in UTC) or different hardware, or if the machines are known and differ. The
    same measured numbers twice are one experiment, whatever the entries call it, and entries that do not say when
    they were measured are independent of nothing.
    """
    entries = list(measured)
    machines: dict[str, set[str]] = {}
    for occasion in _occasions(entries):
        day, hw, *machine = occasion.split()
        machines.setdefault(f"{day} {hw}", set()).update(machine)
    return sum(max(1, len(known)) for known in machines.values()) or int(bool(entries))


def _occasions(measured: Iterable[Evidence]) -> set[str]:
    """Occasions that are known, each experiment's first."""
    entries = sorted(measured, key=lambda entry: (not entry.occasion, entry.occasion))
    shown = {_numbers(entry): entry.occasion for entry in reversed(entries)}
    return set(filter(None, shown.values()))


def _numbers(entry: Evidence) -> tuple[object, ...]:
    """What was measured; of entries without an interval nobody can tell whether they are the same."""
    effect, interval = sorted(entry.effect.items()), sorted(entry.interval.items())
    return (*effect, *interval) if interval else (entry.run, entry.occasion)
