"""Reads what a cubin says of one kernel: registers, stack, shared memory and block size, straight from its ELF sections."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from spak.tuner.errors import TunerError

# Attributes of `.nv.info` sections. Source: `cuobjdump -elf` prints the same records by name (EIATTR_*); the numbers are
# those of the records it names, and a test holds what is read here to `cuobjdump -res-usage`.
_REQNTID = 0x10
_FRAME_SIZE = 0x11
_MIN_STACK_SIZE = 0x12
_REGCOUNT = 0x2F
_FORMAT_SIZED = 4
"""Records of this format carry their size; all others are four bytes long."""

RESERVED_BYTES = 1024
"""Source: `.shared .b8 s[4096]` assembled by ptxas 13.4 gives 5,120 bytes for sm_90, sm_100 and sm_120, 4,096 for sm_80;
the CUDA C++ Programming Guide, Shared Memory (9.x), names 1 KB reserved by the system for each thread block."""

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_SYMTAB = 2


class CubinError(TunerError):
    """A cubin that cannot be read."""


@dataclass(frozen=True)
class Resources:
    """What one CTA of a kernel takes.

    Attributes:
        registers: 32-bit registers of one thread.
        stack_bytes: Bytes of stack of one thread; cuTile code has no other use for it than spilled registers.
        static_smem_bytes: Shared memory of one CTA as `cuobjdump -res-usage` prints it. cuTile allots all of it
            statically; the cubin records no dynamic part.
        reserved_bytes: The part of it that the system reserves for each CTA; 0 before sm_90, whose cubins leave it out.
    """

    registers: int
    stack_bytes: int
    static_smem_bytes: int
    reserved_bytes: int
    threads: int


@dataclass(frozen=True)
class _Section:
    name: str
    kind: int
    link: int
    offset: int
    size: int


class _Elf:
    """The few parts of a 64-bit little-endian ELF file that a cubin needs read."""

    def __init__(self, data: bytes) -> None:
        if data[:6] != b"\x7fELF\x02\x01":
            raise CubinError("not a 64-bit little-endian ELF file; is it a cubin?")
        self.data = data
        header = _HEADER.unpack_from(data)
        table, entry_size, count, names_index = header[6], header[11], header[12], header[13]
        raw = [_SECTION.unpack_from(data, table + i * entry_size) for i in range(count)]
        names = raw[names_index]
        self.sections = [_Section(self._text(names[4] + row[0]), row[1], row[6], row[4], row[5]) for row in raw]

    def _text(self, at: int) -> str:
        return self.data[at : self.data.index(b"\0", at)].decode()

    def section(self, name: str) -> _Section | None:
        return next((section for section in self.sections if section.name == name), None)

    def symbols(self) -> list[str]:
        """Symbol names by index."""
        table = next((section for section in self.sections if section.kind == _SYMTAB), None)
        if table is None:
            raise CubinError("no symbol table")
        strings = self.sections[table.link].offset
        rows = range(table.offset, table.offset + table.size, _SYMBOL.size)
        return [self._text(strings + _SYMBOL.unpack_from(self.data, at)[0]) for at in rows]

    def info(self, name: str) -> Iterator[tuple[int, bytes]]:
        """(attribute, payload) of every record of a `.nv.info` section."""
        section = self.section(name)
        if section is None:
            return
        at, end = section.offset, section.offset + section.size
        while at + 4 <= end:
            form, attribute, size = struct.unpack_from("<BBH", self.data, at)
            length = size if form == _FORMAT_SIZED else 0
            yield attribute, self.data[at + 4 : at + 4 + length]
            at += 4 + length


def resources(cubin: bytes, symbol: str) -> Resources:
    """What the kernel `symbol` of `cubin` takes.

    Raises:
        CubinError: If it is no cubin, or has no kernel of that name.
    """
    try:
        return _resources(_Elf(cubin), symbol)
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        raise CubinError(f"damaged cubin: {error}") from error


def _resources(elf: _Elf, symbol: str) -> Resources:
    if elf.section(f".text.{symbol}") is None:
        found = [section.name[6:] for section in elf.sections if section.name.startswith(".text.")]
        raise CubinError(f"no kernel {symbol!r} in the cubin (it has {', '.join(found) or 'none'})")
    symbols = elf.symbols()
    counts = {_REGCOUNT: 0, _FRAME_SIZE: 0, _MIN_STACK_SIZE: 0}
    for attribute, payload in elf.info(".nv.info"):
        if attribute in counts:
            index, value = struct.unpack_from("<II", payload)
            if symbols[index] == symbol:
                counts[attribute] = value
    shared = elf.section(f".nv.shared.{symbol}")
    return Resources(
        registers=counts[_REGCOUNT],
        stack_bytes=max(counts[_FRAME_SIZE], counts[_MIN_STACK_SIZE]),
        static_smem_bytes=shared.size if shared else 0,
        reserved_bytes=RESERVED_BYTES if shared and elf.section(".nv.shared.reserved.0") else 0,
        threads=_threads(elf, symbol),
    )


def _threads(elf: _Elf, symbol: str) -> int:
    for attribute, payload in elf.info(f".nv.info.{symbol}"):
        if attribute == _REQNTID:
            x, y, z = struct.unpack_from("<III", payload)
            return int(x * y * z)
    raise CubinError(f"kernel {symbol!r} does not say how many threads it needs (EIATTR_REQNTID)")
