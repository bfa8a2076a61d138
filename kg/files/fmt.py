"""The canonical text of the files of a law root: key order and layout. Every YAML file is written through here.

Writing never changes what a file means: a text that is not the one that was read is read back and compared first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from yaml import YAMLError

from spak.kg.errors import InvalidFilesError, KgError, Problem
from spak.kg.files import tree, tree_reader, yaml_reader
from spak.kg.files.validate import dotted
from spak.kg.files.yaml_scalars import AmbiguousError

_SCOPE = ("hw", "op", "dtype", "when", "toolchain")
_CLAIM = ("prefer", "avoid", "over", "values", "within", "require", "otherwise", "from", "to", "rewrite", "check")
_EVIDENCE = ("run", "verdict", "tier", "role", "effect", "interval", "problems", "toolchain", "occasion", "note")
_TOP = {
    "law": (
        *("id", "title", "kind", "scope", "claim", "status", "examples", "origin", "evidence"),
        *("withdrawn", "related", "references", "acknowledges"),
    ),
    "hardware": ("id", "title", "kind", "is_a", "aliases", "default", "facts", "references"),
    "op": (
        *("id", "title", "is_a", "part_of", "aliases", "default", "declared_in", "einsum", "parameters", "problem"),
        *("limits", "conditions", "flops", "bytes", "problems", "references"),
    ),
    "system": (
        *("id", "title", "level", "state", "aliases", "built_from", "derived_from", "delta", "inherits", "saved"),
        *("design_space", "tuning_space", "gate", "configurations", "verification", "references"),
    ),
}
"""Kind of file -> canonical order of its top-level keys; keys that are not listed stay behind them in their order."""

_SPREAD = frozenset({"evidence", "examples", "facts", "parameters", "references"})
"""Top-level keys whose items are spread over lines when they are new; items of others stand on one line each."""


class FormatError(KgError):
    """A file that cannot be written, or not without changing what it means."""


def format_text(content: bytes, path: str, kind: str) -> str:
    """A file's text with keys in canonical order, laid out alike; what it means and its comments stay.

    Args:
        content: The file.
        path: For errors.
        kind: `law`, `hardware`, `op` or `system`.

    Raises:
        KgError: If it is no YAML that can be read.
    """
    return formatted(yaml_reader.read(content, path), kind)


def formatted(document: yaml_reader.YamlDocument, kind: str) -> str:
    """The canonical form of a file: its own keys, comments and quotes in one order and layout.

    Raises:
        InvalidFilesError: If it holds no mapping.
        FormatError: If it cannot be rewritten without changing its meaning.
    """
    root = tree_of(document)
    _arrange(root, document.value, kind)
    text = tree.tree_text(root)
    return text if text == document.text else _checked(root, document.value, document.path)


def tree_of(document: yaml_reader.YamlDocument) -> tree.Branch:
    """The tree of a file, for editing.

    Raises:
        InvalidFilesError: If it holds no mapping.
        FormatError: If it has a form that the tree has not.
    """
    if not isinstance(document.value, dict):
        raise InvalidFilesError([Problem(document.path, 1, 1, "", "the file holds a mapping; see docs/formats.md")])
    try:
        return tree_reader.parse_tree(document.text)
    except ValueError as error:
        raise FormatError(f"{document.path}: cannot be formatted ({error}); simplify its layout") from None


def text_of(root: tree.Branch, kind: str, path: str) -> str:
    """The canonical text of an edited tree; puts its keys into order.

    Raises:
        FormatError: If no text means what the tree holds.
    """
    value = tree.values(root)
    _arrange(root, value, kind)
    return _checked(root, value, path)


def new_text(value: Mapping[str, Any], kind: str, path: str) -> str:
    """The canonical text of a new file.

    Raises:
        FormatError: If no file can hold a value, such as a number that is not finite.
    """
    root = tree.Branch(is_mapping=True, in_braces=False)
    for key, item in value.items():
        put(root, (key,), item, path)
    return text_of(root, kind, path)


def put(root: tree.Branch, keys: Sequence[str], value: Any, path: str) -> None:
    """Set the value at a path of mapping keys (`("scope", "toolchain")`) of a file; mappings in between are made.

    Raises:
        FormatError: If no file can hold the value.
    """
    levels = 2 if keys[0] in _SPREAD else 1
    part = root
    try:
        for key in keys[:-1]:
            if part.entry(key) is None:
                part.put(key, {})
                part[key].in_braces = False
            part = part[key]
        part.put(keys[-1], value, levels=levels - len(keys) + 1)
    except AmbiguousError as error:
        raise FormatError(f"{path}: {'.'.join(keys)}: {error}") from None


def add_item(root: tree.Branch, key: str, item: Mapping[str, Any], path: str) -> None:
    """Add an item to the list at a top-level key of a file, which is made if there is none.

    Raises:
        FormatError: If no file can hold a value.
    """
    if root.entry(key) is None:
        root.put(key, [])
    try:
        root[key].append(tree.Entry(tree.node(item, int(key in _SPREAD))))
    except AmbiguousError as error:
        raise FormatError(f"{path}: {key}: {error}") from None


def _checked(root: tree.Branch, value: Any, path: str) -> str:
    """The text of a tree, read back: what it means, and its comments, are there, and it is what it would become.

    Raises:
        FormatError: If not.
    """
    text = tree.tree_text(root)
    try:
        again = tree_reader.parse_tree(text)
        is_sound = (
            tree.same(yaml_reader.read(text.encode(), path).value, value)
            and sorted(tree.comments(again)) == sorted(tree.comments(root))
            and tree.tree_text(again) == text
        )
    except (InvalidFilesError, ValueError, YAMLError):
        is_sound = False
    if not is_sound:
        raise FormatError(f"{path}: writing it would change what it means; simplify its layout")
    return text


def misplaced(value: Mapping[str, Any], kind: str) -> str | None:
    """Dotted path of the first key of a file's value that does not stand in canonical order; None if all do."""
    for steps, part, order in _ordered_parts(value, kind):
        key = _first_misplaced(tuple(part), tuple(order))
        if key is not None:
            return dotted((*steps, key))
    return None


