"""Opens the law root that a command was asked to use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from cli.app import Globals
from kg.errors import InvalidFilesError, KgError, Problem
from kg.model.hardware import Hardware
from kg.model.law import Law
from kg.model.op import Op
from kg.model.run import Run
from kg.model.system import System

_KINDS: Mapping[str, Any] = {"hardware": Hardware, "ops": Op, "systems": System}


@dataclass
class Opened:
    """The collections of one law root."""

    root: Path
    laws: dict[str, Law] = field(default_factory=dict)
    hardware: dict[str, Hardware] = field(default_factory=dict)
    ops: dict[str, Op] = field(default_factory=dict)
    systems: dict[str, System] = field(default_factory=dict)

    def run(self, identifier: str) -> Run | None:
        """The run file of that id, or None."""
        path = self.root / "evidence" / f"{identifier}.json"
        return msgspec.json.decode(path.read_bytes(), type=Run) if path.is_file() else None


def open_laws(state: Globals) -> Opened:
    """The law root of this command line: `--laws`, `KG_LAWS`, or the nearest `laws/` upwards.

    Raises:
        KgError: If there is none, or a file in it cannot be used.
    """
    import yaml

    found = Opened(_root(state.laws))
    problems = []
    for path in sorted(found.root.rglob("*.yaml")):
        folder = path.relative_to(found.root).parts[0]
        try:
            value = msgspec.convert(yaml.load(path.read_bytes(), yaml.CSafeLoader), _KINDS.get(folder, Law))
        except (yaml.YAMLError, msgspec.ValidationError) as error:
            problems.append(Problem(str(path), 0, 0, "", " ".join(str(error).split())))
            continue
        collection = getattr(found, folder if folder in _KINDS else "laws")
        collection[value.id] = value
    if problems:
        raise InvalidFilesError(problems)
    return found


def _root(given: str | None) -> Path:
    candidates = [Path(given)] if given else [folder / "laws" for folder in (Path.cwd(), *Path.cwd().parents)]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    msg = f"no law root at {given or 'laws/ here or above'}; name one with --laws DIR"
    raise KgError(msg)
