"""What a launch reads again from device memory: operands that neighbouring CTAs share are read once, while L2 holds them."""

from __future__ import annotations

from spak.kernels.interface import Operand, Work


def bytes_read_again(work: Work, places: int, l2_bytes: float) -> float:
    """Bytes of the operands that a launch reads from device memory although it has read them before.

    Args:
        work: Counts of the launch.
        places: CTAs that run at the same time, neighbours in launch order.
        l2_bytes: Size of L2.
    """
    together = min(places, work.ctas)
    missed = _miss_share(sum(_kept_bytes(operand, work, together) for operand in work.operands), l2_bytes)
    return missed * sum(max(_read_bytes(operand, work, together) - operand.bytes, 0.0) for operand in work.operands)


def _miss_share(kept: float, l2_bytes: float) -> float:
    """Share of what is wanted again that L2 has lost meanwhile."""
    return max(0.0, 1.0 - l2_bytes / kept) if kept else 0.0


def _parts(operand: Operand, together: int) -> int:
    """Different parts that CTAs running at the same time read."""
    return min(operand.cycle, -(-together // operand.run))


def _kept_bytes(operand: Operand, work: Work, together: int) -> float:
    """Bytes that L2 has to hold so that nothing is read twice: all of a cycle that comes again, else what is being read."""
    comes_again = work.ctas > operand.run * operand.cycle
    return (operand.cycle if comes_again else _parts(operand, together)) * operand.part_bytes


def _read_bytes(operand: Operand, work: Work, together: int) -> float:
    """Bytes read if L2 kept nothing but what CTAs running at the same time share."""
    return work.passes * operand.bytes_per_iteration * _parts(operand, together) / together
