"""Coercion of plain option types without pydantic, which typer would import for a single string (0.2 s of start-up)."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer


class _Light:
    """Stands in for typer's own coercion of one parameter; same method, same errors."""

    def __init__(self, convert: Callable[[str], Any]) -> None:
        self.convert = convert

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """`value` as the parameter's type; None stays None.

        Raises:
            typer.BadParameter: If it is not of that type.
        """
        many = param.multiple or param.nargs == -1
        if value is None:
            return () if many else None
        try:
            return tuple(self.convert(item) for item in value) if many else self.convert(value)
        except ValueError as error:
            raise typer.BadParameter(str(error), ctx=ctx, param=param) from None


def make_light(params: list[Any]) -> list[Any]:
    """A command's `params`, each whose type is plain now with a coercion that needs no pydantic.

    A parameter of any other type, or a typer without this hook, keeps typer's own coercion: slower, the same result.
    """
    for param in params:
        descriptor = getattr(param, "type_descriptor", None)
        if descriptor is None or getattr(param, "_runtime_param", ...) is not None or param.nargs not in {1, -1}:
            continue
        convert = _converter(descriptor.annotation, descriptor.parameter_info)
        if convert is not None:
            param._runtime_param = _Light(convert)  # noqa: SLF001 - typer has no public hook; see docs/decisions/0020
    return params


def _converter(annotation: Any, info: Any) -> Callable[[str], Any] | None:
    """A function from the command line's word to a value of `annotation`, or None where typer must do it."""
    if info.parser is not None:
        return None
    if get_origin(annotation) is list:
        return _converter(get_args(annotation)[0], info)
    if get_origin(annotation) is Literal:
        return _choice(get_args(annotation))
    if annotation in {int, float}:
        return _number(annotation, info.min, info.max)
    plain: dict[Any, Callable[[str], Any]] = {str: str, bool: _boolean}
    if annotation is Path and not (info.exists or info.resolve_path):
        return Path
    return plain.get(annotation)


def _choice(choices: tuple[Any, ...]) -> Callable[[str], Any]:
    by_text = {str(choice): choice for choice in choices}

    def convert(value: str) -> Any:
        if str(value) not in by_text:
            msg = f"{value!r} is not one of {', '.join(map(repr, by_text))}."
            raise ValueError(msg)
        return by_text[str(value)]

    return convert


def _number(kind: type[int | float], low: float | None, high: float | None) -> Callable[[str], Any]:
    def convert(value: str) -> Any:
        try:
            number = kind(value)
        except ValueError:
            noun = "an integer" if kind is int else "a number"
            msg = f"{value!r} is not {noun}."
            raise ValueError(msg) from None
        if not (-math.inf if low is None else low) <= number <= (math.inf if high is None else high):
            msg = f"{number} is not between {'-inf' if low is None else low} and {'inf' if high is None else high}."
            raise ValueError(msg)
        return number

    return convert


def _boolean(value: str | bool) -> bool:
    if isinstance(value, bool):
        return value
    word = value.strip().lower()
    if word in {"1", "true", "t", "yes", "y", "on"}:
        return True
    if word in {"", "0", "false", "f", "no", "n", "off"}:
        return False
    msg = f"{value!r} is not a boolean."
    raise ValueError(msg)
