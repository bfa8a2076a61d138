"""Laws in words: what each kind tells a person to do, about which knobs, and in one sentence."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from spak.kg.law.independence import grade, hardware
from spak.kg.law.kinds import meaning
from spak.kg.model.figures import number_text
from spak.kg.model.law import Bound, Evidence, Law


def knobs(law: Law, parameters: Iterable[str]) -> tuple[str, ...]:
    """The tunable parameters the claim is about, in the order of `parameters` (an op's own)."""
    named = meaning(law).names
    return tuple(name for name in parameters if name in named)


def sentence(law: Law, *, hw: str, op: str) -> str:
    """The law as one English sentence; `hw` and `op` are the titles of what it is scoped to."""
    condition = f" when {law.scope.when}" if law.scope.when else ""
    dtypes = f" in {' or '.join(law.scope.dtype)}" if law.scope.dtype else ""
    return f"On {hw}, for {op}{dtypes}{condition}: {meaning(law).advice}{_because(law)}."


def _because(law: Law) -> str:
    parts = [law.claim.because.replace("-", " ")] if law.claim.because else []
    if law.claim.effect:
        parts.append(", ".join(bound_text(name, bound) for name, bound in law.claim.effect.items()))
    return f" ({'; '.join(parts)})" if parts else ""


def bound_text(name: str, bound: Bound) -> str:
    """`spill_bytes >= 1`, `1 <= slowdown <= 2`."""
    low = "" if bound.at_least is None else number_text(bound.at_least)
    high = "" if bound.at_most is None else number_text(bound.at_most)
    if low and high:
        return f"{low} <= {name} <= {high}"
    return f"{name} >= {low}" if low else f"{name} <= {high}" if high else name


def observed_text(evidence: Iterable[Evidence]) -> str:
    """The range of each effect over the supporting evidence: `spill_bytes 1208..1440`."""
    seen: dict[str, list[float]] = {}
    for item in evidence:
        if item.verdict == "supports":
            for name, value in item.effect.items():
                seen.setdefault(name, []).append(value)
    return ", ".join(f"{name} {_range(values)}" for name, values in seen.items())


def _range(values: list[float]) -> str:
    low, high = number_text(min(values)), number_text(max(values))
    return low if low == high else f"{low}..{high}"


def evidence_text(evidence: Iterable[Evidence]) -> str:
    """How much speaks for and against, by tier, and on what each rests.

    `2 compiled for (3 problem sizes, 1 toolchain), 1 measured against (1 problem size, 1 device, 1 day, 1 occasion)`.
    """
    entries: dict[tuple[str, str], list[Evidence]] = {}
    for item in evidence:
        entries.setdefault((item.verdict, item.tier), []).append(item)
    words = {"supports": "for", "refutes": "against", "inconclusive": "undecided"}
    parts = [
        f"{len(same)} {tier} {word}{_rests_on(same)}"
        for verdict, word in words.items()
        for (found, tier), same in entries.items()
        if found == verdict
    ]
    return ", ".join(parts) or "no evidence"


def shown_elsewhere(evidence: Iterable[Evidence]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Hardware that a law was found on, and hardware that it was not found on, where it was measured and holds."""
    timed = [one for one in evidence if one.tier == "measured" and one.verdict == "supports" and hardware(one)]
    found = {hardware(one) for one in timed if one.role == "suggested"}
    other = {hardware(one) for one in timed if one.role == "independent"} - found
    return tuple(sorted(found)), tuple(sorted(other)) if found else ()


def elsewhere_text(evidence: Iterable[Evidence]) -> str:
    """`found on h200, holds on h100`; empty unless it was tried on hardware that it was not found on."""
    found, other = shown_elsewhere(evidence)
    return f"found on {', '.join(found)}, holds on {', '.join(other)}" if other else ""


def _rests_on(entries: list[Evidence]) -> str:
    """` (3 problem sizes, 1 toolchain)`; nothing of what was only reported, whose circumstances nobody here knows."""
    graded = "" if entries[0].tier == "reported" else str(grade(entries))
    return f" ({graded})" if graded else ""


def claim_document(law: Law) -> dict[str, object]:
    """The claim as in the file, its own keys before `because` and `effect`."""
    built: dict[str, object] = msgspec.to_builtins(law.claim)
    shared: dict[str, object] = {name: built.pop(name) for name in ("because", "effect") if name in built}
    return {**built, **shared}
