"""What a run says of the laws, as edits of law files: prepared in memory, shown as a diff, or written.

A measured run is judged from its raw trials (`spak.kg.evidence.witness`). A compiled one speaks of compiled code only: a
prediction says nothing about time.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from spak.kg.errors import KgError
from spak.kg.evidence.entries import unnoted, with_roles
from spak.kg.evidence.witness import RunWitness
from spak.kg.files import fmt, grow
from spak.kg.files.edit import LawFile
from spak.kg.files.listing import EVIDENCE
from spak.kg.files.loader import Laws
from spak.kg.files.recorded import runs_about
from spak.kg.files.scaffold import check_with, write_once
from spak.kg.law.statement import elsewhere_text
from spak.kg.law.status import bounds, say, standing, status
from spak.kg.model.law import Evidence, Law, Related
from spak.kg.model.run import Run
from spak.tuner.learn.confirm.cover import UNSETTLED, covers, implies
from spak.tuner.learn.mining.naming import distinct


@dataclass(frozen=True)
class LawEdit:
    """One law file before and after.

    Attributes:
        before: Text; empty for a new law.
        after: Text with the run's evidence; `before` if the change is refused.
        words: What happened to it, in a few words; why not, if it is refused.
        entries: The evidence added; of a new law, all it has.
        refused: Whether nothing is written to it: it has uncommitted edits that conflict, or is in a root beneath.
    """

    law: str
    root: Path
    path: Path
    before: str
    after: str
    words: str
    entries: tuple[Evidence, ...] = ()
    refused: bool = False


def changes(run: Run, laws: Laws, new: Sequence[Law] = (), others: Sequence[Run] = ()) -> tuple[LawEdit, ...]:
    """What `run` changes in the law files: evidence and status of laws it speaks of, and files of `new` laws.

    A new law that says what a law of the root says, or less, gets no file: the runs are evidence on the law there is.
    Nor does one that a recorded run speaks against: every run of the root is asked, not only those that found it.

    Args:
        run: A finished run.
        laws: The root it was searched under.
        new: Laws the run suggests or confirmed.
        others: Runs written with it, such as the one that confirmed the new laws.

    Raises:
        KgError: If a law file cannot be read, or an edit would make it no law.
    """
    runs = (run, *others)
    named = {entry.run for law in new for entry in law.evidence} | {one.id for one in runs}
    witnesses = [RunWitness(one, laws) for one in runs]
    suggested = [_as_recorded(_as_seen(law, witnesses), witnesses, laws) for law in new]
    return (*_grown(witnesses, laws), *_new(_with_runs(laws, sorted(named)), suggested))


def known_before(run: str, laws: Laws) -> Callable[[Law], bool]:
    """Whether a suggestion of `run` says nothing new: what a law says that `run` itself did not suggest.

    A search that was killed while it wrote, and goes on, finds laws of its own; they were news to it.
    """
    own = {law.id for law in laws.laws.values() if any(e.run == run and e.role == "suggested" for e in law.evidence)}
    return lambda new: any(old.id not in own and covers(old, new, laws) for old in laws.laws.values())


def _as_seen(law: Law, witnesses: Sequence[RunWitness]) -> Law:
    """The law with its entries as the one judgement gives them; mining states a bound, not what was seen."""
    by_run = {witness.run.id: witness for witness in witnesses}
    entries = (_whole(law, entry, by_run.get(entry.run)) or entry for entry in law.evidence)
    grown = msgspec.structs.replace(law, evidence=tuple(entries))
    return msgspec.structs.replace(grown, status=status(grown))


def _as_recorded(law: Law, witnesses: Sequence[RunWitness], laws: Laws) -> Law:
    """The law with what the recorded runs say of it too, so that those that found it do not vouch for it alone."""
    own = {witness.run.id: witness for witness in witnesses}
    asked = filter(None, map(laws.witness, runs_about(laws, law.scope.hw, law.scope.op)))
    roles = with_roles(law, unnoted(law, asked), lambda run: own.get(run) or laws.witness(run))
    grown = msgspec.structs.replace(law, evidence=(*law.evidence, *roles))
    return msgspec.structs.replace(grown, status=status(grown))


def _whole(law: Law, entry: Evidence, witness: RunWitness | None) -> Evidence | None:
    """What a run says at all its problem sizes, in the role of `entry`."""
    return None if witness is None else witness.recomputed(law, msgspec.structs.replace(entry, problems=()))


def _with_runs(laws: Laws, runs: Sequence[str]) -> Laws:
    """The root as it will be once the run files are written: new laws name them as their evidence."""
    paths = {run: f"{EVIDENCE}/{run}.json" for run in runs}
    files = {**laws.contents.files, "run": {**paths, **laws.contents.files["run"]}}
    return Laws(laws.root, msgspec.structs.replace(laws.contents, files=files))


def diff(made: Iterable[LawEdit]) -> str:
    """The changes as a unified diff with paths from the folder of the law root; empty if there are none."""
    parts: list[str] = []
    for change in made:
        if change.refused:
            continue
        before = change.before.splitlines(keepends=True)
        name = change.path.relative_to(change.root.parent).as_posix()
        old = name if change.before else "/dev/null"
        parts += difflib.unified_diff(before, change.after.splitlines(keepends=True), old, name)
    return "".join(parts)


def apply(made: Iterable[LawEdit]) -> None:
    """Write the changes, each file whole or not at all, to the files as they are now: what others added stays.

    Raises:
        KgError: After all else is written, if a file was edited meanwhile so that evidence cannot be added.
        OSError: If a file cannot be written.
    """
    refused = []
    for change in made:
        if not change.refused:
            try:
                _write(change)
            except KgError as error:
                refused.append(str(error))
    if refused:
        raise KgError("\n".join(refused))


def _write(change: LawEdit) -> None:
    entries = change.entries
    if not change.before:
        held = write_once(change.root, change.path, change.after)
        if held is None:
            return
        if held.resolve() != change.path.resolve():
            raise KgError(f"{held}: came meanwhile and has the id {change.law} that a search suggested; rename it")
        cited = {entry.run for entry in LawFile.read(held).law.evidence}
        entries = tuple(entry for entry in entries if entry.run not in cited)
    grow.append(change.root, change.path, entries)


def _grown(witnesses: Sequence[RunWitness], laws: Laws) -> Iterator[LawEdit]:
    """Evidence for laws of the root, a change for each file."""
    own = {witness.run.id: witness for witness in witnesses}
    for law in laws.laws.values():
        found = [_said(witness, law) for witness in witnesses]
        entries = tuple(entry for entry in found if entry is not None)
        if entries:
            yield _change(laws, law, with_roles(law, entries, lambda run: own.get(run) or laws.witness(run)))


def _said(witness: RunWitness, law: Law) -> Evidence | None:
    """What a run says of a law that does not cite it yet; of a compiled run what it says of compiled code."""
    run = witness.run
    if any(entry.run == run.id for entry in law.evidence):
        return None
    entry = witness.entry(law)
    if entry is None or run.tier != "compiled":
        return entry
    return entry if any(say(law, entry, name) != "nothing" for name in bounds(law)) else None


def _change(laws: Laws, law: Law, entries: tuple[Evidence, ...]) -> LawEdit:
    path = laws.path("law", law.id)
    file = LawFile.read(path)
    before = file.before.decode("utf-8-sig")
    why = f"{path} is beneath {laws.root}" if laws.is_beneath("law", law.id) else grow.conflict(path)
    if why:
        return LawEdit(law.id, laws.root, path, before, before, f"not written: {why}", entries, refused=True)
    file.append_evidence(*entries)
    after = file.law.status
    verdicts = " and ".join(dict.fromkeys(entry.verdict for entry in entries))
    words = f"evidence {verdicts}; " + (f"{law.status} -> {after}" if after != law.status else after)
    return LawEdit(law.id, laws.root, path, before, file.text, _said_of(words, file.law), entries)


def _said_of(words: str, law: Law) -> str:
    """`words`, and on which hardware it was found and holds, if those differ."""
    return "; ".join(filter(None, (words, elsewhere_text(law.evidence))))


def _new(laws: Laws, new: Sequence[Law]) -> Iterator[LawEdit]:
    known = {one.law.id: one.law for one in laws.superseded} | dict(laws.laws)
    for suggested in new:
        if any(_is_same(old, suggested) or covers(old, suggested, laws) for old in known.values()):
            continue
        law = _superseding(distinct(suggested, known), laws)
        relative = f"{law.scope.hw}/{law.scope.op}/{law.id}.yaml"
        if law.status in UNSETTLED:
            words = f"not written, {law.status}: {standing(law).reason}"
            yield LawEdit(law.id, laws.root, laws.root / relative, "", "", words, law.evidence, refused=True)
            continue
        known[law.id] = law
        text = law_text(law)
        check_with(laws, relative, text)
        yield LawEdit(
            law.id, laws.root, laws.root / relative, "", text, _said_of(f"new, {law.status}", law), law.evidence
        )


def _is_same(old: Law, new: Law) -> bool:
    """Whether the file of `new` is there already, whatever became of the law."""
    return (old.scope, old.claim) == (new.scope, new.claim) and type(old) is type(new)


def _superseding(law: Law, laws: Laws) -> Law:
    """The law with a link to each law of the root that says less than it.

    Not to one in a layer beneath: whose power that would take, and a person decides that.
    """
    own = (old for old in laws.laws.values() if not laws.is_beneath("law", old.id))
    less = [old.id for old in own if old.withdrawn is None and old.status not in UNSETTLED]
    links = tuple(Related(type="supersedes", id=old) for old in less if implies(law, laws.laws[old], laws))
    return msgspec.structs.replace(law, related=(*law.related, *links))


def law_text(law: Law) -> str:
    """The canonical text of a law's file."""
    return fmt.new_text(msgspec.to_builtins(law), "law", f"{law.id}.yaml")
