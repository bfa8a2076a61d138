"""A difference in words: the lines that every rendering of it is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from spak.kg.diff.effect import Best, Effect
from spak.kg.diff.report import Difference, Item, verdict_reason
from spak.kg.diff.runs import BestChange
from spak.kg.diff.total import SpaceChange
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import Power
from spak.kg.law.statement import evidence_text
from spak.kg.model.figures import counted, number_text
from spak.kg.model.law import Evidence, Law

_DOES = {
    Power.REMOVE: "removes",
    Power.POSTPONE: "moves back",
    Power.PREFER: "moves back",
    Power.NOTHING: "moves nothing, but speaks of",
}
"""What a law does to the configurations it speaks against."""

NAMED_SIZES = 3
"""Problem sizes named where the numbers are the same at many."""

NAMED_BESTS = 10
"""Problem sizes told of which another configuration is the best on record."""

NAMED_RUNS = 3
"""Entries of evidence told one by one; more that say the same are told in one line."""


def headline(difference: Difference) -> str:
    """`5 laws changed, 2 need a look: 1 would exclude a recorded best, 1 conflict appears`."""
    if not difference:
        return "No law, run, hardware, op or system changed in meaning."
    flagged = [item for item in difference.items if item.red_flag]
    parts = [counted(len(difference.items), "law changed", "laws changed")]
    if difference.nodes:
        parts.append(counted(len(difference.nodes), "other file", "other files"))
    if difference.runs:
        parts.append(counted(len(difference.runs), "run", "runs"))
    first = ", ".join(parts)
    reasons = []
    losing = Counter(
        any(effect.power_after is Power.REMOVE for effect in item.effects if effect.red_flag)
        for item in flagged
        if any(effect.red_flag for effect in item.effects)
    )
    for removes, verb in ((True, "exclude"), (False, "postpone")):
        if losing[removes]:
            what = f"would {verb} a recorded best"
            reasons.append(counted(losing[removes], f"law {what}", f"laws {what}"))
    hiding = sum(item.hides for item in flagged)
    if hiding:
        what = "may hide configurations that searches tried"
        reasons.append(counted(hiding, f"law {what}", f"laws {what}"))
    unguarded = sum(item.unguards for item in flagged)
    if unguarded:
        reasons.append(counted(unguarded, "law about SAFETY holds less", "laws about SAFETY hold less"))
    if difference.new_conflicts:
        reasons.append(counted(len(difference.new_conflicts), "conflict appears", "conflicts appear"))
    silencing = sum(bool(item.silences) for item in flagged)
    if silencing:
        reasons.append(counted(silencing, "law silences a check", "laws silence checks"))
    gone = sum(run.red_flag for run in difference.runs)
    if gone:
        reasons.append(counted(gone, "run is gone or rewritten", "runs are gone or rewritten"))
    return f"{first}; look at {len(flagged) + gone}: {', '.join(reasons)}" if flagged or gone else first


def aspects(item: Item) -> str:
    """`weakened, re-judged (confirmed -> contested)`."""
    change = item.change
    words = []
    for aspect in change.aspects:
        if aspect == "renamed":
            words.append(f"renamed from {change.renamed_from}")
        elif aspect == "re-judged" and change.before is not None and change.after is not None:
            words.append(f"{change.before.status} -> {change.after.status}")
        elif aspect == "claim":
            words.append(_direction(item) or "claims something else")
        elif aspect == "added" and change.after is not None:
            words.append(f"added ({change.after.status})")
        else:
            words.append(aspect)
    return ", ".join(dict.fromkeys(words))


def _direction(item: Item) -> str:
    """What the space says where text alone cannot: it covers more than before, or less."""
    known = [(e.before, e.after) for e in item.effects if e.before is not None and e.after is not None]
    if not known or any(a == b for a, b in known):
        return ""
    if all(after > before for before, after in known):
        return "strengthened: covers more"
    return "weakened: covers less" if all(after < before for before, after in known) else ""


def statement(law: Law) -> str:
    """`avoid tile_m >= 128 (slowdown >= 1.2), on sm_90 for fmha, fp16, when causal`."""
    claim = law.claim
    bounds = ", ".join(
        " and ".join(
            f"{name} {words} {number_text(bounding)}"
            for words, bounding in (("at least", bound.at_least), ("at most", bound.at_most))
            if bounding is not None
        )
        for name, bound in claim.effect.items()
    )
    scope = [f"on {law.scope.hw} for {law.scope.op}", *law.scope.dtype]
    if law.scope.when:
        scope.append(f"when {law.scope.when}")
    if law.scope.toolchain:
        scope.append(law.scope.toolchain)
    return f"{meaning(law).verb} {meaning(law).text}{f' ({bounds})' if bounds else ''}, {', '.join(scope)}"


def lines(item: Item) -> list[tuple[str, str]]:
    """Label and text of everything a reviewer needs about one law, in reading order."""
    change = item.change
    found: list[tuple[str, str]] = []
    before = statement(change.before) if change.before is not None else ""
    after = statement(change.after) if change.after is not None else ""
    if before == after:
        found.append(("claim", after))
    else:
        found += [("was", before)] if before else []
        found += [("now", after)] if after else []
    if change.before is not None and change.after is not None:
        found += _rewritten(change.before, change.after)
    reason = verdict_reason(change)
    if reason:
        found.append(("because", reason))
    found += [("evidence", f"+ {said}") for said in _evidence_lines(change.gained)]
    found += [("evidence", f"- {said}") for said in _evidence_lines(change.lost)]
    if change.after is not None and (change.gained or change.lost):
        found.append(("in all", evidence_text(change.after.evidence)))
    if change.after is not None and change.before is None and not change.gained:
        found.append(("evidence", "none"))
    if change.note:
        found.append(("ALERT" if item.unguards else "layer", change.note))
    if item.unguards and not change.note:
        found.append(
            ("ALERT", "about SAFETY (what hangs, fails or computes wrong numbers), and holds less than before")
        )
    if item.hides:
        found.append(
            ("ALERT", "a search may now leave out what it names; what was tried before may never be tried again")
        )
    found += [("ALERT", f"acknowledges a finding, which kg check only notes then: {said}") for said in item.silences]
    for effect in item.effects:
        found.append(("effect", effect_text(effect)))
        found += [("ALERT", lost(best)) for best in effect.lost_bests]
        found += [("good", regained(best)) for best in effect.regained_bests]
    found += [("ALERT", f"conflicts with {_other(c.laws, change.id)}: {c.reason}") for c in item.conflicts]
    return found


def _rewritten(before: Law, after: Law) -> Iterator[tuple[str, str]]:
    """What reads differently though the law says the same."""
    if before.title != after.title:
        yield "title", f"{before.title} -> {after.title}"
    if before.claim.because != after.claim.because:
        yield "reason", f"{before.claim.because or 'none'} -> {after.claim.because or 'none'}"
    fields = ("references", "related", "acknowledges", "examples")
    other = [name for name in fields if getattr(before, name) != getattr(after, name)]
    if other:
        yield "also", f"{', '.join(other)} changed"


def _other(laws: tuple[str, ...], own: str) -> str:
    return " and ".join(law for law in laws if law != own) or own


def _evidence_lines(entries: Sequence[Evidence]) -> Iterator[str]:
    """A line for each entry; one for all that say the same where there are many."""
    groups: dict[tuple[str, str, str], list[Evidence]] = {}
    for entry in entries:
        groups.setdefault((entry.verdict, entry.tier, entry.role), []).append(entry)
    for (verdict, tier, role), group in groups.items():
        if len(group) <= NAMED_RUNS:
            yield from map(_evidence, group)
            continue
        ranges = []
        for name in dict.fromkeys(name for entry in group for name in entry.effect):
            values = [entry.effect[name] for entry in group if name in entry.effect]
            ranges.append(f"{name} {number_text(min(values))}..{number_text(max(values))}")
        runs = len({entry.run for entry in group})
        sizes = len({problem for entry in group for problem in entry.problems})
        at = f"at {counted(sizes, 'problem size', 'problem sizes')}" if sizes else ""
        yield f"{runs} runs: {verdict} ({tier}, {role}): {', '.join(filter(None, [*ranges, at]))}"


def _evidence(entry: Evidence) -> str:
    """`run supports (measured, independent): slowdown 1.64, at 3 problem sizes`."""
    effect = ", ".join(f"{name} {number_text(value)}" for name, value in entry.effect.items())
    sizes = counted(len(entry.problems), "problem size", "problem sizes") if entry.problems else ""
    tail = ", ".join(part for part in (effect, f"at {sizes}" if sizes else "") if part)
    return f"{entry.run} {entry.verdict} ({entry.tier}, {entry.role}){f': {tail}' if tail else ''}"


def effect_text(effect: Effect) -> str:
    """`fmha on sm_90: removes 120 of 432 configurations, was 96`."""
    place = f"{effect.op} on {effect.hw}"
    if effect.after is None and effect.before is None:
        return f"{place}: speaks of compiled features; what it covers is known after compiling"
    now = "nothing" if effect.after is None else f"{effect.after} of {effect.total} configurations"
    was = "nothing" if effect.before is None else str(effect.before)
    verb, old_verb = _DOES[effect.power_after], _DOES[effect.power_before]
    if (effect.before, verb) == (effect.after, old_verb):
        return f"{place}: {verb} {now}, as before"
    said = effect.before is not None and old_verb != verb
    return f"{place}: {verb} {now}; before: {f'{old_verb} {was}' if said else was}"


def lost(best: Best) -> str:
    """The red flag."""
    setting = ", ".join(f"{name}={value}" for name, value in best.configuration.items())
    return f"speaks against a recorded best: {best.time} at {best.problem} ({setting}; run {best.run})"


def regained(best: Best) -> str:
    """The opposite of a red flag."""
    return f"no longer speaks against the recorded best of {best.problem} ({best.time}; run {best.run})"


def run_lines(difference: Difference) -> Iterator[tuple[bool, str]]:
    """Whether to look at it, and what: runs that are gone or rewritten one by one, others by number, then new bests."""
    for run in difference.runs:
        if run.red_flag:
            yield True, f"run {run.id} is {_FATES[run.fate]}{f' ({run.about})' if run.about else ''}"
    added = [run for run in difference.runs if run.fate == "added"]
    if added:
        named = ", ".join(run.id for run in added[:NAMED_RUNS])
        more = f" and {len(added) - NAMED_RUNS} more" if len(added) > NAMED_RUNS else ""
        yield False, f"{counted(len(added), 'run', 'runs')} added: {named}{more}"
    shown = difference.bests[:NAMED_BESTS]
    yield from ((False, best_line(best)) for best in shown)
    if len(difference.bests) > len(shown):
        yield False, f"{len(difference.bests) - len(shown)} more problem sizes have another best on record"


_FATES = {"removed": "gone", "rewritten": "rewritten: laws were judged by what it said before"}


def best_line(best: BestChange) -> str:
    """`fmha on h200 at seq_q=1024: the best on record is 640 us (run x), before 812 us (run y)`."""
    was, now = (
        f"{side.best_us:.4g} us ({side.tier}, run {side.runs[0]})" if side is not None and side.best_us else "none"
        for side in (best.before, best.after)
    )
    return f"{best.op} on {best.hw}{f' at {best.problem}' if best.problem else ''}: the best on record is {now}, before {was}"


def space_line(space: SpaceChange) -> str:
    """`fmha on sm_90 at d64-s1024-causal: a search under laws tries 312 of 432 configurations, before 336`."""
    shown = ", ".join(space.problems[:NAMED_SIZES])
    more = len(space.problems) - NAMED_SIZES
    sizes = f"{shown} and {more} more problem sizes" if more > 0 else shown
    return (
        f"{space.op} on {space.hw} at {sizes}: a search under laws tries {space.after} of {space.total} "
        f"configurations, before {space.before}"
    )
