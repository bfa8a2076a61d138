"""Laws in words: what each kind tells a person to do, about which knobs, and in one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import msgspec

from spak.kg.expression.assignment import show_assignments, show_scalar
from spak.kg.expression.condition import names_in
from spak.kg.model.law import AvoidClaim, Bound, Evidence, IndifferentClaim, Kind, Law, PreferClaim, RequireClaim

VERBS: Mapping[str, str] = {
    "positive": "use",
    "negative": "avoid",
    "indifferent": "ignore",
    "invariant": "never",
    "transformation": "rewrite",
}
"""What a law of each kind tells a person to do."""

ORDER: Mapping[str, int] = {"invariant": 0, "positive": 1, "negative": 2, "indifferent": 3, "transformation": 4}
"""Safety first, then what to do, what not to do, and what need not be looked at."""


def kind_of(law: Law) -> Kind:
    """The law's `kind` as in its file."""
    return cast("Kind", type(law).__struct_config__.tag)


def claim_names(law: Law) -> frozenset[str]:
    """Every name the claim is about: parameters, problem parameters, compiled features, hardware facts."""
    claim = law.claim
    if isinstance(claim, AvoidClaim):
        return names_in(claim.avoid)
    if isinstance(claim, RequireClaim):
        return names_in(claim.require)
    if isinstance(claim, PreferClaim):
        return frozenset(claim.prefer).union(*claim.over)
    if isinstance(claim, IndifferentClaim):
        return frozenset([claim.over])
    return frozenset()


def knobs(law: Law, parameters: Iterable[str]) -> tuple[str, ...]:
    """The tunable parameters the claim is about, in the order of `parameters` (an op's own)."""
    named = claim_names(law)
    return tuple(name for name in parameters if name in named)


def claim_text(law: Law) -> str:
    """The claim after its verb, short: `tile_m=64, tile_n=64`, an expression, an axis with its values."""
    claim = law.claim
    if isinstance(claim, AvoidClaim):
        return claim.avoid
    if isinstance(claim, RequireClaim):
        return f"violate {claim.require}"
    if isinstance(claim, PreferClaim):
        return show_assignments(claim.prefer) + _over(claim)
    if isinstance(claim, IndifferentClaim):
        return f"{claim.over} in {', '.join(map(show_scalar, claim.values))} (same time within {claim.within})"
    return f"{claim.source} to {claim.to}"


def _over(claim: PreferClaim) -> str:
    return " over " + " or ".join(show_assignments(setting) for setting in claim.over) if claim.over else ""


def sentence(law: Law, *, hw: str, op: str) -> str:
    """The law as one English sentence.

    Args:
        law: Any law.
        hw: Title of the hardware it is scoped to.
        op: Title of the op it is scoped to.
    """
    condition = f" when {law.scope.when}" if law.scope.when else ""
    dtypes = f" in {' or '.join(law.scope.dtype)}" if law.scope.dtype else ""
    return f"On {hw}, for {op}{dtypes}{condition}: {_advice(law)}{_because(law)}."


def _advice(law: Law) -> str:
    claim = law.claim
    if isinstance(claim, AvoidClaim):
        return f"avoid every configuration with {claim.avoid}"
    if isinstance(claim, RequireClaim):
        return f"{claim.require} must hold, otherwise {claim.otherwise.rstrip('.')}"
    if isinstance(claim, PreferClaim):
        rest = f" beats{_over(claim).removeprefix(' over')}" if claim.over else " is best or ties with the best"
        return show_assignments(claim.prefer) + rest
    if isinstance(claim, IndifferentClaim):
        values = " and ".join(map(show_scalar, claim.values))
        return f"changing {claim.over} among {values} changes the time by at most {claim.within}"
    return f"{claim.source} becomes {claim.to}: {claim.rewrite.rstrip('.')} (proved by {claim.check.rstrip('.')})"


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


def number_text(value: float) -> str:
    """`value` with at most five significant digits and no exponent where people do not expect one."""
    if float(value).is_integer() and abs(value) < 1e15:  # noqa: PLR2004 - above it floats are no longer exact
        return str(int(value))
    return f"{value:.5g}"


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
    """How much speaks for and against, by tier: `2 compiled for (1 independent), 1 measured against`."""
    counts: dict[tuple[str, str], list[bool]] = {}
    for item in evidence:
        counts.setdefault((item.verdict, item.tier), []).append(item.role == "independent")
    words = {"supports": "for", "refutes": "against", "inconclusive": "undecided"}
    parts = [
        f"{len(roles)} {tier} {word}{f' ({sum(roles)} independent)' if any(roles) else ''}"
        for verdict, word in words.items()
        for (found, tier), roles in counts.items()
        if found == verdict
    ]
    return ", ".join(parts) or "no evidence"


def claim_document(law: Law) -> dict[str, object]:
    """The claim as in the file, its own keys before `because` and `effect`."""
    built: dict[str, object] = msgspec.to_builtins(law.claim)
    shared: dict[str, object] = {name: built.pop(name) for name in ("because", "effect") if name in built}
    return {**built, **shared}
