"""The kinds of law, one file each: what such a law removes, names and prefers, says of a configuration, and its words."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Union

from spak.kg.law.kinds.base import Meaning
from spak.kg.model.law import Law


def _named(entry: str) -> type[Meaning[Any]]:
    """The class that `module:name` names, a module of this folder."""
    module, _, name = entry.partition(":")
    found: type[Meaning[Any]] = getattr(import_module(f"{__name__}.{module}"), name)
    return found


KINDS: dict[str, type[Meaning[Any]]] = {
    kind.tag(): kind
    for kind in map(
        _named,
        (
            "prefer:Prefer",
            "avoid:Avoid",
            "indifferent:Indifferent",
            "require:Require",
            "transform:Transform",
        ),
    )
}
"""`kind` in a law file -> what such laws mean."""

_MEANINGS = {kind.model: kind for kind in KINDS.values()}

if TYPE_CHECKING:
    AnyLaw = Law
else:
    AnyLaw = Union[tuple(kind.model for kind in KINDS.values())]  # noqa: UP007 - the members are not written out
"""A law file of any kind: what a reader decodes; `kind` in the file selects the class."""


def kind_of(law: Law) -> str:
    """The law's `kind` as in its file."""
    return str(type(law).__struct_config__.tag)


def meaning(law: Law) -> Meaning[Law]:
    """What `law` means."""
    return _MEANINGS[type(law)](law)
