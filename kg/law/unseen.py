"""What a law was not found on: the problem sizes and devices that can confirm it (decision 0172)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

MIN_UNSEEN = 2
"""Targets that a law must hold on besides those it was found on."""


@lru_cache(maxsize=1 << 12)
def size(text: str) -> frozenset[str]:
    """The settings of a problem size written `name=value,...`, whatever their order."""
    return frozenset(part.strip() for part in text.split(","))


@dataclass(frozen=True)
class Target:
    """A problem size on a kind of hardware; `hw` is empty where nobody noted it, or where it makes no difference."""

    size: frozenset[str]
    hw: str


@dataclass(frozen=True)
class Unseen:
    """Targets that a law was not found on.

    Attributes:
        targets: Those of a further size, and those of a known size on a further kind of hardware.
        sizes: The further sizes among them.
        all_sizes: Sizes that it was found or shown on.
    """

    targets: frozenset[Target]
    sizes: frozenset[frozenset[str]]
    all_sizes: frozenset[frozenset[str]]

    def missing(self, *, one_size: bool) -> str:
        """What is missing for a law to be confirmed, in words; empty if nothing is.

        Args:
            one_size: Whether the law speaks of one size alone. Of any other law devices never stand for sizes: one of its
                unseen targets has to be of a further size, and where nobody noted on what it was found it needs two.
        """
        if len(self.targets) < MIN_UNSEEN:
            return (
                f"{len(self.targets)} of {MIN_UNSEEN} further {'devices' if one_size else 'problem sizes or devices'}"
            )
        if one_size or (self.sizes and len(self.all_sizes) > 1):
            return ""
        return "further devices, but no further problem size"


def unseen(found: Iterable[Target], shown: Iterable[Target]) -> Unseen:
    """Which of the targets that a law was shown on it was not found on.

    A size is a further one if it differs from every size the law was found on in a parameter that both name. A kind of
    hardware is a further one if it is known, and all those that the law was found on are.
    """
    known, shown = list(found), set(shown)
    devices = {target.hw for target in known}

    def is_further_size(one: frozenset[str]) -> bool:
        return not any(one <= target.size or target.size <= one for target in known)

    sizes = frozenset(target.size for target in shown if is_further_size(target.size))
    further = {target for target in shown if target.hw and "" not in devices and target.hw not in devices}
    targets = further | {target for target in shown if target.size in sizes}
    return Unseen(frozenset(targets), sizes, frozenset(target.size for target in shown.union(known)))
