"""Plain values to typed models: msgspec when a file is right, jsonschema to list everything when it is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from spak.kg.errors import InvalidFilesError
from spak.kg.files.schema import MODELS, model_schema
from spak.kg.law.kinds import KINDS
from spak.kg.model.taxonomy import alike

if TYPE_CHECKING:
    from spak.kg.files.yaml_reader import YamlDocument

_SHOWN = 60
_PATH = re.compile(r" - at `(?:key in )?\$(?P<path>[^`]*)`$")
_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "number": "a number",
    "integer": "an integer",
    "boolean": "true or false",
    "null": "nothing",
}


class Flaw(NamedTuple):
    """One thing wrong inside a file.

    Attributes:
        message: What is wrong (got X); what to do.
        offset: Column inside an expression; 0 for the whole field.
        at_key: Whether it is the key that is wrong.
    """

    field: str
    message: str
    offset: int = 0
    at_key: bool = False


def model_of(document: YamlDocument, kind: str) -> Any:
    """What a file holds as the model of `kind` (a key of `spak.kg.files.schema.MODELS`).

    Raises:
        InvalidFilesError: With everything that is wrong with it.
    """
    try:
        return convert(document.value, kind)
    except msgspec.ValidationError:
        found = flaws(document.value, kind)
        raise InvalidFilesError([document.problem(**flaw._asdict()) for flaw in found]) from None


def convert(value: Any, kind: str) -> Any:
    """`value` as the model of `kind` (a key of `spak.kg.files.schema.MODELS`).

    Raises:
        msgspec.ValidationError: If it is not one; `flaws` says everything that is wrong.
    """
    return msgspec.convert(value, MODELS[kind])


def flaws(value: Any, kind: str) -> list[Flaw]:
    """Everything wrong with a `value` that `convert` refuses."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - slow to import, and only files with errors need it

    if not isinstance(value, dict):
        return [Flaw("", f"the file holds a mapping (got {_show(value)}); see docs/formats.md")]
    if kind == "law" and value.get("kind") not in tuple(KINDS):
        got, known = value.get("kind"), ", ".join(KINDS)
        says = f"kind is missing; one of {known}" if got is None else f"a kind is one of {known} (got {_show(got)})"
        return [Flaw("kind" if "kind" in value else "", says)]
    schema = Draft202012Validator(model_schema(kind, value["kind"] if kind == "law" else ""))
    return [flaw for error in schema.iter_errors(value) for flaw in _of(error)] or [_own_flaw(value, kind)]


def _of(error: Any) -> Iterator[Flaw]:
    """The flaws that one schema error means; each unknown or missing key is one."""
    field = dotted(error.absolute_path)
    got = f"(got {_show(error.instance)})"
    match error.validator:
        case "additionalProperties":
            known = list(error.schema.get("properties", ()))
            for key in error.instance:
                if key not in known:
                    yield Flaw(join(field, key), f"unknown field{_suggest(key, known)}", at_key=True)
        case "required":
            name = next(key for key in error.validator_value if f"'{key}'" in error.message)
            yield Flaw(field, f"{name} is missing; add it")
        case "type":
            wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
            yield Flaw(field, f"expected {' or '.join(_TYPES[name] for name in wanted)} {got}")
        case "enum":
            choices = [str(choice) for choice in error.validator_value]
            yield Flaw(field, f"expected one of {', '.join(choices)} {got}")
        case "anyOf":
            wanted = [_TYPES.get(str(branch.get("type")), "a mapping") for branch in error.validator_value]
            yield Flaw(field, f"expected {' or '.join(wanted)} {got}")
        case "pattern":
            yield Flaw(field, f"expected text of the form {error.validator_value} {got}")
        case _:
            yield Flaw(field, error.message[: 3 * _SHOWN])


def _own_flaw(value: Any, kind: str) -> Flaw:
    """What msgspec says of a value that the schema has nothing against."""
    try:
        convert(value, kind)
    except msgspec.ValidationError as error:
        found = _PATH.search(str(error))
        message = _PATH.sub("", str(error))
        return Flaw(found["path"].removeprefix(".") if found else "", message)
    return Flaw("", "cannot be read")  # pragma: no cover - only values that convert refuses come here


def _suggest(key: str, known: list[str]) -> str:
    found = alike(str(key), known)
    return f"; there are {', '.join(known)}" if len(known) <= len(found) else f"; nearest: {', '.join(found)}"


def _show(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = "nothing" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def dotted(path: Any) -> str:
    """`evidence[0].run` of the keys and indices on the way to a value."""
    field = ""
    for part in path:
        field = f"{field}[{part}]" if isinstance(part, int) else join(field, part)
    return field


def join(field: str, key: str) -> str:
    """Dotted path of `key` in the mapping at `field`."""
    return f"{field}.{key}" if field else str(key)
