"""Which files of a law root a command is about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spak.cli.app import Globals
from spak.cli.roots import open_root
from spak.kg.errors import KgError
from spak.kg.files.root import LawRoot


def root_of(state: Globals) -> LawRoot:
    """The law root of this command line, relative to where the person stands if it is below.

    Raises:
        KgError: If there is none.
    """
    root = open_root(state)
    here = Path.cwd()
    return LawRoot(root.path.relative_to(here), root.writable) if root.path.is_relative_to(here) else root


def chosen_files(root: Path, paths: Sequence[Path]) -> dict[Path, str]:
    """The YAML files at or below `paths`, each with its kind; all of the root's without any. Schemas are not among them.

    Raises:
        KgError: If a path does not exist or lies outside the root.
    """
    from spak.kg.files.loader import files, kind_of

    found = sorted(relative for relative, _ in files(str(root)) if relative.endswith(".yaml") and kind_of(relative))
    return {path: kind_of(relative) for relative in found if is_chosen(path := root / relative, root, paths)}


def is_chosen(path: Path, root: Path, paths: Sequence[Path]) -> bool:
    """Whether `path` is at or below one of `paths`; without any, everything is.

    Raises:
        KgError: If one of `paths` does not exist or lies outside the root.
    """
    for wanted in paths:
        if not wanted.exists():
            msg = f"{wanted}: no such file or folder"
            raise KgError(msg)
        if not wanted.resolve().is_relative_to(root.resolve()):
            msg = f"{wanted}: outside the law root {root}; name another root with --laws DIR"
            raise KgError(msg)
    return not paths or any(path.resolve().is_relative_to(wanted.resolve()) for wanted in paths)
