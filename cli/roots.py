"""What a command line is about: the law root it uses and which of its files, the cache beside it, the toolchain it is asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spak.cli.app import Globals
from spak.kg.errors import KgError
from spak.kg.files.root import LawRoot, find_root
from spak.kg.files.shelf import keep_loaded
from spak.kg.visible import line

if TYPE_CHECKING:
    from spak import Library
    from spak.kg.files.loader import Laws

AskedToolchain = Annotated[
    str, typer.Option(metavar="'NAME VERSION'", help="Else the installed one, else the newest seen.")
]
"""Option of a command: see `asked_toolchain`."""

KnownProblem = Annotated[
    str, typer.Option(metavar="NAME|K=V,...", help="What is known of the problem, or a size by name.")
]
"""Option of a command that asks about an op."""

_COMPILER = "nvidia_cuda_tileiras"
"""Distribution that brings the tileiras compiler, as its folder in site-packages is called."""


def open_root(state: Globals) -> LawRoot:
    """The folder of laws: `--laws` or `KG_LAWS`, the nearest `laws/` upwards, or the packaged ones.

    Raises:
        KgError: If there is none.
    """
    return find_root(state.laws, Path.cwd())


def root_of(state: Globals) -> LawRoot:
    """The law root of this command line, relative to where the person stands if it is below.

    Raises:
        KgError: If there is none.
    """
    found, here = open_root(state), Path.cwd()
    return replace(found, path=found.path.relative_to(here)) if found.path.is_relative_to(here) else found


def chosen_files(folder: Path, paths: Sequence[Path]) -> dict[Path, str]:
    """The YAML files at or below `paths`, each with its kind; all of the root's without any. Schemas are not among them.

    Raises:
        KgError: If a path does not exist, lies outside the root, or has a name that cannot be shown.
    """
    from spak.kg.files.listing import file_kind, files

    found = sorted(relative for relative, _ in files(str(folder)) if relative.endswith(".yaml") and file_kind(relative))
    for relative in found:
        if not relative.isprintable():
            msg = f"{line(str(folder / relative))}: the name has a character that cannot be shown; rename it"
            raise KgError(msg)
    return {path: file_kind(relative) for relative in found if is_chosen(path := folder / relative, folder, paths)}


def is_chosen(path: Path, folder: Path, paths: Sequence[Path]) -> bool:
    """Whether `path` is at or below one of `paths`; without any, everything is.

    Raises:
        KgError: If one of `paths` does not exist or lies outside the root.
    """
    for wanted in paths:
        if not wanted.exists():
            msg = f"{wanted}: no such file or folder"
            raise KgError(msg)
        if not wanted.resolve().is_relative_to(folder.resolve()):
            msg = f"{wanted}: outside the law root {folder}; name another root with --laws DIR"
            raise KgError(msg)
    return not paths or any(path.resolve().is_relative_to(wanted.resolve()) for wanted in paths)


def open_laws(state: Globals) -> Laws:
    """The laws of `open_root`, from the cache if nothing changed.

    Raises:
        KgError: If there is no law root, or a file in it cannot be used.
    """
    return open_library(state).laws


def open_library(state: Globals, toolchain: str | None = None, own: str = "") -> Library:
    """The same as a library that answers, for that toolchain; None: the newest that any evidence is from.

    Args:
        state: The command line's.
        toolchain: As `load` takes it.
        own: File or name of a kernel outside this repository, whose laws are meant.

    Raises:
        KgError: If there is no law root, a file in it cannot be used, or `toolchain` is not `name version`.
    """
    from spak import load

    library = load(state.laws, toolchain=toolchain, cache=cache_directory(), kernel=own or None)
    if state.is_whole_process:
        keep_loaded(library.laws.laws)
    return library


def cache_directory() -> Path:
    """`$XDG_CACHE_HOME/spak`, by default `~/.cache/spak`. Safe to delete."""
    base = os.environ.get("XDG_CACHE_HOME") or ""
    folder = Path(base) if Path(base).is_absolute() else Path("~/.cache").expanduser()
    return folder / "spak"


def asked_toolchain(given: str) -> str | None:
    """The toolchain asked about: the one given, else the installed compiler; None: the newest seen in evidence."""
    return given or installed_toolchain() or None


def installed_toolchain() -> str:
    """`tileiras VERSION` of the installed compiler, empty if there is none. Reads folder names, imports nothing."""
    for folder in sys.path:
        for found in Path(folder or ".").glob(f"{_COMPILER}-*.dist-info"):
            return f"tileiras {found.name.removeprefix(f'{_COMPILER}-').removesuffix('.dist-info')}"
    return ""
