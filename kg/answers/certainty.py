"""How sure a law is where it was asked for: what orders an answer that shows the surest first."""

from __future__ import annotations

from collections.abc import Collection

from spak.kg.law.scope import Match
from spak.kg.model.law import Law, Status, Tier

SURE: tuple[Status, ...] = ("confirmed", "proposed", "contested")
"""What somebody may follow, surest first; the rest is counted."""

TIERS: tuple[Tier, ...] = ("measured", "computed", "compiled", "reported")
"""How a run may know, surest first."""


def strongest_tier(law: Law) -> Tier | None:
    """The surest tier of what speaks for a law; None if nothing does."""
    tiers = {entry.tier for entry in law.evidence if entry.verdict == "supports"}
    return next((tier for tier in TIERS if tier in tiers), None)


def doubt(status: Status, supports: Collection[Tier], match: Match) -> tuple[bool, int, bool, int, int]:
    """Least for a law that is surest: confirmed, stated for what was asked, measured, by many runs.

    Args:
        status: Its own.
        supports: Tiers of what speaks for it.
        match: How it came to be an answer.
    """
    return (
        match.stale or match.overridden_by is not None,
        SURE.index(status) if status in SURE else len(SURE),
        match.hw == "transferred",
        min(map(TIERS.index, supports), default=len(TIERS)),
        -len(supports),
    )
