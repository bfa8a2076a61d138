"""Evidence enough for any law of a test: it confirms, on two occasions, whatever the law claims."""

from __future__ import annotations

import msgspec

from spak.kg.law.status import UNBOUNDED, bounds, needed_tier
from spak.kg.model.law import Bound, Evidence, Law

DAYS = ("2026-01-01", "2026-01-02")


def shown(law: Law, *, toolchain: str = "") -> Law:
    """`law` with an entry of each of two days, at two problem sizes each, that shows all that it claims."""
    return msgspec.structs.replace(law, evidence=tuple(_entry(law, number, toolchain) for number in (1, 2)))


def _entry(law: Law, number: int, toolchain: str) -> Evidence:
    claimed = {name: bound for name, bound in bounds(law).items() if name != UNBOUNDED}
    effect = {name: _within(bound, number) for name, bound in claimed.items()}
    tiers = {needed_tier(law, name) for name in bounds(law)}
    return Evidence(
        run=f"r{number}",
        verdict="supports",
        tier="measured" if "measured" in tiers else min(tiers),
        role="independent",
        effect=effect,
        interval={name: (value, value) for name, value in effect.items()},
        problems=(f"size={2 * number}", f"size={2 * number + 1}"),
        toolchain=toolchain,
        occasion=f"{DAYS[number - 1]} card",
    )


def _within(bound: Bound, number: int) -> float:
    """A value well inside `bound`, another for each entry."""
    if bound.at_least is not None:
        return bound.at_least + number if bound.at_most is None else bound.at_least
    return (bound.at_most or 0.0) / (1 + number)
