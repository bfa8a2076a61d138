"""The text of a new law file, proposed and without evidence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from spak.kg.errors import InvalidFilesError, KgError
from spak.kg.files import atomic, fmt, references, validate, yaml_reader
from spak.kg.files.edit import law_of
from spak.kg.files.listing import files
from spak.kg.files.loader import Laws
from spak.kg.files.lock import locked
from spak.kg.law.kinds import KINDS

_MAX_ID = 100
_BOUND = re.compile(r"(\w+)\s*([<>]=)\s*(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Draft:
    """What a person says of a new law.

    Attributes:
        claim: Claim fields by name; those that are empty are left out.
        identifier: Id; empty: made from hardware, op and title.
        origin: Who found it, in which runs.
    """

    kind: str
    title: str
    scope: Mapping[str, Any]
    claim: Mapping[str, Any] = field(default_factory=dict)
    identifier: str = ""
    origin: str = ""


def _identifier(draft: Draft) -> str:
    """The draft's id, or one made of its hardware, op and title."""
    words = f"{draft.scope['hw']} {draft.scope['op']} {draft.title}"
    made = re.sub(r"[^a-z0-9_.]+", "-", words.lower()).strip("-._")
    return draft.identifier or made[:_MAX_ID].rstrip("-._")


def parse_bounds(text: str) -> dict[str, dict[str, float]]:
    """Bounds of a claim's effect from `slowdown>=1.2,cost<=0.01`.

    Raises:
        KgError: If a part is not a name, `>=` or `<=`, and a number.
    """
    found: dict[str, dict[str, float]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _BOUND.fullmatch(part)
        if match is None:
            raise KgError(f"--effect: write NAME>=NUMBER or NAME<=NUMBER (got {part!r})")
        name, sign, number = match.groups()
        side, value = "at_least" if sign == ">=" else "at_most", float(number)
        found.setdefault(name, {})[side] = int(value) if value.is_integer() else value
    return found


def new_law_text(draft: Draft) -> str:
    """The canonical text of the draft's file.

    Raises:
        KgError: If the claim lacks something, has something of another kind, or the law is not one.
    """
    claim = {name: value for name, value in draft.claim.items() if value not in ("", None, (), [], {})}
    needed = KINDS[draft.kind].required() if draft.kind in KINDS else ()
    missing = [name for name in needed if name not in claim]
    if missing:
        raise KgError(f"a {draft.kind} law needs {', '.join('--' + name for name in missing)}")
    raw = {
        "id": _identifier(draft),
        "title": draft.title,
        "kind": draft.kind,
        "scope": {name: value for name, value in draft.scope.items() if value},
        "claim": claim,
        "status": "proposed",
        **({"origin": draft.origin} if draft.origin else {}),
    }
    try:
        validate.convert(raw, "law")
    except msgspec.ValidationError:
        raise KgError("\n".join(f"{flaw.field}: {flaw.message}" for flaw in validate.flaws(raw, "law"))) from None
    return fmt.new_text(raw, "law", f"{raw['id']}.yaml")


def drafted(laws: Laws, draft: Draft) -> tuple[str, str]:
    """Where in `laws` the draft's file belongs, relative to the root, and its text, which `laws` would load with.

    Raises:
        KgError: If its id is taken, or the draft is not a law.
        InvalidFilesError: If what it names is unknown.
    """
    text = new_law_text(draft)
    name = _identifier(draft)
    if name in laws.laws:
        raise KgError(f"law {name!r} exists already, in {laws.path('law', name)}; give another with --id")
    gone = next((one for one in laws.superseded if one.law.id == name), None)
    if gone is not None:
        raise KgError(f"law {name!r} exists already, in {gone.path}, superseded by {gone.by}; give another with --id")
    relative = f"{draft.scope['hw']}/{draft.scope['op']}/{name}.yaml"
    check_with(laws, relative, text)
    return relative, text


def write_new(laws: Laws, draft: Draft) -> Path:
    """Write the draft's file into its folder of the law root; returns the path.

    Raises:
        KgError: If its id is taken, or the draft is not a law.
        InvalidFilesError: If what it names is unknown; nothing is written.
    """
    relative, text = drafted(laws, draft)
    path = laws.root / relative
    held = write_once(laws.root, path, text)
    if held is not None:
        raise KgError(f"{held}: exists already; give another id with --id")
    return path


def write_once(root: Path, path: Path, text: str) -> Path | None:
    """Write a new law file, unless a file of that name, so of that id, came into `root` meanwhile: then its path.

    Raises:
        OSError: If it cannot be written.
    """
    with locked(root):
        for relative, _ in files(str(root)):
            if relative.rpartition("/")[2] == path.name:
                return root / relative
        atomic.write_text(path, text)
    return None


def check_with(laws: Laws, relative: str, text: str) -> None:
    """Check a new law file against the rest of the root as if it were there.

    Raises:
        InvalidFilesError: With everything wrong with the file.
    """
    path = laws.root / relative
    law = law_of(text, path)
    contents = msgspec.structs.replace(laws.contents, laws={**laws.laws, law.id: law})
    present = {kind: {*files, law.id} if kind == "law" else set(files) for kind, files in laws.paths.items()}

    def reread(kind: str, name: str) -> yaml_reader.YamlDocument:
        if (kind, name) == ("law", law.id):
            return yaml_reader.read(text.encode(), str(path))
        return laws.document(kind, name)

    problems = references.problems(contents, present, reread)
    if problems:
        raise InvalidFilesError(problems)
