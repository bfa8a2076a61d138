"""The predicted-time model: physical bounds, and what must make a launch slower."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kernels.interface import Operand, Work
from spak.kg.model.hardware import hardware_facts
from spak.tuner.errors import TunerError
from spak.tuner.knowledge.predict import PredictedMachine, Terms, clocks_per_pass, launch_us, predict_us, terms_of
from tests.shipped import LAWS

RTX5070 = PredictedMachine.of(hardware_facts(LAWS, "rtx5070"))
H200 = PredictedMachine.of(hardware_facts(LAWS, "h200"))

WORK = Work(
    iterations=tuple((128, 16 - i) for i in range(16)),
    chained_products=2,
    row_reductions=2,
    tensor_flops_per_iteration=4.0 * 64 * 64 * 64,
    exp2_per_iteration=64.0 * 64,
    fp32_per_iteration=6.0 * 64 * 64,
    smem_bytes_per_iteration=2.0 * 64 * 64 * 2,
    global_bytes=67e6,
)
FEATURES = {
    "registers": 128,
    "threads": 256,
    "smem_bytes": 49284,
    "spill_bytes": 0,
    "ctas_per_sm": 2,
    "loop_instructions": 394,
    "loop_tensor_flops": 262144,
    "loop_shared_bytes": 16384,
    "loop_spill_bytes": 0,
}


@pytest.mark.parametrize("machine", [RTX5070, H200])
def test_no_prediction_beats_the_hardware(machine):
    """The time is never below the products at peak, nor below the traffic at full bandwidth."""
    passes = sum(count * passes for count, passes in WORK.iterations)
    peak = machine.num_sms * machine.tensor_flops_per_sm_clock * machine.boost_clock_ghz * 1e3  # FLOPs a microsecond
    predicted = launch_us(WORK, FEATURES, machine)
    assert predicted > passes * WORK.tensor_flops_per_iteration / peak
    assert predicted > WORK.global_bytes / (machine.bandwidth_gb_per_s * 1e3)


@pytest.mark.parametrize(
    "worse",
    [
        {"loop_spill_bytes": 400, "spill_bytes": 1000},
        {"loop_instructions": 4000},
        {"loop_shared_bytes": 400_000},
        {"ctas_per_sm": 1},
    ],
)
def test_what_costs_more_takes_longer(worse):
    """Spill traffic, instructions, shared memory and fewer CTAs on an SM each lengthen the prediction."""
    assert launch_us(WORK, {**FEATURES, **worse}, H200) > launch_us(WORK, FEATURES, H200)


def test_spills_that_leave_l1_cost_more_than_those_that_stay():
    """The same traffic takes longer when the stacks of all resident threads outgrow what L1 has left."""
    small = {**FEATURES, "loop_spill_bytes": 400, "spill_bytes": 64}
    large = {**small, "spill_bytes": 4000}
    assert terms_of(WORK, small, H200, resident=2).l2 < terms_of(WORK, large, H200, resident=2).l2


def test_operands_come_meanwhile():
    """Staging operands costs nothing while it is faster than the warps; slower, it is the pass."""
    terms = Terms(tensor=400, mufu=300, issue=200, l1=0, l2=0, wait=150, warps=4)
    assert clocks_per_pass(replace(terms, supply=1000.0), 1) == clocks_per_pass(terms, 1)
    assert clocks_per_pass(replace(terms, supply=5000.0), 1) == 5000
    assert clocks_per_pass(replace(terms, turn=5000.0), 1) == 5000
    assert clocks_per_pass(replace(terms, turn=5000.0), 4) == 5000 / 4  # each CTA has stages of its own


def test_more_stages_hide_more_of_the_latency():
    """Shared memory beyond the tile kept outside the loop is stages of operands; few of them make a pass wait."""
    product = replace(WORK, chained_products=1, outside_bytes=16384.0)
    shallow = {**FEATURES, "smem_bytes": 16384 + 2 * WORK.smem_bytes_per_iteration}
    deep = {**FEATURES, "smem_bytes": 16384 + 8 * WORK.smem_bytes_per_iteration}
    slow, fast = (terms_of(product, f, H200, resident=1) for f in (shallow, deep))
    assert slow.turn == pytest.approx(4 * fast.turn)
    assert terms_of(WORK, shallow, H200, resident=1).turn < slow.turn  # between two products a stage is free sooner
    assert terms_of(replace(product, smem_bytes_per_iteration=0.0), shallow, H200, resident=1).turn == 0


def test_a_second_loop_waits_for_its_first_load():
    """A CTA that splits its iterations over two loops takes longer, and so does one that moves a larger tile."""
    assert launch_us(replace(WORK, loops=2), FEATURES, H200) > launch_us(WORK, FEATURES, H200)
    assert launch_us(replace(WORK, outside_bytes=65536.0), FEATURES, H200) > launch_us(WORK, FEATURES, H200)


def test_a_cluster_is_no_faster_than_its_parts():
    """A CTA of a cluster does its part of a tile: the cluster is no second tile in flight, and it has to agree."""
    half = {**FEATURES, "loop_tensor_flops": 131072.0}
    of_two = replace(WORK, cluster=2)
    parts = replace(
        WORK,
        iterations=tuple((2 * count, passes) for count, passes in WORK.iterations),
        tensor_flops_per_iteration=WORK.tensor_flops_per_iteration / 2,
        exp2_per_iteration=WORK.exp2_per_iteration / 2,
        fp32_per_iteration=WORK.fp32_per_iteration / 2,
        smem_bytes_per_iteration=WORK.smem_bytes_per_iteration / 2,
    )
    assert launch_us(of_two, half, H200) > launch_us(parts, half, H200)


def test_warps_are_counted_from_the_products():
    """Four of the eight warps multiply: the pass is shared by four, whatever the block's size; unrolling cancels out."""
    assert terms_of(WORK, FEATURES, RTX5070, resident=2).warps == 4
    unrolled = {**FEATURES, "loop_tensor_flops": 2 * 262144, "loop_instructions": 2 * 394}
    one, two = (terms_of(WORK, f, RTX5070, resident=2) for f in (FEATURES, unrolled))
    assert one.issue == two.issue
    without = replace(WORK, tensor_flops_per_iteration=0.0)
    assert terms_of(without, FEATURES, RTX5070, resident=2).warps == 8


