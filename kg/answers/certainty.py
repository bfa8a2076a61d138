"""How sure a law is where it was asked for: what orders an answer that shows the surest first."""

from __future__ import annotations

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


def doubt(law: Law, match: Match) -> tuple[bool, int, bool, int, int, str]:
    """Least for what is surest: confirmed, stated for what was asked, measured, by many runs; no two laws have the same."""
    tiers = [entry.tier for entry in law.evidence if entry.verdict == "supports"]
    return (
        match.stale or match.overridden_by is not None,
        SURE.index(law.status) if law.status in SURE else len(SURE),
        match.hw == "transferred",
        min(map(TIERS.index, tiers), default=len(TIERS)),
        -len(tiers),
        law.id,
    )
