"""Evidence entries against the trials of their runs: what an entry must say, where it was found, what was left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import isclose
from typing import NamedTuple

import msgspec

from spak.kg.evidence.judge import DIGITS
from spak.kg.evidence.rows import Judgement
from spak.kg.evidence.witness import SPEAKING, RunWitness
from spak.kg.law.unseen import size
from spak.kg.model.law import Evidence, Law

ROUNDING = 1.5 * 10.0**-DIGITS
"""Most that a number in a file may differ from what the trials give: half a unit on either side, and one that ties."""

Witnesses = Callable[[str], "RunWitness | None"]
"""Id of a run -> the run to ask; None if it cannot be read, which others report."""


class Mismatch(NamedTuple):
    """What one entry, by its place, says that the trials do not."""

    entry: int
    field: str
    message: str


def mismatches(law: Law, witnesses: Witnesses) -> Iterator[Mismatch]:
    """Everything in the evidence of `law` that is not what the trials of the runs it cites give.

    Entries of runs whose trials nobody can judge (reported ones) differ in nothing here.
    """
    cited = {entry.run: witness for entry in law.evidence if (witness := witnesses(entry.run)) is not None}
    speaking = {run: witness for run, witness in cited.items() if witness.run.tier in SPEAKING}
    for index, entry in enumerate(law.evidence):
        if entry.run in speaking and entry.tier == speaking[entry.run].run.tier:
            for field, message in _differences(law, entry, speaking[entry.run]):
                yield Mismatch(index, field, message)
    for run, witness in speaking.items():
        yield from _whole(law, run, witness)
    yield from _roles(law, cited)


def _differences(law: Law, entry: Evidence, witness: RunWitness) -> Iterator[tuple[str, str]]:
    """In what an entry is not what the trials at its problem sizes give."""
    silence = witness.silence(law)
    if silence:
        yield "run", f"run {entry.run} says nothing of this law: {silence}; take the entry out"
        return
    given = witness.recomputed(law, entry)
    if given is None:
        yield "problems", f"the trials of run {entry.run} say nothing of the law at these problem sizes; take them out"
        return
    if entry.verdict != given.verdict:
        yield "verdict", f"the entry says {entry.verdict}, the trials say {given.verdict}; write {given.verdict}"
    if {size(text) for text in entry.problems} != {size(text) for text in given.problems}:
        yield "problems", f"the trials that say so are at {' and '.join(given.problems)}; name these and no others"
    yield from _numbers("effect", _spans(entry.effect), _spans(given.effect))
    yield from _numbers("interval", entry.interval, given.interval)
    for name in ("toolchain", "occasion"):
        noted, seen = getattr(entry, name), getattr(given, name)
        if noted != seen:
            yield name, f"the entry says {noted or 'nothing'}, the run {seen or 'nothing'}; write {seen or 'nothing'}"


_Spans = Mapping[str, tuple[float, ...]]


def _spans(effect: Mapping[str, float]) -> _Spans:
    return {name: (value,) for name, value in effect.items()}


def _numbers(what: str, noted: _Spans, given: _Spans) -> Iterator[tuple[str, str]]:
    for name in sorted(noted.keys() | given.keys()):
        if name not in given:
            yield f"{what}.{name}", f"the trials give no {name} that bears on the claim; take it out"
        elif name not in noted:
            yield what, f"{name} is missing; the trials give {_shown(given[name])}"
        elif not all(isclose(a, b, rel_tol=0, abs_tol=ROUNDING) for a, b in zip(noted[name], given[name], strict=True)):
            shown = _shown(given[name])
            yield f"{what}.{name}", f"the entry has {_shown(noted[name])}, the trials give {shown}; write {shown}"


def _shown(numbers: Iterable[float]) -> str:
    return " to ".join(f"{number:.10g}" for number in numbers)


def _whole(law: Law, run: str, witness: RunWitness) -> Iterator[Mismatch]:
    """Entries of one run together: no problem size counts twice, and none that speaks against the law is left out."""
    own = [(index, entry) for index, entry in enumerate(law.evidence) if entry.run == run]
    seen: set[frozenset[str]] = set()
    for index, entry in own:
        sizes = {size(text) for text in entry.problems}
        if sizes & seen:
            yield Mismatch(
                index, "run", f"run {run} is cited twice for the same problem sizes; keep one of the entries"
            )
        seen |= sizes
    if witness.silence(law):
        return
    found_here = any(entry.role == "suggested" for _, entry in own)
    for text, said in witness.said(law).items():
        against = said.verdict == "refutes" and witness.is_fair(law, _at(said, text))
        if size(text) not in seen and (against or (found_here and said.verdict == "supports")):
            what = "speaks against the law" if against else "is where the law was found"
            yield Mismatch(own[0][0], "problems", f"run {run} {what} at {text} too, which no entry names; name it")


def _at(said: Judgement, problem: str) -> Judgement:
    return Judgement(said.verdict, problems=(problem,))


def _roles(law: Law, cited: Mapping[str, RunWitness]) -> Iterator[Mismatch]:
    run, reason = found_in(law.evidence, law, cited)
    for index, entry in enumerate(law.evidence):
        if entry.run == run and entry.role != "suggested":
            yield Mismatch(index, "role", f"the law was found in this run: {reason}; write suggested")


def found_in(evidence: Sequence[Evidence], law: Law, cited: Mapping[str, RunWitness]) -> tuple[str, str]:
    """The run in which `law` was found, of those that `evidence` cites, and how it is known; empty if it is said already.

    The earliest that lists it among its suggestions, under whatever name and in whatever scope. If none does, a person
    found it: an entry says where, or it was in the earliest run that supports it and was not made to test it.
    """
    runs = sorted((cited[run] for run in {entry.run for entry in evidence} & cited.keys()), key=lambda one: one.moment)
    for witness in runs:
        name = witness.suggestion(law)
        if name:
            return witness.run.id, "the run lists it" if name == law.id else f"the run lists it as {name}"
    if any(
        entry.role == "suggested" and (entry.tier == "reported" or entry.verdict == "supports") for entry in evidence
    ):
        return "", ""
    supporting = {entry.run for entry in evidence if entry.tier in SPEAKING and entry.verdict == "supports"}
    for witness in runs:
        if witness.run.id in supporting and not witness.tested(law):
            return witness.run.id, "no run suggests it, and this is the earliest that supports it"
    return "", ""


def mended(law: Law, witnesses: Witnesses) -> tuple[Evidence, ...]:
    """The evidence of `law` as the trials give it: entries that differ recomputed, those of which they say nothing taken out."""
    wrong: dict[int, set[str]] = {}
    for place, field, _ in mismatches(law, witnesses):
        wrong.setdefault(place, set()).add(field)
    kept = []
    for index, entry in enumerate(law.evidence):
        witness = witnesses(entry.run)
        true = entry if index not in wrong or witness is None else witness.recomputed(law, entry)
        if true is not None:
            kept.append(msgspec.structs.replace(true, role="suggested") if "role" in wrong.get(index, ()) else true)
    return tuple(kept)


def with_roles(law: Law, new: Sequence[Evidence], witnesses: Witnesses) -> tuple[Evidence, ...]:
    """`new` entries, to be added to `law`, each in the role that it has among all."""
    evidence = (*law.evidence, *new)
    cited = {entry.run: witness for entry in evidence if (witness := witnesses(entry.run)) is not None}
    run, _ = found_in(evidence, law, cited)
    return tuple(msgspec.structs.replace(entry, role="suggested") if entry.run == run else entry for entry in new)


def unnoted(law: Law, witnesses: Iterable[RunWitness]) -> tuple[Evidence, ...]:
    """What runs that `law` does not cite say of it, none of them as the one that suggested it."""
    noted = {entry.run for entry in law.evidence}
    found = (witness.entry(law) for witness in witnesses if witness.run.id not in noted)
    return tuple(entry for entry in found if entry is not None)
