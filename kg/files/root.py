"""Which folder of laws is meant: the one given, the nearest `laws/` upwards, or the one that came with the package.

A root may lie over another one: it holds a file `root.yaml` with one line, `over: packaged` or `over: FOLDER`. What is in
the root beneath then counts as if it lay in the upper one, and is never written; an id is in one of them only.
"""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from spak.kg.errors import InvalidFilesError, KgError, Problem
from spak.kg.files.lock import locked

PACKAGED = Path(__file__).parents[1] / "packaged_laws"
"""Where a wheel keeps the laws it was built with."""

_NAME = "laws"

CHECKOUT = Path(__file__).resolve().parents[2] / _NAME
"""Where they lie beside this package when it is used from a checkout."""

LAYER_FILE = "root.yaml"
"""File of a root that lies over another one."""

SHIPPED = "packaged"
"""What `over` calls the laws that came with the package."""

_MARKS = ("hardware", "ops", LAYER_FILE)
"""A folder called `laws` is a law root if it has one of these: other projects have folders of that name too."""

_OVER = re.compile(r"over:[ \t]+(?P<folder>[^#\s][^#\n]*?)[ \t]*(#.*)?")


@dataclass(frozen=True)
class LawRoot:
    """A folder of laws, and whether laws may be written back; the packaged ones may not.

    Attributes:
        over: What it will lie over once it is made; empty for one that is there.
    """

    path: Path
    writable: bool = True
    over: str = ""

    def require_writable(self) -> None:
        """Check that laws may be written here.

        Raises:
            KgError: If these are the packaged laws.
        """
        if not self.writable:
            raise KgError(f"{self.path}: the packaged laws are read-only; name a law root of your own with --laws DIR")

    def make(self) -> None:
        """Make the folder over the one beneath it, unless it is there.

        Raises:
            OSError: If it cannot be written.
        """
        if self.over and not (self.path / LAYER_FILE).exists():
            self.path.mkdir(parents=True, exist_ok=True)
            text = f"over: {self.over} # the laws beneath these, which are read and never written\n"
            (self.path / LAYER_FILE).write_text(text, encoding="utf-8")

    def locked(self) -> AbstractContextManager[None]:
        """Nobody else writes laws here as long as the context lasts."""
        return locked(self.path)


def find_root(given: str | Path | None, start: Path) -> LawRoot:
    """The law root that is meant: `given` (`--laws`, `KG_LAWS`), else the nearest from `start` upwards.

    Raises:
        KgError: If `given` is no folder, or there is no law root anywhere.
    """
    if given is not None:
        path = Path(given)
        if not path.is_dir():
            raise KgError(f"{path}: no such folder of laws; check --laws and KG_LAWS")
        return LawRoot(path, writable=path.resolve() != PACKAGED.resolve())
    here = start.resolve()
    for folder in (here, *here.parents):
        candidate = folder / _NAME
        if any((candidate / mark).exists() for mark in _MARKS):
            return LawRoot(candidate)
    shipped = _shipped()
    if shipped is None:
        raise KgError(
            f"no law root: no {_NAME}/ with a hardware/ or ops/ folder in {here} or above; name one with --laws DIR"
        )
    return LawRoot(shipped, writable=False)


def shipped_root() -> Path:
    """The laws that came with the package.

    Raises:
        KgError: If there are none.
    """
    shipped = _shipped()
    if shipped is None:
        raise KgError("no laws came with this package; name a law root with --laws DIR")
    return shipped


def own_root(given: str | Path | None, start: Path) -> LawRoot:
    """The law root that takes what is learned of a kernel that lies in the folder `start`.

    It is `given`, else the nearest from `start` upwards if that may be written, else a new one in `start`, over the
    packaged laws, which `LawRoot.make` makes.

    Raises:
        KgError: If `given` is no folder, or there are no packaged laws.
    """
    found = find_root(given, start)
    if given is not None or (found.writable and os.access(found.path, os.W_OK)):
        return found
    return LawRoot(start / _NAME, over=SHIPPED)


def layers(root: Path) -> tuple[Path, ...]:
    """The folders that a law root consists of: itself, the one beneath it, and so on.

    Raises:
        InvalidFilesError: If a `root.yaml` cannot be read, or names no folder or one above it.
    """
    found = [root]
    while (beneath := _beneath(found[-1])) is not None:
        if any(beneath.resolve() == folder.resolve() for folder in found):
            _refuse(found[-1], f"{beneath} lies over this root already; end the circle")
        found.append(beneath)
    return tuple(found)


def _beneath(root: Path) -> Path | None:
    """The folder that `root` lies over, if any."""
    path = root / LAYER_FILE
    if not path.is_file():
        return None
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    named = _OVER.fullmatch(said[0]) if len(said) == 1 else None
    if named is None:
        _refuse(root, f"one line, `over: {SHIPPED}` or `over: FOLDER` (got {said[0]!r})" if said else "is empty")
    name = named["folder"].strip("'\"")
    folder = _shipped() if name == SHIPPED else root / Path(name).expanduser()
    if folder is None or not folder.is_dir():
        _refuse(root, f"over: no such folder of laws (got {name!r})")
    return folder


def _shipped() -> Path | None:
    """The laws that came with the package; None if there are none."""
    return next((folder for folder in (PACKAGED, CHECKOUT) if folder.is_dir()), None)


def _refuse(root: Path, message: str) -> NoReturn:
    raise InvalidFilesError([Problem(str(root / LAYER_FILE), 1, 1, "", message)])