def test_an_idle_machine_is_limited_by_latency_a_full_one_by_its_busiest_unit():
    """One warp a sub-partition takes the sum of its stages; very many approach the slowest unit."""
    terms = Terms(tensor=400, mufu=300, issue=200, l1=100, l2=50, wait=150, warps=4)
    assert clocks_per_pass(terms, 1) == pytest.approx(400 + 300 + 200 + 100 + 50 + 150)
    assert clocks_per_pass(terms, 64) == pytest.approx(400, rel=0.05)


@given(st.lists(st.floats(1, 1e4), min_size=5, max_size=5), st.floats(0, 1e3), st.integers(1, 16), st.integers(1, 16))
def test_more_ctas_never_slow_a_pass_down(units, wait, warps, ctas):
    """Throughput grows with residency, and stays between the two bounds."""
    terms = Terms(*units, wait, warps)
    period = clocks_per_pass(terms, ctas)
    assert period >= max(units) * 0.999
    assert period <= (sum(units) + wait * max(warps, 4) / 4) * 1.001
    assert clocks_per_pass(terms, ctas + 1) <= period * 1.001


def test_a_grid_is_dealt_out_to_the_sms():
    """One CTA more than there are SMs makes one SM work twice."""
    one = replace(WORK, iterations=((48, 100),))
    more = replace(WORK, iterations=((49, 100),))
    alone = {**FEATURES, "ctas_per_sm": 1}
    assert launch_us(more, alone, RTX5070) == pytest.approx(2 * launch_us(one, alone, RTX5070), rel=0.1)


def test_a_launch_takes_at_least_its_heaviest_cta():
    """A grid of few CTAs with one very long one waits for that one."""
    few = replace(WORK, iterations=((1, 10_000), (1, 1)))
    assert launch_us(few, FEATURES, H200) > 10_000 * 100 / (H200.boost_clock_ghz * 1e3)


