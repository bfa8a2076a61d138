"""How a foreign file is refused: one place, one clear line, nothing half-read."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from spak.kg.errors import InvalidFilesError, Problem


def refuse(path: Path, message: str, *, field: str = "", line: int = 0, column: int = 0) -> NoReturn:
    """Raise the error that says why `path` cannot be used.

    Raises:
        InvalidFilesError: Always.
    """
    raise InvalidFilesError([Problem(path=str(path), line=line, column=column, field=field, message=message)])
