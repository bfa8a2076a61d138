"""What a launch is held to beyond its values: padding that cuTile leaves open, and shadow memory of who stored what.

Shadow memory has the number of the block that stored each element last. It costs a look at every store, none at a load.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spak.kernels.sim.dtypes import is_poison, poison
from spak.kernels.sim.errors import SimulatorError, SimulatorWarning, at, place
from spak.kernels.sim.memory import MemoryRegion, Part

Undetermined = Literal["poison", "zero"]

NOBODY, ATOMIC = -1, -2
"""Who stored an element, if no block did, or if an atomic update did, of which any number may."""


@dataclass
class _Shadow:
    """What is known of one array argument.

    Attributes:
        region: The array.
        itemsize: Bytes of an element as it is accessed, which may be another type's.
        writers: Element -> number of the block that stored it last, in launch order.
        loaded: Whether anything was loaded from it.
        stored: Whether anything was stored to it.
        tiles: Whether whole tiles are stored to it: then all of it is meant to be stored.
        fresh: Whether all of it held poison before the launch: then it is, however it is stored to.
        where: The source line of the first store, `path:line:col: `; empty before there is one.
        unwritten: Elements that hold poison since before the launch; None if there are none.
        read_first: Source line of the first load of such an element -> an element that it read.
    """

    region: MemoryRegion
    itemsize: int
    writers: NDArray[np.int32]
    loaded: bool = False
    stored: bool = False
    tiles: bool = False
    fresh: bool = False
    where: str = ""
    unwritten: NDArray[np.bool_] | None = None
    read_first: dict[str, int] = field(default_factory=dict)


@dataclass
class Watch:
    """What one launch is held to.

    Attributes:
        undetermined: What stands for elements beyond an array where cuTile leaves them open.
        checks: Whether shadow memory is kept.
        partial: Array arguments that the launch is meant to fill in part.
        synchronised: Whether blocks wait for one another, so that stores of two to one element may be in order.
        open_loads: Source line of a load without a padding mode -> elements beyond the array that it read.
        nan_stored: Whether a NaN was stored after such a load.
    """

    undetermined: Undetermined = "poison"
    checks: bool = False
    partial: Collection[str] = ()
    synchronised: bool = False
    open_loads: dict[str, int] = field(default_factory=dict)
    nan_stored: bool = False
    _shadows: dict[tuple[int, int], _Shadow] = field(default_factory=dict)

    def padding(self, operation: Any, dtype: Any, zero: Any, inside: NDArray[np.bool_]) -> Any:
        """What stands for elements beyond the array in a load without a padding mode."""
        where = place(operation)
        self.open_loads[where] = self.open_loads.get(where, 0) + int(inside.size - np.count_nonzero(inside))
        return poison(dtype) if self.undetermined == "poison" else zero

    def outside(self, operation: Any, inside: NDArray[np.bool_]) -> None:
        """A tile that lies partly outside its array.

        Raises:
            SimulatorError: If nothing of it lies inside, for some block.
        """
        if self.checks and not inside.reshape(len(inside), -1).any(axis=1).all():
            raise at(operation, "the whole tile lies outside the array; the grid or the index is wrong")

    def load(self, operation: Any, part: Part) -> None:
        """Elements are loaded."""
        self._read(operation, part, self._shadow(part))

    def _read(self, operation: Any, part: Part, shadow: _Shadow) -> None:
        shadow.loaded = True
        if shadow.unwritten is None:
            return
        early = shadow.unwritten[part.index] & (shadow.writers[part.index] == NOBODY)
        if early.any():
            shadow.read_first.setdefault(place(operation), int(part.index[early].flat[0]))

    def store(self, operation: Any, part: Part, values: NDArray[Any], blocks: NDArray[np.int32]) -> None:
        """Store `values`, each by the block whose number `blocks` has.

        Raises:
            SimulatorError: If another block stored something else there, and nothing orders the two.
        """
        shadow = self._shadow(part)
        shadow.where = shadow.where or place(operation)
        shadow.tiles = shadow.tiles or operation.op == "tile_store"
        if self.open_loads and values.dtype.kind not in "iub":
            self.nan_stored = self.nan_stored or bool(np.isnan(values.astype(np.float32)).any())
        if shadow.stored:
            self._clash(part, shadow.writers[part.index], values, blocks)
        shadow.stored = True
        part.elements[part.index] = values
        shadow.writers[part.index] = blocks
        if blocks.min() != blocks.max():
            self._clash(part, shadow.writers[part.index], values, blocks)

    def _clash(self, part: Part, other: NDArray[np.int32], values: NDArray[Any], blocks: NDArray[np.int32]) -> None:
        """Of two blocks that store one element, which must store the same: nothing says who comes last."""
        others = other != blocks
        if self.synchronised or not others.any():
            return
        others &= other >= 0
        differ = others & (_bits(part.elements[part.index]) != _bits(values))
        if differ.any():
            first = np.flatnonzero(differ)[0]
            one, two = sorted((int(other.flat[first]), int(blocks.flat[first])))
            raise SimulatorError(
                f"blocks {one} and {two} store different values to element {part.index.flat[first]} of "
                f"{part.region.name}; only an atomic update may"
            )

    def update(self, operation: Any, part: Part) -> None:
        """Elements are updated atomically, which reads them first, except where they are exchanged."""
        shadow = self._shadow(part)
        shadow.where = shadow.where or place(operation)
        if getattr(operation, "mode", None) is None or operation.mode.name != "EXCHANGE":
            self._read(operation, part, shadow)
        shadow.loaded = True
        shadow.writers[part.index] = ATOMIC

    def end(self) -> None:
        """The launch is over.

        Raises:
            SimulatorError: If elements were loaded that nobody wrote, or an output was left in part.
        """
        for shadow in self._shadows.values():
            if shadow.where:
                self._whole(shadow)
        if self.open_loads and (self.undetermined == "zero" or self.nan_stored):
            stands = "zeros stand" if self.undetermined == "zero" else "NaN stands"
            for where, count in self.open_loads.items():
                text = f"{where}{count} elements beyond the array are undetermined, {stands} for them; say padding_mode"
                warnings.warn(text, SimulatorWarning, stacklevel=4)

    def _whole(self, shadow: _Shadow) -> None:
        region = shadow.region
        for where, element in shadow.read_first.items():
            raise SimulatorError(f"{where}element {element} of {region.name} is loaded, and nobody wrote it")
        whole = shadow.tiles or shadow.fresh
        if shadow.loaded or not whole or shadow.itemsize != region.itemsize or region.name in self.partial:
            return
        missing = region.places[shadow.writers[region.places] == NOBODY]
        if len(missing):
            raise SimulatorError(
                f"{shadow.where}{len(missing)} of {len(region.places)} elements of {region.name} are stored by no block, "
                f"the first is element {missing[0]}; if that is meant, name it in partial"
            )

    def _shadow(self, part: Part) -> _Shadow:
        region, dtype = part.region, part.elements.dtype
        key = (id(region), dtype.itemsize)
        if key not in self._shadows:
            shadow = _Shadow(region, dtype.itemsize, np.full(len(part.elements), NOBODY, dtype=np.int32))
            if region.writeable:
                unwritten = is_poison(part.elements)
                shadow.unwritten = unwritten if unwritten.any() else None
                shadow.fresh = bool(unwritten.size and unwritten.all())
            self._shadows[key] = shadow
        return self._shadows[key]


def _bits(values: NDArray[Any]) -> NDArray[Any]:
    """The same as unsigned integers, so that a NaN equals itself."""
    return np.ascontiguousarray(values).view(np.dtype(f"u{values.dtype.itemsize}"))
