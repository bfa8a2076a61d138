"""Which folder of laws is meant: the one given, the nearest `laws/` upwards, or the one that came with the package.

A root may lie over others: it holds a file `root.yaml` with one line, `over: packaged`, `over: FOLDER` or
`over: [FOLDER, FOLDER]`. What is in the roots beneath then counts as if it lay in the upper one, and is never written; an id
is in one of them only, but for laws that say that they supersede others (`spak.kg.law.superseding`).
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
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

_LIST = re.compile(r"\[(.*)\]")
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


def layer_name(folder: Path) -> str:
    """What the layer in `folder` is called where no other is."""
    real = folder.resolve()
    return _names([real])[real]


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


@dataclass(frozen=True)
class Layer:
    """A folder that a law root consists of.

    Attributes:
        name: What people call it: `packaged`, else the last two names of its path, or all of them where two share these.
        beneath: Numbers of the layers beneath it, however far.
    """

    folder: Path
    name: str
    beneath: frozenset[int]


def layers(root: Path) -> tuple[Layer, ...]:
    """The folders that a law root consists of: itself, and what it lies over, each once and above all beneath it.

    Raises:
        InvalidFilesError: If a `root.yaml` cannot be read, or names no folder, one twice, one above it or inside another.
    """
    over: dict[Path, list[Path]] = {}
    _descend(root, over, ())
    found = list(reversed(over))
    number = {folder: place for place, folder in enumerate(found)}
    beneath: dict[Path, frozenset[int]] = {}
    for folder in reversed(found):
        direct = over[folder]
        beneath[folder] = frozenset(map(number.__getitem__, direct)).union(*(beneath[other] for other in direct))
    _require_apart(root, found)
    names = _names(found)
    return tuple(Layer(f if number[f] else root, names[f], beneath[f]) for f in found)


def _descend(root: Path, over: dict[Path, list[Path]], above: tuple[Path, ...]) -> Path:
    """Note in `over` what `root` lies over, after all that lies beneath it; gives its real path."""
    real = root.resolve()
    if real not in over:
        beneath = _beneath(root)
        for folder in reversed(beneath):
            if folder.resolve() in {*above, real}:
                _refuse(root, f"{folder} lies over this root already; end the circle")
            _descend(folder, over, (*above, real))
        over[real] = [folder.resolve() for folder in beneath]
    return real


def _require_apart(root: Path, folders: Sequence[Path]) -> None:
    for folder in folders:
        outer = next((other for other in folders if other != folder and folder.is_relative_to(other)), None)
        if outer is not None:
            _refuse(root, f"{folder} lies inside {outer}, which would read its files as its own; move it out")


def _names(folders: Sequence[Path]) -> dict[Path, str]:
    shipped = _shipped()
    short = {f: SHIPPED if shipped and f == shipped.resolve() else "/".join(f.parts[-2:]) for f in folders}
    seen = Counter(short.values())
    return {folder: name if seen[name] == 1 else str(folder) for folder, name in short.items()}


def _beneath(root: Path) -> list[Path]:
    """The folders that `root` lies over itself."""
    path = root / LAYER_FILE
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    named = _OVER.fullmatch(said[0]) if len(said) == 1 else None
    if named is None:
        form = f"one line, `over: {SHIPPED}`, `over: FOLDER` or `over: [FOLDER, FOLDER]`"
        _refuse(root, f"{form} (got {said[0]!r})" if said else "is empty")
    listed = _LIST.fullmatch(named["folder"])
    found = [
        _named(root, name.strip().strip("'\"")) for name in (listed[1].split(",") if listed else [named["folder"]])
    ]
    twice = next((f for place, f in enumerate(found) if f.resolve() in {one.resolve() for one in found[:place]}), None)
    if twice is not None:
        _refuse(root, f"over: {twice} is named twice")
    return found


def _named(root: Path, name: str) -> Path:
    folder = _shipped() if name == SHIPPED else root / Path(name).expanduser() if name else None
    if folder is None or not folder.is_dir():
        _refuse(root, f"over: no such folder of laws (got {name!r})")
    return folder


def _shipped() -> Path | None:
    """The laws that came with the package; None if there are none."""
    return next((folder for folder in (PACKAGED, CHECKOUT) if folder.is_dir()), None)


def _refuse(root: Path, message: str) -> NoReturn:
    raise InvalidFilesError([Problem(str(root / LAYER_FILE), 1, 1, "", message)])
