"""Why a claim is none: what it bounds could not be refuted by any observation, or is no effect of such a law.

One rule for all: a file that a load refuses, the published schema, and what may remove configurations from a search.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from spak.kg.law.effects import EFFECTS, KnownEffect
from spak.kg.model.law import Bound
from spak.kg.model.taxonomy import alike


class ClaimFlaw(NamedTuple):
    """One thing wrong with a claim.

    Attributes:
        field: Where, as in a law file.
        message: What is wrong; what to do.
        at_key: Whether the key there is meant, not its value.
    """

    field: str
    message: str
    at_key: bool = False


def effects_of(kind: str) -> dict[str, KnownEffect]:
    """The effects that a law of `kind` may bound."""
    return {name: effect for name, effect in EFFECTS.items() if kind in effect.kinds}


def effect_flaws(kind: str, bounded: Mapping[str, Bound]) -> Iterator[ClaimFlaw]:
    """Why what a law of `kind` bounds is no claim; nothing if an observation could lie beyond each bound."""
    known = effects_of(kind)
    for name, bound in bounded.items():
        if name in known:
            messages = _bound_flaws(known[name], bound)
        elif name in EFFECTS:
            messages = iter([f"no effect of a law of kind {kind}; it may bound {', '.join(known)}"])
        else:
            messages = iter([f"no effect that a law may bound; nearest: {', '.join(alike(name, known or EFFECTS))}"])
        yield from (ClaimFlaw(f"claim.effect.{name}", message, at_key=True) for message in messages)


def _bound_flaws(effect: KnownEffect, bound: Bound) -> Iterator[str]:
    both = {"at_least": bound.at_least, "at_most": bound.at_most}
    given = {side: value for side, value in both.items() if value is not None}
    allowed = effect.sides
    if not given.keys() & allowed.keys():
        yield f"{' '.join(given) or 'no bound'} claims nothing of it; state {effect.needs}: {effect.why}"
        return
    if "at_least" in given and effect.narrowing is not None:
        allowed["at_most"] = effect.narrowing
    for side, value in given.items():
        if side not in allowed:
            yield f"{side} claims nothing of it beside {effect.needs}; drop it: {effect.why}"
        elif not allowed[side].holds(value):
            yield f"{side} is {allowed[side]} (got {value:g}), else nothing or everything refutes it: {effect.why}"
    if len(given) > 1 and not given["at_least"] <= given["at_most"]:
        yield f"nothing is at least {given['at_least']:g} and at most {given['at_most']:g}; swap them"
