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
class _Region:
    """The bytes of one array argument."""

    name: str
    data: NDArray[np.uint8]
    writeable: bool
    views: dict[np.dtype[Any], NDArray[Any]] = field(default_factory=dict)

    def elements(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """The region as a flat array of `dtype`."""
        if dtype not in self.views:
            whole = len(self.data) // dtype.itemsize * dtype.itemsize
            self.views[dtype] = self.data[:whole].view(dtype)
        return self.views[dtype]


class Memory:
    """Regions by address."""

    def __init__(self) -> None:
        self.regions: list[_Region] = []
        self.lists: list[list[tuple[int, HostArray]]] = []

    def add(self, name: str, array: HostArray) -> int:
        """The address at which the kernel sees `array`."""
        num_bytes = array.extent * array.itemsize
        if num_bytes:
            raw = (ctypes.c_uint8 * num_bytes).from_address(array.address)
            data = np.frombuffer(memoryview(raw), dtype=np.uint8)
        else:
            data = np.zeros(0, dtype=np.uint8)
        self.regions.append(_Region(name, data, array.writeable))
        return len(self.regions) << REGION_BITS

    def add_list(self, name: str, arrays: Sequence[HostArray]) -> int:
        """A handle for a list of arrays."""
        self.lists.append([(self.add(f"{name}[{i}]", array), array) for i, array in enumerate(arrays)])
        return len(self.lists) - 1

    def locate(
        self, addresses: NDArray[np.int64], dtype: np.dtype[Any], *, store: bool
    ) -> list[tuple[NDArray[Any], NDArray[np.bool_] | None, NDArray[np.int64]]]:
        """For each region touched: its elements, which of the addresses lie there (None for all), and their indices.

        Raises:
            SimulatorError: If an address lies outside every array, is misaligned, or is stored to and must not be.
        """
        if addresses.size == 0:
            return []
        numbers = addresses >> REGION_BITS
        first = int(numbers.flat[0])
        found: list[tuple[NDArray[Any], NDArray[np.bool_] | None, NDArray[np.int64]]] = []
        for number in [first] if (numbers == first).all() else np.unique(numbers).tolist():
            if not 1 <= number <= len(self.regions):
                raise SimulatorError(f"address {number << REGION_BITS:#x} lies in no array")
            region = self.regions[number - 1]
            here = None if number == first and (numbers == first).all() else numbers == number
            offsets = (addresses if here is None else addresses[here]) - (number << REGION_BITS)
            found.append((region.elements(dtype), here, check(offsets, region, dtype, store=store)))
        return found


def check(offsets: NDArray[np.int64], region: _Region, dtype: np.dtype[Any], *, store: bool) -> NDArray[np.int64]:
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
