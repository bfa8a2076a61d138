"""Values of the blocks that run together, and what happens to them when their control flow parts.

A value has a leading axis: 1 if it is the same for all blocks of the frame, else one entry a block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Lanes = NDArray[np.int64]


@dataclass(frozen=True)
class View:
    """A tiled view of an array: address, sizes and strides as values, and cuTile's type of the view."""

    base: NDArray[Any]
    shape: tuple[NDArray[Any], ...]
    strides: tuple[NDArray[Any], ...]
    type: Any

    def take(self, lanes: Lanes) -> View:
        """The view of some of the blocks."""
        return View(
            take(self.base, lanes),
            tuple(take(v, lanes) for v in self.shape),
            tuple(take(v, lanes) for v in self.strides),
            self.type,
        )


def take(value: Any, lanes: Lanes) -> Any:
    """The entries of `value` for some of the blocks."""
    if isinstance(value, np.ndarray):
        return value if value.shape[0] == 1 else value[lanes]
    return value.take(lanes) if isinstance(value, View) else value


@dataclass
class Frame:
    """The variables of `count` blocks; those defined outside are looked up in the parent, for this frame's blocks."""

    count: int
    parent: Frame | None = None
    lanes: Lanes | None = None
    values: dict[str, Any] = field(default_factory=dict)

    def get(self, variable: Any) -> Any:
        """The value of an IR variable."""
        name = variable.name
        if name in self.values:
            return self.values[name]
        if self.parent is None:
            raise KeyError(name)
        value = self.parent.get(variable)
        if self.lanes is not None:
            value = take(value, self.lanes)
            self.values[name] = value
        return value

    def set(self, variables: Sequence[Any], values: Sequence[Any]) -> None:
        """Bind IR variables."""
        for variable, value in zip(variables, values, strict=True):
            self.values[variable.name] = value

    def picked(self, values: NDArray[Any]) -> NDArray[Any]:
        """The entries that belong to this frame's blocks, of values with one for each block at the top."""
        above = values if self.parent is None else self.parent.picked(values)
        return above if self.lanes is None else above[self.lanes]

    def nested(self) -> Frame:
        """A scope of the same blocks."""
        return Frame(self.count, self)

    def only(self, lanes: Lanes) -> Frame:
        """A scope of some of the blocks."""
        return Frame(len(lanes), self, lanes)


@dataclass(frozen=True)
class Outcome:
    """How some blocks left a piece of code: "yield", "break", "continue" or "return", and with which values."""

    kind: str
    lanes: Lanes
    values: tuple[Any, ...] = ()


def merge_values(outcomes: Sequence[Outcome]) -> tuple[Lanes, list[Any]]:
    """The lanes of outcomes that do not overlap, in order, and one value for each position, for these lanes."""
    if len(outcomes) == 1:
        return outcomes[0].lanes, list(outcomes[0].values)
    lanes = np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *(outcome.lanes for outcome in outcomes)]))
    merged: list[Any] = []
    for parts in zip(*(outcome.values for outcome in outcomes), strict=True):
        if not isinstance(parts[0], np.ndarray):
            merged.append(parts[0])
            continue
        result = np.empty((len(lanes), *parts[0].shape[1:]), dtype=parts[0].dtype)
        for outcome, part in zip(outcomes, parts, strict=True):
            result[np.searchsorted(lanes, outcome.lanes)] = part
        merged.append(result)
    return lanes, merged
