"""What a command line is about: the law root it uses, the cache beside it, the toolchain it is asked for."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from spak.cli.app import Globals
from spak.kg.files import root

if TYPE_CHECKING:
    from spak import Library
    from spak.kg.files.loader import Laws

_COMPILER = "nvidia_cuda_tileiras"
"""Distribution that brings the tileiras compiler, as its folder in site-packages is called."""


def open_root(state: Globals) -> root.LawRoot:
    """The folder of laws: `--laws` or `KG_LAWS`, the nearest `laws/` upwards, or the packaged ones.

    Raises:
        KgError: If there is none.
    """
    return root.find(state.laws, Path.cwd())


def open_laws(state: Globals) -> Laws:
    """The laws of `open_root`, from the cache if nothing changed.

    Raises:
        KgError: If there is no law root, or a file in it cannot be used.
    """
    return open_library(state).laws


def open_library(state: Globals, toolchain: str | None = None) -> Library:
    """The same as a library that answers, for that toolchain; None: the newest that any evidence is from.

    Raises:
        KgError: If there is no law root, a file in it cannot be used, or `toolchain` is not `name version`.
    """
    from spak import load

    return load(state.laws, toolchain=toolchain, cache=cache_directory())


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
