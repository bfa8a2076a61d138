"""Feasible spaces that many laws are compared on, each enumerated once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b

import msgspec

from spak.kg.expression import parse
from spak.kg.model.base import Scalar
from spak.kg.model.op import Op
from spak.kg.space.completion import complete
from spak.kg.space.space import Setting, Space, build

_Key = tuple[bytes, tuple[tuple[str, Scalar | None], ...]]


@dataclass(frozen=True)
class _Kept:
    """What is kept of an op.

    Attributes:
        op: The node itself: as long as it is here no other has its `id()`.
        content: What fixes its space.
        names: Those outside its parameters that its conditions speak of.
        whole: Digest of all of it.
    """

    op: Op
    content: bytes
    names: tuple[str, ...]
    whole: bytes


class Spaces:
    """Enumerates a space once for all problem sizes and hardware that its op's conditions do not tell apart."""

    def __init__(self) -> None:
        """Know no space yet."""
        self._built: dict[_Key, Space] = {}
        self._placed: dict[_Key, Space] = {}
        self._ops: dict[int, _Kept] = {}

    def at(self, op: Op, problem: Mapping[str, Scalar], facts: Mapping[str, Scalar]) -> Space:
        """The feasible space of `op` at one problem size on one piece of hardware.

        Raises:
            KgError: If nothing is feasible there.
        """
        setting = Setting(complete(op, problem), dict(facts))
        kept = self._kept(op)
        content, key = kept.content, (kept.content, tuple((name, setting.names.get(name)) for name in kept.names))
        if key not in self._built:
            self._built[key] = build(op, problem, facts)
        place = (content, tuple(setting.names.items()))
        if place not in self._placed:
            self._placed[place] = replace(self._built[key], setting=setting)
        return self._placed[place]

    def content(self, op: Op) -> bytes:
        """A digest of all that an op's file says."""
        return self._kept(op).whole

    def _kept(self, op: Op) -> _Kept:
        if id(op) not in self._ops:
            content = msgspec.json.encode((op.id, op.parameters, op.conditions))
            named = {name for condition in op.conditions for name in parse(condition.require).all_names}
            whole = blake2b(msgspec.json.encode(op), digest_size=20).digest()
            self._ops[id(op)] = _Kept(op, content, tuple(sorted(named - op.parameters.keys())), whole)
        return self._ops[id(op)]