@lru_cache(maxsize=1 << 10)
def _first_misplaced(keys: tuple[str, ...], order: tuple[str, ...]) -> str | None:
    """The first of `keys` that does not stand where `order` has it; files have few ways of standing."""
    pairs = zip(keys, _arranged(list(keys), order), strict=True)
    return next((key for key, wanted in pairs if key != wanted), None)


def _arrange(root: tree.Branch, value: Mapping[str, Any], kind: str) -> None:
    for steps, part, order in _ordered_parts(value, kind):
        wanted = _arranged(list(part), order)
        if list(part) != wanted:
            found = root
            for step in steps:
                found = found[step]
            found.arrange(wanted)


def _ordered_parts(
    value: Mapping[str, Any], kind: str
) -> Iterator[tuple[tuple[str | int, ...], Mapping[str, Any], Sequence[str]]]:
    """The mappings of a file whose keys have an order: keys and places on the way to it, mapping, order."""
    yield (), value, _TOP[kind]
    if kind != "law":
        return
    inner = {"scope": _SCOPE, "claim": (*_CLAIM, "because", "effect"), "examples": ("avoided", "admitted")}
    for name, order in inner.items():
        if isinstance(value.get(name), Mapping):
            yield (name,), value[name], order
    entries = value.get("evidence")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, Mapping):
            yield ("evidence", index), entry, _EVIDENCE


def _arranged(keys: Sequence[str], order: Sequence[str]) -> list[str]:
    """`keys` in `order`, others behind them as they stand."""
    return [key for key in order if key in keys] + [key for key in keys if key not in order]
