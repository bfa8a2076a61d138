"""What a launch reads from device memory, counted by hand."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from spak.kernels.interface import Operand, Work
from spak.tuner.knowledge.traffic import bytes_read_again

HEADS = Operand(bytes_per_iteration=10.0, bytes=400.0, part_bytes=100.0, run=8, cycle=4)
"""Four heads of 100 bytes, each read by eight neighbouring CTAs in ten passes."""

WORK = Work(
    iterations=((32, 10),),
    tensor_flops_per_iteration=0.0,
    exp2_per_iteration=0.0,
    fp32_per_iteration=0.0,
    smem_bytes_per_iteration=10.0,
    global_bytes=400.0,
    operands=(HEADS,),
)


def test_neighbours_that_read_the_same_head_read_it_once():
    """Eight CTAs at a time are all of one head: nothing is read twice."""
    assert bytes_read_again(WORK, places=8, l2_bytes=100.0) == 0


def test_neighbours_that_read_different_heads_come_back_for_each():
    """Each next CTA takes the next head, four at a time are four heads: 32 * 100 bytes, 400 of them for the first time.

    An L2 of 400 bytes keeps all four heads; one of 100 loses three quarters of what is wanted again.
    """
    apart = replace(WORK, operands=(replace(HEADS, run=1),))
    assert bytes_read_again(apart, places=4, l2_bytes=0.0) == 2800
    assert bytes_read_again(apart, places=4, l2_bytes=400.0) == 0
    assert bytes_read_again(apart, places=4, l2_bytes=100.0) == 0.75 * 2800
    assert bytes_read_again(apart, places=8, l2_bytes=0.0) == 1200  # two CTAs at a time share each head


def test_a_head_read_by_more_ctas_than_run_at_once_stays_if_l2_holds_it():
    """Two CTAs at a time read a head of 100 bytes four times over, unless L2 keeps it meanwhile."""
    assert bytes_read_again(WORK, places=2, l2_bytes=100.0) == 0
    assert bytes_read_again(WORK, places=2, l2_bytes=0.0) == 1200


@given(st.integers(1, 64), st.integers(1, 32), st.integers(1, 8), st.floats(1.0, 1e3))
def test_never_more_than_every_cta_alone_reads(places, run, cycle, l2_bytes):
    """Between nothing and unshared traffic, and no more with a larger L2."""
    work = replace(WORK, operands=(replace(HEADS, run=run, cycle=cycle),))
    again = bytes_read_again(work, places, l2_bytes)
    assert 0 <= again <= 2800
    assert bytes_read_again(work, places, 2 * l2_bytes) <= again
