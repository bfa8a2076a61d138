"""Problems as text or as JSON; further formats (SARIF, JUnit, GitHub) are one entry in FORMATS each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

import msgspec

from kg.errors import Problem


def text(problems: Sequence[Problem]) -> str:
    """One line a problem; notes and findings say what they are and which check found them."""
    return "".join(f"{_line(problem)}\n" for problem in problems)


def json(problems: Sequence[Problem]) -> str:
    """`{"problems": [{path, line, column, field, message, severity, check}]}`."""
    raw = msgspec.json.encode({"problems": [asdict(problem) for problem in problems]})
    return msgspec.json.format(raw, indent=2).decode() + "\n"


FORMATS: dict[str, Callable[[Sequence[Problem]], str]] = {"text": text, "json": json}
"""Name of a format -> its rendering."""


def _line(problem: Problem) -> str:
    return str(problem) if problem.severity == "error" else f"{problem} [{problem.severity}: {problem.check}]"
