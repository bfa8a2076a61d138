"""Comma-separated choices of an option."""

from __future__ import annotations

from collections.abc import Sequence

from spak.kg.expression.assignment import check_names


def chosen(text: str, choices: Sequence[str], *, what: str) -> frozenset[str]:
    """The choices named in `text` (`negative,positive`); empty means none was made.

    Raises:
        UnknownNameError: If a name is not one of `choices`; carries the nearest.
    """
    names = [name for name in (part.strip() for part in text.split(",")) if name]
    check_names(names, choices, kind=what)
    return frozenset(names)
