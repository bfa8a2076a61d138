"""What a run says of the laws, as edits of law files: prepared in memory, shown as a diff, or written.

Only facts about compiled code are written here: a prediction says nothing about time. What a measured run may say
is judged by `tuner.confirm` and comes in through `new`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kg import atomic, fmt
from kg.errors import KgError
from kg.features import COMPILED_FEATURES
from kg.loader import EVIDENCE, Laws
from kg.model.law import Evidence, Law
from kg.model.run import LawVerdict, Run
from kg.scaffold import check_with
from kg.writeback.edit import LawFile

MIN_AGREEING = 3
"""Configurations a law names that must show its effect before the run speaks for it; one without it speaks against."""


@dataclass(frozen=True)
class Change:
    """One law file before and after.

    Attributes:
        law: Id of the law.
        path: Its file.
        before: Its text; empty for a new law.
        after: Its text with the run's evidence.
        words: What happened to it, in a few words.
    """

    law: str
    path: Path
    before: str
    after: str
    words: str


def changes(run: Run, laws: Laws, new: Sequence[Law] = ()) -> tuple[Change, ...]:
    """What `run` changes in the law files: evidence and status of laws it tested, and files of `new` laws.

    Args:
        run: A finished run.
        laws: The root it was searched under.
        new: Laws the run suggests or confirmed; those that repeat a law of the root are left out.

    Raises:
        KgError: If a law file cannot be read, or an edit would make it no law.
    """
    named = {entry.run for law in new for entry in law.evidence} | {run.id}
    return (*_grown(run, laws), *_new(_with_runs(laws, sorted(named)), new))


def _with_runs(laws: Laws, runs: Sequence[str]) -> Laws:
    """The root as it will be once the run files are written: new laws name them as their evidence."""
    paths = {run: f"{EVIDENCE}/{run}.json" for run in runs}
    files = {**laws.contents.files, "run": {**paths, **laws.contents.files["run"]}}
    return Laws(laws.root, msgspec.structs.replace(laws.contents, files=files))


def diff(made: Iterable[Change], root: Path) -> str:
    """The changes as a unified diff with paths from the folder of the law root `root`; empty if there are none."""
    parts: list[str] = []
    for change in made:
        before = change.before.splitlines(keepends=True)
        name = change.path.relative_to(root.parent).as_posix()
        old = name if change.before else "/dev/null"
        parts += difflib.unified_diff(before, change.after.splitlines(keepends=True), old, name)
    return "".join(parts)


def apply(made: Iterable[Change]) -> None:
    """Write the changes, each file whole or not at all.

    Raises:
        KgError: If a file changed since it was read; the files before it are written.
        OSError: If a file cannot be written.
    """
    for change in made:
        found = change.path.read_text(encoding="utf-8") if change.path.exists() else ""
        if found != change.before:
            raise KgError(f"{change.path}: changed while the search ran; run it again, or add the evidence by hand")
        atomic.write_text(change.path, change.after)


def _grown(run: Run, laws: Laws) -> Iterator[Change]:
    for verdict in run.tested:
        law = laws.laws.get(verdict.law)
        entry = None if law is None else evidence(run, law, verdict)
        if law is None or entry is None:
            continue
        file = LawFile.read(laws.path("law", law.id))
        if file.append_evidence(entry):
            after = file.law.status
            words = f"evidence {entry.verdict}; " + (f"{law.status} -> {after}" if after != law.status else after)
            yield Change(law.id, file.path, file.before.decode("utf-8-sig"), file.text, words)


def evidence(run: Run, law: Law, verdict: LawVerdict) -> Evidence | None:
    """The evidence entry that `verdict` of `run` is for `law`; None if the run cannot know, or saw too little.

    Only effects that the compiler shows count, each with its extreme over the configurations seen, so that the bound
    is held against the worst of them.
    """
    effect = {name: value for name, value in verdict.effect.items() if name in COMPILED_FEATURES}
    if verdict.verdict == "inconclusive" or not effect or any(entry.run == run.id for entry in law.evidence):
        return None
    if verdict.verdict == "supports" and verdict.count < MIN_AGREEING:
        return None
    return Evidence(
        run=run.id,
        verdict=verdict.verdict,
        tier="compiled",
        role="independent",
        effect=effect,
        problems=verdict.problems,
        toolchain=f"tileiras {run.toolchain['tileiras']}" if "tileiras" in run.toolchain else "",
        note=f"{verdict.count} configurations that the law names",
    )


def _new(laws: Laws, new: Sequence[Law]) -> Iterator[Change]:
    claims = {(law.scope.hw, law.scope.op, law.scope.when, _claim(law)) for law in laws.laws.values()}
    for law in new:
        if law.id in laws.laws or (law.scope.hw, law.scope.op, law.scope.when, _claim(law)) in claims:
            continue
        relative = f"{law.scope.hw}/{law.scope.op}/{law.id}.yaml"
        text = law_text(law)
        check_with(laws, relative, text)
        yield Change(law.id, laws.root / relative, "", text, f"new, {law.status}")


def law_text(law: Law) -> str:
    """The canonical text of a law's file."""
    tree = fmt.engine().load("{}")
    tree.fa.set_block_style()
    for name, value in msgspec.to_builtins(law).items():
        tree[name] = fmt.styled(value)
        if isinstance(value, dict | list) and value:
            tree[name].fa.set_block_style()
    return fmt.formatted(fmt.dump(tree), "law", f"{law.id}.yaml")


def _claim(law: Law) -> bytes:
    claim = msgspec.to_builtins(law.claim)
    return msgspec.json.encode({name: value for name, value in claim.items() if name not in {"because", "effect"}})
