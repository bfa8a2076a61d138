"""Device memory as the simulated kernel sees it: one guarded region for each array, over the caller's own memory.

Regions lie far apart in a made-up address space, so that a pointer that leaves its array is caught by name, even where
the arrays are neighbours (or the same) in the host's memory.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spak.kernels.sim.errors import SimulatorError

REGION_BITS = 44
"""Each region may span 16 TiB before it meets the next."""


@dataclass(frozen=True)
class HostArray:
    """An array argument: its cuTile type and where its elements lie in host memory (strides in elements, not negative)."""

    dtype: Any
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    address: int
    itemsize: int
    writeable: bool
    owner: Any

    @property
    def extent(self) -> int:
        """Elements from the first to the last, gaps included."""
        if 0 in self.shape:
            return 0
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))


@dataclass
class MemoryRegion:
    """The bytes of one array argument.

    Attributes:
        itemsize: Bytes of an element of the array.
        shape, strides: Of the array, in elements.
    """

    name: str
    data: NDArray[np.uint8]
    writeable: bool
    itemsize: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    views: dict[np.dtype[Any], NDArray[Any]] = field(default_factory=dict)

    def elements(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """The region as a flat array of `dtype`."""
        if dtype not in self.views:
            whole = len(self.data) // dtype.itemsize * dtype.itemsize
            self.views[dtype] = self.data[:whole].view(dtype)
        return self.views[dtype]

    @property
    def places(self) -> NDArray[np.int64]:
        """Indices of the array's own elements, gaps left out, in row-major order."""
        found = np.zeros(1, dtype=np.int64)
        for size, stride in zip(self.shape, self.strides, strict=True):
            found = (found[:, None] + np.arange(size) * stride).reshape(-1)
        return found


@dataclass(frozen=True)
class Part:
    """The addresses that lie in one region.

    Attributes:
        elements: The region as a flat array.
        here: Which of the addresses these are; None for all.
        index: Their places in `elements`.
    """

    region: MemoryRegion
    elements: NDArray[Any]
    here: NDArray[np.bool_] | None
    index: NDArray[np.int64]

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """Those of `values`, one for each address, that belong here."""
        return values if self.here is None else values[self.here]


class Memory:
    """Regions by address."""

    def __init__(self) -> None:
        self.regions: list[MemoryRegion] = []
        self.lists: list[list[tuple[int, HostArray]]] = []

    def add(self, name: str, array: HostArray) -> int:
        """The address at which the kernel sees `array`."""
        num_bytes = array.extent * array.itemsize
        if num_bytes:
            raw = (ctypes.c_uint8 * num_bytes).from_address(array.address)
            data = np.frombuffer(memoryview(raw), dtype=np.uint8)
        else:
            data = np.zeros(0, dtype=np.uint8)
        self.regions.append(MemoryRegion(name, data, array.writeable, array.itemsize, array.shape, array.strides))
        return len(self.regions) << REGION_BITS

    def add_list(self, name: str, arrays: Sequence[HostArray]) -> int:
        """A handle for a list of arrays."""
        self.lists.append([(self.add(f"{name}[{i}]", array), array) for i, array in enumerate(arrays)])
        return len(self.lists) - 1

    def locate(self, addresses: NDArray[np.int64], dtype: np.dtype[Any], *, store: bool) -> list[Part]:
        """The addresses by the region in which they lie.

        Raises:
            SimulatorError: If an address lies outside every array, is misaligned, or is stored to and must not be.
        """
        if addresses.size == 0:
            return []
        numbers = addresses >> REGION_BITS
        first = int(numbers.flat[0])
        found: list[Part] = []
        for number in [first] if (numbers == first).all() else np.unique(numbers).tolist():
            if not 1 <= number <= len(self.regions):
                raise SimulatorError(f"address {number << REGION_BITS:#x} lies in no array")
            region = self.regions[number - 1]
            here = None if number == first and (numbers == first).all() else numbers == number
            offsets = (addresses if here is None else addresses[here]) - (number << REGION_BITS)
            found.append(Part(region, region.elements(dtype), here, check(offsets, region, dtype, store=store)))
        return found


def check(offsets: NDArray[np.int64], region: MemoryRegion, dtype: np.dtype[Any], *, store: bool) -> NDArray[np.int64]:
    """Byte offsets as element indices, each inside the region."""
    if store and not region.writeable:
        raise SimulatorError(f"store to {region.name}, which is read-only")
    index = offsets // dtype.itemsize
    if dtype.itemsize > 1 and (index * dtype.itemsize != offsets).any():
        raise SimulatorError(f"misaligned access to {region.name}")
    limit = len(region.elements(dtype))
    low, high = int(index.min()), int(index.max())
    if low < 0 or high >= limit:
        wrong = low if low < 0 else high
        raise SimulatorError(
            f"{'store' if store else 'load'} out of bounds of {region.name}: element {wrong} of {limit}"
        )
    return index