def test_launches_follow_one_another():
    """Two launches take the sum, each by the features of its own function; one without products moves its bytes."""
    second = replace(WORK, function="second")
    slower = {**FEATURES, "loop_instructions": 4000}
    features = {**FEATURES, **{f"second.{name}": value for name, value in slower.items()}}
    parts = launch_us(WORK, FEATURES, H200) + launch_us(WORK, slower, H200)
    assert predict_us((WORK, second), features, H200) == pytest.approx(parts)
    copy = replace(WORK, function="copy", global_bytes=4.8e9)  # H200: 4,800 GB/s
    assert predict_us((copy,), features, H200) == pytest.approx(1000, abs=1)


def test_what_is_added_in_memory_travels_through_l2():
    """Sums of a pass share L2's bandwidth with the operands: 47,407 bytes are 1,000 clocks at 5,120 / 108 a clock."""
    plain, adding = (replace(WORK, smem_bytes_per_iteration=0.0, added_bytes_per_iteration=n) for n in (0.0, 47_407.0))
    assert terms_of(plain, FEATURES, H200, resident=1).supply < 1000
    assert terms_of(adding, FEATURES, H200, resident=1).supply == pytest.approx(1000, rel=1e-3)


def test_rows_that_threads_agree_on_and_products_that_wait_lengthen_a_pass():
    """29 clocks of shared memory, 33 for each product of the chain, two shuffles of 23 for each reduction."""
    assert terms_of(WORK, FEATURES, H200, resident=1).wait == 29 + 2 * 33 + 2 * 2 * 23
    assert terms_of(replace(WORK, row_reductions=0), FEATURES, H200, resident=1).wait == 29 + 2 * 33


def test_the_order_of_a_grid_counts():
    """Heavy CTAs first end together; light ones first, or one head after the other, leave SMs idle at the end."""
    first, last = WORK, replace(WORK, iterations=WORK.iterations[::-1])
    turns = replace(WORK, iterations=tuple((1, 16 - i) for i in range(16)), repeats=128)
    assert first.passes == last.passes == turns.passes
    heavy, light, repeated = (launch_us(work, FEATURES, H200) for work in (first, last, turns))
    assert heavy < min(light, repeated)


def test_a_persistent_grid_may_give_one_walker_all_that_is_heavy():
    """132 walkers are a multiple of 12 query tiles: each meets the same query tile of every head, one always the heaviest."""
    turns = replace(WORK, iterations=tuple((1, 12 - i) for i in range(12)), repeats=132)
    features = {**FEATURES, "ctas_per_sm": 1}
    dealt, walked = (launch_us(replace(turns, walkers_per_sm=n), features, H200) for n in (0.0, 1.0))
    assert walked > 1.5 * dealt


def test_what_l2_loses_lengthens_a_pass_before_it_fills_device_memory():
    """L2 serves 32 KiB in 691 clocks and waits for half of it from device memory, at 4,800 / 1.83 / 132 bytes a clock: 825 more.

    264 CTAs at a time read 264 of 1,024 parts of 8 passes, none of which stays: all of the second half of the reads.
    """
    apart = Operand(bytes_per_iteration=32768.0, bytes=1024 * 262144.0, part_bytes=262144.0, run=1, cycle=1024)
    alone = replace(WORK, iterations=((2048, 8),), smem_bytes_per_iteration=32768.0, operands=(apart,))
    tiny = replace(H200, l2_bytes=0.0)
    code = {**FEATURES, "loop_shared_bytes": 0}
    held, lost = (terms_of(alone, code, one, resident=2).supply for one in (replace(H200, l2_bytes=1e9), tiny))
    assert held == pytest.approx(691.2)
    assert lost == pytest.approx(691.2 + 16384 / (4800 / 1.83 / 132))


def test_a_machine_without_facts_is_not_guessed():
    """A missing fact is named, with what to do."""
    with pytest.raises(TunerError, match="num_sms, boost_clock_ghz"):
        PredictedMachine.of({})


def test_peaks_agree_with_the_printed_ones():
    """The per-clock rates the model uses give the vendors' TFLOPS within 2 %."""
    for name in ("rtx5070", "h200", "a100"):
        facts = hardware_facts(LAWS, name)
        machine = PredictedMachine.of(facts)
        tflops = machine.num_sms * machine.tensor_flops_per_sm_clock * machine.boost_clock_ghz / 1e3
        assert tflops == pytest.approx(float(facts["fp16_tflops"]), rel=0.02)
