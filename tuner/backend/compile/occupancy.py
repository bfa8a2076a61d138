"""How many CTAs of a kernel fit on one SM, from what the kernel takes and what the hardware has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from spak.kg.model.base import Scalar
from spak.tuner.errors import TunerError
from spak.tuner.knowledge.predict import WARP_THREADS

SMEM_ALLOCATION_UNIT = 128
"""Bytes. Source: CUDA Occupancy Calculator, shared memory allocation unit size, compute capability 8.0 and newer."""

WARP_ALLOCATION_UNIT = 4
"""Warps of a CTA are allotted registers in groups of four, one a sub-partition.

Source: CUDA Occupancy Calculator, warp allocation granularity, compute capability 3.0 and newer.
"""


@dataclass(frozen=True)
class OccupancyLimits:
    """What one SM has; the fields are hardware facts of the same names (see laws/hardware)."""

    max_warps_per_sm: int
    max_ctas_per_sm: int
    registers_per_sm: int
    register_allocation_unit: int
    smem_per_sm: int
    max_smem_per_cta: int
    smem_reserved_per_cta: int

    @classmethod
    def of(cls, facts: Mapping[str, Scalar]) -> OccupancyLimits:
        """The limits among `facts`.

        Raises:
            TunerError: If a fact is missing; the message names it.
        """
        missing = [field.name for field in fields(cls) if field.name not in facts]
        if missing:
            raise TunerError(f"hardware facts missing: {', '.join(missing)}; add them under laws/hardware")
        return cls(**{field.name: int(facts[field.name]) for field in fields(cls)})


def ctas_per_sm(registers: int, threads: int, smem_bytes: int, limits: OccupancyLimits) -> int:
    """CTAs that are resident on one SM at a time; 0 if not even one fits.

    Source: CUDA Occupancy Calculator; registers are allotted to whole warps in units of `register_allocation_unit`.

    Args:
        registers: Of a thread.
        threads: Of a CTA.
        smem_bytes: The kernel's own of a CTA, without what the system reserves for each.
        limits: What the SM has.
    """
    if smem_bytes > limits.max_smem_per_cta:
        return 0
    warps = -(-threads // WARP_THREADS)
    fits = [limits.max_ctas_per_sm, limits.max_warps_per_sm // warps]
    if taken := _round_up(smem_bytes + limits.smem_reserved_per_cta, SMEM_ALLOCATION_UNIT):
        fits.append(limits.smem_per_sm // taken)
    if per_warp := _round_up(registers * WARP_THREADS, limits.register_allocation_unit):
        fits.append(limits.registers_per_sm // per_warp // WARP_ALLOCATION_UNIT * WARP_ALLOCATION_UNIT // warps)
    return min(fits)


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
