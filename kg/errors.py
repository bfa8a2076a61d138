"""The errors of this package: each is one clear line for a person, with the place it is about."""

from __future__ import annotations

from dataclasses import dataclass

from spak.kg import visible


class KgError(Exception):
    """Base class; `str()` of it is what a person reads."""


@dataclass(frozen=True, order=True)
class Problem:
    """One finding about one place in one file.

    Attributes:
        path: The file, relative to where the person stands if that is shorter.
        line: 1-based; 0 when the finding is about the whole file.
        column: 1-based; 0 when the finding is about the whole line.
        field: Dotted path of the field (`scope.hw`), empty for the whole file.
        severity: `error` (exit 2), `finding` (exit 1) or `note` (exit 0).
        check: Name of the check that found it, stable, kebab-case.
    """

    path: str
    line: int
    column: int
    field: str
    message: str
    severity: str = "error"
    check: str = "format"

    def __str__(self) -> str:
        """`path:line:col: field: message`, without what is unknown, in one line whatever the file is called."""
        place = ":".join(
            str(part) for part in (visible.line(self.path), self.line or None, self.column or None) if part is not None
        )
        return ": ".join(part for part in (place, self.field, self.message) if part)


class InvalidFilesError(KgError):
    """One or more files cannot be used; carries every problem found, not only the first."""

    def __init__(self, problems: list[Problem]) -> None:
        """Keep `problems`, sorted by place."""
        self.problems = sorted(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UnknownNameError(KgError):
    """A hardware, op, law or parameter name that the law root does not know; carries the nearest names."""

    def __init__(self, kind: str, name: str, nearest: list[str]) -> None:
        """Say which `kind` of `name` is unknown and which names are `nearest`."""
        self.kind, self.name, self.nearest = kind, name, nearest
        hint = f"; nearest: {', '.join(nearest)}" if nearest else ""
        super().__init__(f"unknown {kind} {name!r}{hint}")


class InfeasibleError(KgError):
    """None of the configurations given satisfies the conditions of the op."""
