"""Three-way merge of one law file: evidence of both branches adds up, anything else that both changed is for a person.

Installed as a git merge driver (`kg merge-file %O %A %B %P`). The status of a merged law is computed from the merged
evidence, since that is what a status is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from spak.kg.errors import KgError
from spak.kg.files import fmt, validate, yaml_reader
from spak.kg.files.tree import Branch, values
from spak.kg.law import status
from spak.kg.law.kinds import AnyLaw

EVIDENCE, STATUS = "evidence", "status"
_MISSING = object()


class MergeRefusedError(KgError):
    """Both branches changed the same part of a law in different ways; carries a line for each part."""

    def __init__(self, path: str, parts: list[str]) -> None:
        """Say which `parts` of `path` a person must decide."""
        self.parts = parts
        super().__init__("\n".join(f"{path}: {part}" for part in parts))


def merge_files(base: bytes, ours: bytes, theirs: bytes, path: str) -> str:
    """The merged text, with the comments of our branch, and of theirs on what only they have.

    `base` is the common ancestor; empty if both branches added the file.

    Raises:
        InvalidFilesError: If a version is not a law.
        MergeRefusedError: If a person must decide.
    """
    ancestor, result, added = (_root(text, path) for text in (base, ours, theirs))
    sides = values(ancestor), values(result), values(added)
    refused: list[str] = []
    for key in dict.fromkeys([*sides[1], *sides[2], *sides[0]]):
        if key == EVIDENCE:
            _merge_evidence(sides, result, added, refused)
            continue
        before, mine, other = (side.get(key, _MISSING) for side in sides)
        if other in (mine, before):
            continue
        if mine == before:
            _take(result, added, key)
        elif key != STATUS:  # computed below from the merged evidence
            refused.append(
                f"{key}: both branches changed it ({_short(mine)} here, {_short(other)} there); decide by hand"
            )
    if refused:
        raise MergeRefusedError(path, refused)
    _settle_status(result, sides)
    return fmt.text_of(result, "law", path)


def _root(text: bytes, path: str) -> Branch:
    """The tree of a version, checked to be a law; an empty one (no common ancestor) has no keys."""
    if not text.strip():
        return Branch(is_mapping=True, in_braces=False)
    document = yaml_reader.read(text, path)
    validate.model_of(document, "law")
    return fmt.tree_of(document)


def _take(result: Branch, added: Branch, key: str) -> None:
    """Their version of one key, with its comments; gone if they removed it."""
    old, new = result.entry(key), added.entry(key)
    if new is None:
        result.drop(key)
    elif old is None:
        result.append(new)
    else:
        result.entries[result.entries.index(old)] = new


def _merge_evidence(
    sides: tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]],
    result: Branch,
    added: Branch,
    refused: list[str],
) -> None:
    """Entries of both; what one side removed goes; one entry changed in two ways is refused."""
    base, ours, theirs = ({_key(entry): entry for entry in side.get(EVIDENCE, [])} for side in sides)
    result.put(EVIDENCE, sides[1].get(EVIDENCE, []))
    mine = result[EVIDENCE]
    other = {} if EVIDENCE not in sides[2] else {_key(values(entry.value)): entry for entry in added[EVIDENCE].entries}
    for key in dict.fromkeys([*ours, *theirs, *base]):
        before, here, there = (side.get(key) for side in (base, ours, theirs))
        if there in (here, before):
            continue
        if here != before:
            says = f"both branches say something else of run {key[0]}"
            if here is None or there is None:
                ways = ("removed", "changed") if here is None else ("changed", "removed")
                says = f"run {key[0]} was {ways[0]} here and {ways[1]} there"
            refused.append(f"evidence: {says}; decide by hand")
        elif there is None:
            del mine.entries[_place(mine, key)]
        elif here is None:
            mine.append(other[key])
        else:
            mine.entries[_place(mine, key)] = other[key]
    if not mine.entries and EVIDENCE not in sides[1]:
        result.drop(EVIDENCE)


def _key(entry: Mapping[str, Any]) -> tuple[str, str]:
    return str(entry["run"]), str(entry["role"])


def _place(branch: Branch, key: tuple[str, str]) -> int:
    return next(place for place, entry in enumerate(branch.entries) if _key(values(entry.value)) == key)


def _settle_status(result: Branch, sides: tuple[Mapping[str, Any], ...]) -> None:
    """The status of the merged evidence, if the branches differ in evidence or in status."""
    base, ours, theirs = sides
    differs = any(ours.get(key) != theirs.get(key) for key in (EVIDENCE, STATUS, "claim", "withdrawn"))
    if differs or not base:
        result.put(STATUS, status.status(msgspec.convert(values(result), AnyLaw)))


def _short(value: object) -> str:
    shown = "nothing" if value is _MISSING else " ".join(str(value).split())
    return shown if len(shown) <= 40 else shown[:37] + "..."  # noqa: PLR2004 - half of a terminal line
