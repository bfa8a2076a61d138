"""What the predicted time counts of the backward pass: every product once, every launch by its own function, in its order."""

from __future__ import annotations

import pytest

from spak.kernels.attention.backward.work import backward_work
from spak.kernels.attention.problem import Shape

SHAPE = Shape(batch=1, heads=2, kv_heads=1, seq_q=256, seq_kv=256, q_offset=0, head_dim=64, causal=False, dtype="fp16")
CAUSAL = Shape(**{**vars(SHAPE), "causal": True})
FUSED = {"dq_form": "fused", "tile_m": 64, "tile_n": 128, "dq_tile_m": 128, "dq_tile_n": 64, "heads_fastest": False}
FUSED |= {"accumulator_init": "zeros", "masked_tiles": "first", "q_loads": 1}
SPLIT = {**FUSED, "dq_form": "split"}


@pytest.mark.parametrize(("configuration", "products"), [(FUSED, 5), (SPLIT, 7)])
def test_every_product_is_counted_once(configuration, products):
    """S, dP, dV, dK and dQ of two heads; split computes S and dP in both passes."""
    done = sum(work.passes * work.tensor_flops_per_iteration for work in backward_work(SHAPE, configuration))
    assert done == products * 2 * 2 * 256 * 256 * 64


def test_launches_are_those_of_the_functions():
    """The pass over keys is the function whose features have no name before them."""
    assert [work.function for work in backward_work(SHAPE, FUSED)] == ["prepare_kernel", "", "convert_kernel"]
    assert [work.function for work in backward_work(SHAPE, SPLIT)] == ["queries_kernel", ""]


def test_passes_in_launch_order():
    """256 keys in tiles of 128, 256 queries in tiles of 64, two heads a KV head: the first key tile is seen by all 4 query
    tiles of each, the second by 2. By queries, tiles of 128 and keys in steps of 64: the last one sees 4, the first 2.
    """
    keys, queries = (backward_work(CAUSAL, SPLIT)[place] for place in (1, 0))
    assert (keys.iterations, keys.repeats) == (((1, 8), (1, 4)), 1)
    assert (queries.iterations, queries.repeats) == (((1, 4), (1, 2)), 2)
    fastest = backward_work(CAUSAL, {**SPLIT, "heads_fastest": True})
    assert fastest[0].iterations == ((2, 4), (2, 2))
    assert [work.operands[0].run for work in fastest] == [2, 1]
    assert [work.operands[0].run for work in (queries, keys)] == [4, 2]


def test_sums_of_dq_are_added_only_if_fused():
    """64 rows of 64 float32 a pass; the zeros, the sums and the conversion move 4 + 8 + 4 bytes a number."""
    prepare, keys, convert = backward_work(SHAPE, FUSED)
    split = backward_work(SHAPE, SPLIT)[1]
    numbers = 2 * 256 * 64
    assert keys.added_bytes_per_iteration == 4 * 64 * 64
    assert split.added_bytes_per_iteration == 0
    assert keys.global_bytes - split.global_bytes == 8 * numbers
    assert convert.global_bytes == (4 + 2) * numbers
    assert prepare.global_bytes == (2 * 2 + 4) * numbers + 12 * 2 * 256


def test_what_a_variant_saves_and_costs():
    """Of 64 x 128 scores: a subtraction each that an accumulator begins with, a mask of two operations, a Q of 64 x 64 fp16."""
    scores = 64 * 128

    def keys(shape, **changes):
        return backward_work(shape, {**FUSED, **changes})[1]

    inits = ("zeros", "delta", "delta-and-lse")
    assert [keys(SHAPE, accumulator_init=init).fp32_per_iteration / scores for init in inits] == [4, 3, 2]
    assert keys(CAUSAL, masked_tiles="inline").fp32_per_iteration / scores == 4 + 2
    assert [keys(CAUSAL, masked_tiles=masked).loops for masked in ("first", "inline")] == [2 * 2, 2]
    assert keys(SHAPE).loops == 2
    once, twice = (keys(SHAPE, q_loads=loads) for loads in (1, 2))
    assert twice.smem_bytes_per_iteration - once.smem_bytes_per_iteration == 2 * 64 * 64
    assert twice.operands[0].bytes_per_iteration - once.operands[0].bytes_per_iteration == 2 * 64 * 64
