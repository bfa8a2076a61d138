"""What every model shares: the struct base and the scalar a parameter can hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

Scalar = bool | int | float | str
"""A value of a parameter, a problem parameter or a fact."""

Configuration = Mapping[str, Scalar]
"""One full assignment of an op's tunable parameters: name -> value."""

ProblemSize = Mapping[str, Scalar]
"""One problem size: name -> value of every problem parameter of an op."""

IMPLIED: ProblemSize = {"inputs": "normal"}
"""Problem parameters that most problem sizes leave unsaid -> what is meant then.

What inputs are drawn from is a part of the problem wherever a time depends on it; until problems said so, every input was
standard normal. Names of problem sizes, runs and evidence entries leave it out, so that old and new ones are the same.
"""


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every file model: immutable, keyword-only, unknown fields are errors, defaults are not written."""


class Reference(Model, frozen=True, kw_only=True):
    """Where a statement comes from: a title a person recognises, and where to read it.

    Attributes:
        title: Document and section.
        url: Address, when it is public.
        note: What it says, or what in it is not confirmed.
    """

    title: str
    url: str = ""
    note: str = ""


def canonical(values: Iterable[Scalar]) -> tuple[Scalar, ...]:
    """Distinct values, numbers ascending and then texts in alphabetical order."""
    distinct = list(dict.fromkeys(values))
    numbers = sorted(value for value in distinct if not isinstance(value, str))
    return (*numbers, *sorted(value for value in distinct if isinstance(value, str)))
