"""Which folder of laws is meant: the one given, the nearest `laws/` upwards, or the one that came with the package."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from spak.kg.errors import KgError
from spak.kg.files.lock import locked

PACKAGED = Path(__file__).parents[1] / "packaged_laws"
"""Where a wheel keeps the laws it was built with."""

_NAME = "laws"

CHECKOUT = Path(__file__).resolve().parents[2] / _NAME
"""Where they lie beside this package when it is used from a checkout."""

_MARKS = ("hardware", "ops")
"""A folder called `laws` is a law root if it has one of these: other projects have folders of that name too."""


@dataclass(frozen=True)
class LawRoot:
    """A folder of laws, and whether laws may be written back; the packaged ones may not."""

    path: Path
    writable: bool = True

    def require_writable(self) -> None:
        """Check that laws may be written here.

        Raises:
            KgError: If these are the packaged laws.
        """
        if not self.writable:
            raise KgError(f"{self.path}: the packaged laws are read-only; name a law root of your own with --laws DIR")

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
        if any((candidate / mark).is_dir() for mark in _MARKS):
            return LawRoot(candidate)
    for folder in (PACKAGED, CHECKOUT):
        if folder.is_dir():
            return LawRoot(folder, writable=False)
    raise KgError(
        f"no law root: no {_NAME}/ with a hardware/ or ops/ folder in {here} or above; name one with --laws DIR"
    )
