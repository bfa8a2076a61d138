"""Feasible spaces that many laws are compared on, each enumerated once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from spak.kg.expression import parse
from spak.kg.model.base import Scalar
from spak.kg.model.op import Op
from spak.kg.space.completion import complete
from spak.kg.space.space import Setting, Space, build

_Key = tuple[bytes, tuple[tuple[str, Scalar | None], ...]]


class Spaces:
    """Enumerates a space once for all problem sizes and hardware that its op's conditions do not tell apart."""

    def __init__(self) -> None:
        """Know no space yet."""
        self._built: dict[_Key, Space] = {}
        self._placed: dict[_Key, Space] = {}
        self._ops: dict[int, tuple[Op, bytes, tuple[str, ...]]] = {}

    def at(self, op: Op, problem: Mapping[str, Scalar], facts: Mapping[str, Scalar]) -> Space:
        """The feasible space of `op` at one problem size on one piece of hardware.

        Raises:
            KgError: If nothing is feasible there.
        """
        setting = Setting(complete(op, problem), dict(facts))
        content, names = self._what(op)
        key = (content, tuple((name, setting.names.get(name)) for name in names))
        if key not in self._built:
            self._built[key] = build(op, problem, facts)
        place = (content, tuple(setting.names.items()))
        if place not in self._placed:
            self._placed[place] = replace(self._built[key], setting=setting)
        return self._placed[place]

    def _what(self, op: Op) -> tuple[bytes, tuple[str, ...]]:
        """What fixes an op's space, and the names outside its parameters that its conditions speak of."""
        if id(op) not in self._ops:
            content = msgspec.json.encode((op.id, op.parameters, op.conditions))
            named = {name for condition in op.conditions for name in parse(condition.require).all_names}
            self._ops[id(op)] = (op, content, tuple(sorted(named - op.parameters.keys())))  # op: keeps its id its own
        return self._ops[id(op)][1:]
