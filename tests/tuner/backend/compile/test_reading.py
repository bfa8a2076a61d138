"""Reading compiled code: resources from a cubin, the hot loop from a disassembly, and what fits on an SM."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kg.files.loader import load
from spak.kg.model.hardware import hardware_facts
from spak.tuner.backend.compile.backend import all_fit
from spak.tuner.backend.compile.cubin import RESERVED_BYTES, CubinError, Resources, resources
from spak.tuner.backend.compile.features import of_cubin, others, resident_features, unit_of
from spak.tuner.backend.compile.occupancy import OccupancyLimits, ctas_per_sm
from spak.tuner.backend.compile.sass import of_disassembly, parse_sass
from spak.tuner.errors import TunerError

DATA = Path(__file__).parents[3] / "data" / "cubins.json"
"""Cubins that ptxas 13.4 made of one PTX kernel with 4,096 bytes of shared memory and 128 threads, per architecture."""


def cubin(arch: str) -> bytes:
    return gzip.decompress(base64.b64decode(json.loads(DATA.read_text())[arch]))


@pytest.mark.parametrize(
    ("arch", "expected"),
    [
        ("sm_80", Resources(8, 0, 4096, 0, 128)),
        ("sm_90", Resources(10, 0, 5120, RESERVED_BYTES, 128)),
        ("sm_120", Resources(10, 0, 5120, RESERVED_BYTES, 128)),
    ],
)
def test_resources_are_what_cuobjdump_prints(arch, expected):
    """Registers, stack and shared memory as `cuobjdump -res-usage` printed them for the same files; threads as in the PTX."""
    assert resources(cubin(arch), "k") == expected
    assert of_cubin(cubin(arch), "k")["smem_bytes"] == 4096  # the kernel's own, whatever the system reserves


def test_what_is_no_cubin_is_refused():
    """Text, a missing kernel and a cut file each say what is wrong."""
    with pytest.raises(CubinError, match="not a 64-bit"):
        resources(b"text", "k")
    with pytest.raises(CubinError, match=r"no kernel 'other' in the cubin \(it has k\)"):
        resources(cubin("sm_120"), "other")
    with pytest.raises(CubinError):
        resources(cubin("sm_120")[:200], "k")


@given(st.integers(0, 5000), st.integers(0, 255))
def test_a_damaged_cubin_never_raises_anything_else(place, value):
    """Whatever byte is wrong: a result or a CubinError."""
    data = bytearray(cubin("sm_90"))
    data[place % len(data)] = value
    with contextlib.suppress(CubinError):
        resources(bytes(data), "k")


def test_a_kernel_that_does_not_say_its_threads_is_refused():
    """Without EIATTR_REQNTID nobody knows how many threads the numbers are for."""
    data = cubin("sm_80")
    record = struct.pack("<BBHIII", 4, 0x10, 12, 128, 1, 1)
    assert data.count(record) == 1
    with pytest.raises(CubinError, match="REQNTID"):
        resources(data.replace(record, b"\x04\xee" + record[2:]), "k")


def code(*lines: str, symbol: str = "k") -> str:
    text, at = [f".text.{symbol}:"], 0
    for line in lines:
        if line.startswith("."):
            text.append(f"{line}:")
        else:
            text.append(f"        /*{at:04x}*/                   {line} ;")
            at += 16
    return "\n".join(text)


def jump(label: str, predicate: str = "") -> str:
    return f"{predicate} BRA `({label})".strip()


def test_the_hot_loop_is_the_one_with_the_products():
    """Of several loops the innermost with tensor-core work counts; what runs outside does not."""
    text = code(
        "HMMA.16816.F32 R0, R4, R8, R0",  # before the loop
        ".L_outer",
        "MOV R1, R2",
        ".L_inner",
        "HMMA.16816.F32 R0, R4, R8, R0",
        "HMMA.16816.F32 R0, R4, R8, R0",
        "MUFU.EX2 R1, R2",
        "FFMA R1, R2, R3, R4",
        "LDL.64 R2, [R1]",
        "STL [R1], R2",
        "LDSM.16.M88.4 R4, [R5]",
        "LDS.128 R4, [R5]",
        "BAR.SYNC.DEFER_BLOCKING 0x0",
        jump(".L_inner", "@P0"),
        jump(".L_outer", "@P1"),
        "EXIT",
    )
    found = of_disassembly(text, "k")
    assert found["loop_found"]
    assert found["loop_instructions"] == 10
    assert found["loop_tensor"] == 2
    assert (found["loop_mufu"], found["loop_fp32"], found["loop_barriers"]) == (1, 1, 1)
    assert (found["loop_local_loads"], found["loop_local_stores"], found["loop_spill_bytes"]) == (1, 1, 8 + 4)
    assert (found["loop_shared_loads"], found["loop_shared_bytes"]) == (2, 512 + 512)
    assert found["loop_tensor_flops"] == 2 * 2 * 16 * 8 * 16


def test_a_wait_out_of_line_is_no_loop_around_everything():
    """A spin that jumps back into the code it left does not make that code a loop; its own turn is one of waiting only."""
    text = code(
        "HMMA.16816.F32 R0, R4, R8, R0",
        "SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [R1], R2",
        jump(".L_wait", "@!P0"),
        ".L_on",
        "HMMA.16816.F32 R0, R4, R8, R0",
        "EXIT",
        ".L_wait",
        "SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [R1], R2",
        jump(".L_wait", "@!P0"),
        jump(".L_on"),
    )
    found = of_disassembly(text, "k")
    assert not found["loop_found"]  # so the whole function counts
    assert found["loop_tensor"] == 2
    assert found["loop_instructions"] == 8


def test_of_two_loops_with_the_same_products_the_shorter_counts():
    """A causal kernel runs most tiles through its loop without the mask, which is the shorter one."""
    body = ["HGMMA.64x128x16.F32 R0, gdesc[UR4], R0", "FFMA R1, R2, R3, R4"]
    text = code(
        ".L_masked", *body, "FSEL R1, R2, R3, P0", jump(".L_masked", "@P0"), ".L_plain", *body, jump(".L_plain", "@P0"), "EXIT"
    )  # fmt: skip
    found = of_disassembly(text, "k")
    assert found["loop_instructions"] == 3
    assert found["loop_tensor_flops"] == 2 * 64 * 128 * 16 // 4
    assert found["loop_shared_bytes"] == 2 * 128 * 16 // 4


def test_without_products_the_loop_with_most_arithmetic_counts():
    """An element-wise kernel has a hot loop too; a loop that only moves and waits is not it."""
    text = code(
        ".L_spin", "NANOSLEEP 0x20", jump(".L_spin", "@P0"), ".L_work", "FFMA R1, R2, R3, R4", jump(".L_work", "UP0,"), "EXIT"
    ).replace("UP0, BRA ", "BRA.U UP0, ")  # fmt: skip
    assert of_disassembly(text, "k")["loop_fp32"] == 1
    assert of_disassembly(text, "k")["loop_instructions"] == 2


def test_only_the_named_function_is_read():
    """A cubin may hold helpers beside the kernel; an empty or absent one gives an empty mix."""
    text = code("FADD R1, R2, R3", "EXIT") + "\n" + code("MUFU.EX2 R1, R2", "RET.REL.NODEC R2 `(k)", symbol="helper")
    whole = {**dict.fromkeys(of_disassembly("", "k"), 0), "loop_fp32": 1, "loop_instructions": 2}
    assert of_disassembly(text, "k") == whole
    assert parse_sass(text, "helper")[0][0].opcode == "MUFU"
    assert of_disassembly(text, "absent")["loop_instructions"] == 0
    assert of_disassembly(text, "k")["loop_found"] == 0


FACTS = Path(__file__).parents[4] / "laws"


@pytest.fixture(scope="module")
def laws():
    return load(FACTS)


@pytest.mark.parametrize(
    ("hw", "footprint", "expected"),
    [
        ("rtx5070", (128, 256, 49284), 2),  # registers and shared memory both allow two
        ("rtx5070", (128, 256, 50308), 1),  # 2 x (50,308 + 1,024), rounded, is above 102,400
        ("rtx5070", (32, 64, 0), 24),  # the limit of CTAs
        ("rtx5070", (32, 1024, 0), 1),  # 48 warps hold one CTA of 32
        ("rtx5070", (255, 128, 0), 2),  # 255 registers round to 256
        ("rtx5070", (64, 128, 101_377), 0),  # more than a CTA may have
        ("h200", (128, 128, 58480), 3),
        ("h200", (0, 32, 0), 32),
    ],
)
def test_ctas_per_sm(laws, hw, footprint, expected):
    """What fits follows from registers, warps, shared memory and the CTA limit of the shipped facts, computed by hand."""
    assert ctas_per_sm(*footprint, OccupancyLimits.of(hardware_facts(laws, hw))) == expected


def test_resident_features(laws):
    """CTAs and the share of the SM's warps that they fill."""
    limits = OccupancyLimits.of(hardware_facts(laws, "rtx5070"))
    found = resident_features({"registers": 128, "threads": 256, "smem_bytes": 1000}, limits)
    assert found == {"ctas_per_sm": 2, "warp_occupancy": 16 / 48}


def test_functions_beside_the_hot_one_have_their_name_before_what_is_theirs(laws):
    """128 registers of 256 threads fill half the registers of an SM; without products nothing is kept."""
    limits = OccupancyLimits.of(hardware_facts(laws, "h200"))
    second = {"registers": 128.0, "threads": 256.0, "smem_bytes": 0.0, "loop_tensor_flops": 1.0}
    beside = others(second, "second")
    assert set(beside) == {"second.registers", "second.threads", "second.smem_bytes", "second.loop_tensor_flops"}
    found = resident_features({"registers": 255, "threads": 256, "smem_bytes": 0, **beside}, limits)
    assert (found["ctas_per_sm"], found["second.ctas_per_sm"]) == (1, 2)
    assert others({**second, "loop_tensor_flops": 0.0}, "second") == {}
    assert all_fit(found)
    assert not all_fit({**found, "second.ctas_per_sm": 0})
    assert unit_of("second.loop_spill_bytes") == unit_of("loop_spill_bytes") == "bytes"


def test_missing_facts_are_named():
    """An occupancy without facts is not guessed."""
    with pytest.raises(TunerError, match="max_warps_per_sm"):
        OccupancyLimits.of({})
