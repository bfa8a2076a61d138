"""The status of a law, computed from its own evidence entries and from nothing else: the same on every machine.

Source: design, section Evidence. Tests fix each transition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from spak.kg.law.effects import EFFECTS
from spak.kg.law.independence import MIN_OCCASIONS, count_occasions, grade, hardware, machine
from spak.kg.law.kinds import meaning
from spak.kg.law.unseen import Target, size, unseen
from spak.kg.model.law import Bound, Evidence, Law, Status, Tier

NEEDED: Mapping[str, Tier] = {name: effect.tier for name, effect in EFFECTS.items()}
"""Effect -> tier that can show it; what is no effect that a law may bound would take a measurement."""

ADEQUATE: Mapping[Tier, frozenset[Tier]] = {
    "measured": frozenset({"measured"}),
    "compiled": frozenset({"compiled", "measured"}),
    "computed": frozenset({"computed", "measured"}),
    "reported": frozenset(),
}
"""Tier a claim needs -> tiers that have it: a measured run compiled its code and checked its numbers too."""

UNBOUNDED = ""
"""Stands for the effect of a claim that bounds none: then the verdict itself is all that evidence can say."""

Say = Literal["for", "against", "nothing"]


@dataclass(frozen=True)
class Standing:
    """A status, and in one line what makes it so or what is missing for more."""

    status: Status
    reason: str


def status(law: Law) -> Status:
    """The status that the law's evidence gives."""
    return standing(law).status


def standing(law: Law) -> Standing:
    """The status that the law's evidence gives, and why."""
    if law.withdrawn is not None:
        return Standing("withdrawn", f"withdrawn on {law.withdrawn.date}: {law.withdrawn.reason}")
    claimed = bounds(law)
    says = [(entry, name, say(law, entry, name)) for entry in law.evidence for name in claimed]
    pro = sorted({entry.run for entry, _, word in says if word == "for"})
    contra = sorted({entry.run for entry, _, word in says if word == "against"})
    if contra:
        against = f"{', '.join(contra)} against"
        return Standing("contested", f"{', '.join(pro)} for, {against}") if pro else Standing("refuted", against)
    for name in claimed:
        independent = [
            entry for entry, effect, word in says if effect == name and word == "for" and _is_independent(law, entry)
        ]
        found_on = [entry for entry in law.evidence if entry.role == "suggested"]
        tier = needed_tier(law, name)
        same = frozenset(filter(None, map(machine, found_on)))
        further = unseen(_targets(found_on, tier), _targets(independent, tier, same))
        if missing := further.missing(one_size=tier == "measured" and is_about_one_size(law)):
            what = f"{name}: " if name else ""
            return Standing("proposed", f"{what}{missing} shown by an independent {tier} run")
    rests_on = grade(entry for entry, _, word in says if word == "for")
    return Standing("confirmed", f"on {rests_on}; nothing speaks against it")


def occasion_doubt(law: Law) -> str:
    """Why the law rests on too few measuring occasions to remove anything; empty if it does not, or needs none.

    What was compiled or computed follows from toolchain and inputs, and is the same on another day; a time is not.
    """
    for name in bounds(law):
        if needed_tier(law, name) == "measured":
            shown = [entry for entry in law.evidence if say(law, entry, name) == "for"]
            if count_occasions(shown) < MIN_OCCASIONS:
                when = min((entry.occasion for entry in shown), default="") or "nobody noted when"
                return f"it was measured on one occasion ({when}); measure it on another day, machine or device"
    return ""


def bounds(law: Law) -> dict[str, Bound]:
    """What the claim says of each effect; a claim that bounds none has `UNBOUNDED`."""
    return meaning(law).bounds or {UNBOUNDED: Bound()}


def needed_tier(law: Law, effect: str) -> Tier:
    """The tier that can show `effect`, one of `bounds(law)`."""
    if effect == UNBOUNDED:
        return meaning(law).tier
    return NEEDED.get(effect, "measured")


def say(law: Law, entry: Evidence, effect: str) -> Say:
    """What `entry` credibly says of one of `bounds(law)`.

    It says nothing if it is inconclusive, of a tier that cannot know, did not observe the effect, or observed it
    without the 95 % interval (where it was measured) lying wholly on its side of the claim. No entry says anything of
    numbers that no check of the claim shows.
    """
    needed = needed_tier(law, effect)
    adequate = frozenset({"computed"}) if meaning(law).check else ADEQUATE[needed]
    if entry.verdict == "inconclusive" or entry.tier not in adequate or lacks_check(law, effect):
        return "nothing"
    if effect == UNBOUNDED:
        return "for" if entry.verdict == "supports" else "against"
    observed = _observed(entry, effect, exact=needed != "measured")
    if observed is None:
        return "nothing"
    bound = bounds(law)[effect]
    if entry.verdict == "supports":
        return "for" if within_bounds(bound, *observed) else "nothing"
    return "against" if outside(bound, *observed) else "nothing"


def lacks_check(law: Law, effect: str) -> bool:
    """Whether the law forbids because of numbers, and names no check that shows them: any run could be cited.

    The other way round too: what a check does not show is not judged by the trials of a law that names one.
    """
    means = meaning(law)
    return means.removal is not None and (needed_tier(law, effect) == "computed") != bool(means.check)


def _observed(entry: Evidence, effect: str, *, exact: bool) -> tuple[float, float] | None:
    """The interval in which the effect lies: a compiled or computed value is what it is, a time needs its interval."""
    if effect not in entry.effect:
        return None
    if effect in entry.interval:
        return entry.interval[effect]
    return (entry.effect[effect], entry.effect[effect]) if exact else None


def within_bounds(bound: Bound, low: float, high: float) -> bool:
    """Whether all of `low` to `high` satisfies `bound`."""
    return (bound.at_least is None or low >= bound.at_least) and (bound.at_most is None or high <= bound.at_most)


def outside(bound: Bound, low: float, high: float) -> bool:
    """Whether none of `low` to `high` satisfies `bound`."""
    return (bound.at_least is not None and high < bound.at_least) or (bound.at_most is not None and low > bound.at_most)


def _is_independent(law: Law, entry: Evidence) -> bool:
    """A run that suggested the law never confirms it, whatever a second entry calls it."""
    suggesting = {other.run for other in law.evidence if other.role == "suggested"}
    return entry.role == "independent" and entry.run not in suggesting


def _targets(entries: Iterable[Evidence], tier: Tier, same: AbstractSet[str] = frozenset()) -> Iterator[Target]:
    """What `entries` are about; one of the `same` machines under another name is no other kind of hardware.

    Compiled code is the same on every device of an architecture: only times have a device.
    """
    for entry in entries:
        hw = hardware(entry) if tier == "measured" and machine(entry) not in same else ""
        yield from (Target(size(text), hw) for text in entry.problems)


def is_about_one_size(law: Law) -> bool:
    """Whether the law speaks of one problem size alone: all its evidence is of one, and its condition fixes that.

    What fixes nothing because no problem size has a name, as of an op that was recorded at one, is fixed as well. Such
    a law has no other size to hold on; what it was not found on are other devices (decision 0144).
    """
    sizes = {text for entry in law.evidence for text in entry.problems}
    if len(sizes) != 1:
        return False
    named = {part.partition("=")[0] for part in size(sizes.pop()) if part}
    fixed = {part.partition(" == ")[0] for part in law.scope.when.split(" and ") if " == " in part}
    return named <= fixed | ({"dtype"} if len(law.scope.dtype) == 1 else set())
