"""`is_a` chains of hardware and of ops: names resolved, ancestors, descendants, and the path between two relatives."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from typing import Protocol

from spak.kg.errors import UnknownNameError

_NUM_SUGGESTIONS = 3
_DROPPED = str.maketrans("", "", " -_\t")

Path = tuple[str, ...]
"""Node ids from where a walk began to where it ended, both included."""


class Named(Protocol):
    """What people call a node by, besides its id."""

    @property
    def title(self) -> str:
        """Name that a person recognises."""

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other names, such as the string a driver reports."""


class TaxonomyNode(Named, Protocol):
    """What a node of a taxonomy has (hardware and op files do)."""

    @property
    def is_a(self) -> tuple[str, ...]:
        """Ids of the nodes it is a kind of."""


@dataclass(frozen=True)
class Taxonomy:
    """The nodes of one kind and the walks along their `is_a` edges. Cycles end a walk, they do not hang it.

    Attributes:
        kind: What an unknown name is called in an error (`hardware`, `op`).
    """

    kind: str
    nodes: Mapping[str, TaxonomyNode]

    @cached_property
    def _children(self) -> dict[str, tuple[str, ...]]:
        children: dict[str, list[str]] = {}
        for identifier, node in self.nodes.items():
            for parent in node.is_a:
                children.setdefault(parent, []).append(identifier)
        return {parent: tuple(found) for parent, found in children.items()}

    def resolve(self, name: str) -> str:
        """The id that `name` means: an id, an alias or a title, whatever its case, spaces, hyphens and underscores.

        Raises:
            UnknownNameError: If no node has that name; carries the nearest ids.
        """
        if name in self.nodes:
            return name
        return resolved(self.kind, name, by_plain_name(self.nodes))

    def ancestors(self, start: str) -> dict[str, Path]:
        """Every node that `start` is, itself first: id -> shortest path from `start`, nearest first."""
        return _walk(start, lambda node: self.nodes[node].is_a if node in self.nodes else ())

    def descendants(self, start: str) -> dict[str, Path]:
        """Every node that is a `start`, itself first: id -> shortest path from `start`, nearest first."""
        return _walk(start, lambda node: self._children.get(node, ()))

    def path(self, start: str, end: str) -> Path | None:
        """The way up from `start` to the nearest common ancestor and down to `end`; None for strangers."""
        up, down = self.ancestors(start), self.ancestors(end)
        common = [node for node in up if node in down]
        if not common:
            return None
        top = min(common, key=lambda node: len(up[node]) + len(down[node]))
        return up[top] + down[top][-2::-1]


def by_plain_name(nodes: Mapping[str, Named]) -> dict[str, str]:
    """Plain name -> id; where two nodes share a name, an id beats an alias and an alias beats a title."""
    names: dict[str, str] = {}
    for names_of in (lambda i, _: (i,), lambda _, n: n.aliases, lambda _, n: (n.title,)):
        for identifier, node in nodes.items():
            for name in names_of(identifier, node):
                names.setdefault(plain_name(name), identifier)
    return names


def resolved(kind: str, name: str, names: Mapping[str, str]) -> str:
    """The id that `name` means among `names` (plain name -> id).

    Raises:
        UnknownNameError: If there is none; carries the nearest ids.
    """
    if plain_name(name) not in names:
        raise UnknownNameError(kind, name, nearest(name, names.items()))
    return names[plain_name(name)]


def alike(name: str, known: Iterable[str]) -> list[str]:
    """Up to three of the `known` names that look most like `name`, best first."""
    return nearest(name, ((plain_name(other), other) for other in known))


def plain_name(name: str) -> str:
    """`name` without what people vary: case, spaces, hyphens, underscores."""
    return name.casefold().translate(_DROPPED)


def nearest(name: str, names: Iterable[tuple[str, str]]) -> list[str]:
    """The answers of up to three `(plain name, answer)` pairs whose names look most like `name`, best first."""
    wanted = plain_name(name)
    scored = sorted((-SequenceMatcher(None, wanted, other).ratio(), answer) for other, answer in names)
    return list(dict.fromkeys(answer for _, answer in scored))[:_NUM_SUGGESTIONS]


def _walk(start: str, neighbours: Callable[[str], Iterable[str]]) -> dict[str, Path]:
    """Breadth-first paths from `start` along `neighbours`."""
    paths: dict[str, Path] = {start: (start,)}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        for neighbour in neighbours(node):
            if neighbour not in paths:
                paths[neighbour] = (*paths[node], neighbour)
                queue.append(neighbour)
    return paths
