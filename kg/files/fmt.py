"""The canonical form of a file under a law root: key order, indentation, nothing else. Comments and quotes stay.

Formatting never changes what a file means: the result is read back and compared before anybody gets it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from spak.kg.errors import InvalidFilesError, KgError, Problem
from spak.kg.files import yaml_reader
from spak.kg.files.yaml_scalars import AmbiguousError, plain, spelled
from spak.kg.model.base import Scalar

_SCOPE = ("hw", "op", "dtype", "when", "toolchain")
_CLAIM = ("prefer", "avoid", "over", "values", "within", "require", "otherwise", "from", "to", "rewrite", "check")
_EVIDENCE = ("run", "verdict", "tier", "role", "effect", "interval", "problems", "toolchain", "note")
_TOP = {
    "law": (
        *("id", "title", "kind", "scope", "claim", "status", "examples", "evidence"),
        *("withdrawn", "related", "references", "acknowledges"),
    ),
    "hardware": ("id", "title", "kind", "is_a", "aliases", "facts", "references"),
    "op": (
        *("id", "title", "is_a", "part_of", "aliases", "einsum", "parameters", "problem", "limits", "conditions"),
        *("flops", "bytes", "problems", "references"),
    ),
    "system": (
        *("id", "title", "level", "state", "aliases", "built_from", "derived_from", "delta", "inherits"),
        *("design_space", "tuning_space", "configurations", "verification", "references"),
    ),
}
"""Kind of file -> canonical order of its top-level keys; keys that are not listed stay behind them in their order."""


class FormatError(KgError):
    """A file that cannot be rewritten without changing what it means."""


class _Exact(float):
    """A float that is written as it was read: ruamel's own loses the last digits of long ones."""

    text: str


class _Constructor(RoundTripConstructor):
    """Reads floats as `_Exact`."""


class _Representer(RoundTripRepresenter):
    """Writes `_Exact` floats as they were read."""


def _exact(_: Any, node: Any) -> _Exact:
    value = _Exact(node.value)
    value.text = node.value
    return value


_FLOAT_TAG = "tag:yaml.org,2002:float"
_Constructor.add_constructor(_FLOAT_TAG, _exact)
_Representer.add_representer(_Exact, lambda writer, value: writer.represent_scalar(_FLOAT_TAG, value.text))


def engine() -> YAML:
    """A round-trip reader and writer with the canonical layout."""
    yaml = YAML(typ="rt")
    yaml.Constructor, yaml.Representer = _Constructor, _Representer
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096
    yaml.preserve_quotes = True
    return yaml


def formatted(text: str, kind: str, path: str) -> str:
    """The canonical form of a file's `text`.

    Args:
        text: Content of a file that `spak.kg.files.yaml_reader` reads.
        kind: `law`, `hardware`, `op` or `system`.
        path: Its name for messages.

    Raises:
        InvalidFilesError: If the text cannot be read.
        FormatError: If it cannot be rewritten without changing its meaning.
    """
    before = yaml_reader.read(text.encode(), path).value
    if not isinstance(before, dict):
        raise InvalidFilesError([Problem(path, 1, 1, "", "the file holds a mapping; see docs/formats.md")])
    try:
        tree = engine().load(text)
        _order(tree, kind)
        result = dump(tree)
        again = dump(engine().load(result))  # ruamel settles the place of some comments on its second writing
    except (YAMLError, ValueError, AttributeError, TypeError) as error:
        msg = f"{path}: cannot be formatted ({type(error).__name__}); simplify its layout"
        raise FormatError(msg) from None
    check_same(before, again, path)
    return again


def dump(tree: Any) -> str:
    """The text of a round-trip tree."""
    stream = io.StringIO()
    engine().dump(tree, stream)
    return stream.getvalue()


def check_same(value: Any, text: str, path: str) -> None:
    """Check that `text` holds exactly `value`.

    Raises:
        FormatError: If it does not, which would be a fault of the writer.
    """
    try:
        same = yaml_reader.read(text.encode(), path).value == value
    except InvalidFilesError:
        same = False
    if not same:
        msg = f"{path}: writing it would change what it means; simplify its layout"
        raise FormatError(msg)


def misplaced(value: Mapping[str, Any], kind: str) -> str | None:
    """Dotted path of the first key of a file's value that does not stand in canonical order; None if all do."""
    for prefix, part, order in _ordered_parts(value, kind):
        keys = list(part)
        for key, wanted in zip(keys, _arranged(keys, order), strict=True):
            if key != wanted:
                return f"{prefix}{key}"
    return None


def _order(tree: CommentedMap, kind: str) -> None:
    for _, part, order in _ordered_parts(tree, kind):
        keys = list(part)
        wanted = _arranged(keys, order)
        for key in wanted if keys != wanted else ():
            part.move_to_end(key)


def _ordered_parts(value: Any, kind: str) -> Iterator[tuple[str, Any, Sequence[str]]]:
    """The mappings of a file whose keys have an order: path in front of a key, mapping, order."""
    yield "", value, _TOP[kind]
    if kind != "law":
        return
    inner = {"scope": _SCOPE, "claim": (*_CLAIM, "because", "effect"), "examples": ("avoided", "admitted")}
    for name, order in inner.items():
        if isinstance(value.get(name), Mapping):
            yield f"{name}.", value[name], order
    entries = value.get("evidence")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, Mapping):
            yield f"evidence[{index}].", entry, _EVIDENCE


def _arranged(keys: Sequence[str], order: Sequence[str]) -> list[str]:
    """`keys` in `order`, others behind them as they stand."""
    return [key for key in order if key in keys] + [key for key in keys if key not in order]


def styled(value: Any, *, flow: bool = False) -> Any:
    """`value` as a round-trip tree: what a loader could misread is quoted; mappings and lists of scalars stand on a line."""
    if isinstance(value, str):
        return DoubleQuotedScalarString(value) if _needs_quotes(value) else value
    if isinstance(value, Mapping):
        mapping = CommentedMap({key: styled(item, flow=True) for key, item in value.items()})
        if flow or all(_is_scalar(item) for item in value.values()):
            mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, Sequence):
        items = CommentedSeq(styled(item, flow=True) for item in value)
        if flow or all(_is_scalar(item) for item in value):
            items.fa.set_flow_style()
        return items
    if isinstance(value, float):
        exact = _Exact(value)
        exact.text = spelled(value)
        return exact
    return value


def _is_scalar(value: Scalar | Any) -> bool:
    return isinstance(value, bool | int | float | str)


def _needs_quotes(text: str) -> bool:
    try:
        return plain(text) != text or text.startswith((":", "?"))  # libyaml misreads it inside braces
    except AmbiguousError:
        return True
