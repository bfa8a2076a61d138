"""Settings as people type them: `tile_m=128,causal=true` to a typed mapping and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from spak.kg.errors import KgError, UnknownNameError
from spak.kg.model.base import Scalar
from spak.kg.model.taxonomy import alike

_WORDS: Mapping[str, Scalar] = {"true": True, "false": False}


def parse_assignments(text: str, *, what: str) -> dict[str, Scalar]:
    """The mapping that `name=value,...` means; `true` and `false` are booleans, what reads as a number is one.

    Spaces around names and values are dropped; `what` is being parsed, for errors (`--problem`).

    Raises:
        KgError: If a part has no `=`, no name or no value, or a name comes twice.
    """
    found: dict[str, Scalar] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (equals and name and value):
            raise KgError(f"{what}: expected name=value (got {part!r}); write it as name=64,other=true")
        if name in found:
            raise KgError(f"{what}: {name} is set twice; keep one")
        found[name] = parse_scalar(value)
    return found


def parse_scalar(text: str) -> Scalar:
    """`text` as a boolean, an integer, a float, or else itself."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def show_scalar(value: Scalar) -> str:
    """`value` as `parse_scalar` reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def show_assignments(values: Mapping[str, Scalar], *, separator: str = ", ") -> str:
    """`name=value` for each item, in the mapping's order."""
    return separator.join(f"{name}={show_scalar(value)}" for name, value in values.items())


def check_names(names: Iterable[str], known: Iterable[str], *, kind: str) -> None:
    """Check that each of `names` is `known`.

    Raises:
        UnknownNameError: At the first that is not; carries the nearest known names.
    """
    known = sorted(known)
    for name in names:
        if name not in known:
            raise UnknownNameError(kind, name, alike(name, known))
