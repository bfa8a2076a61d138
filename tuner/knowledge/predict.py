"""How long a launch should take, from what the compiler made of it and what the hardware can do. Nothing is fitted.

One pass of the hot loop keeps each unit of the SM busy for some clocks (`Terms`), and a warp waits for its own results
in between. The warps of the CTAs that fit share the units: one warp alone takes the sum, very many are limited by the
busiest unit, and what lies between is mean value analysis of a closed queueing network, exact for units that serve
whoever comes. Operands come meanwhile, ahead of the warps: they lengthen a pass only where L2, shared memory or the
stages that wait for them are slower than all that. The grid is dealt out to the SMs in launch order (`dealing`), and
what neighbouring CTAs read together is read from device memory once, as far as L2 holds it (`traffic`). A predicted
time is for ranking; it is never a measurement and never called `time`.

Source: Reiser and Lavenberg, Mean-Value Analysis of Closed Multichain Queuing Networks, Journal of the ACM 27 (1980).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from spak.kernels.interface import Work
from spak.kg.model.base import Scalar
from spak.tuner.errors import TunerError
from spak.tuner.knowledge import dealing
from spak.tuner.knowledge.traffic import bytes_read_again

WARP_THREADS = 32
"""Source: CUDA C++ Programming Guide, Hardware Multithreading."""

SUB_PARTITIONS = 4
"""Schedulers of an SM, each issuing one warp instruction a clock.

Source: NVIDIA H100 Tensor Core GPU Architecture whitepaper, SM (four processing blocks, one warp scheduler each);
the same in the Ampere and RTX Blackwell whitepapers.
"""

L1_BEYOND_SMEM_BYTES = 28 * 1024
"""Unified L1 and shared memory of an SM less the most that can be shared memory.

Source: CUDA C++ Programming Guide, Compute Capabilities 8.x, 9.0, 12.0: 192 - 164, 128 - 100, 256 - 228 KB, all 28.
"""

L2_BYTES_PER_SM_CLOCK = 5120 / 108
"""Source: NVIDIA A100 Tensor Core GPU Architecture whitepaper: L2 read bandwidth 5,120 bytes a clock, 108 SMs."""

TENSOR_LATENCY = 33
"""Clocks until a tensor-core result can be used.

Source: Luo et al., Benchmarking and Dissecting the Nvidia Hopper GPU Architecture via Microbenchmarking (2024), table of
mma latencies, m16n8k16 with fp32 accumulation.
"""

SHUFFLE_LATENCY = 23
"""Source: Jia et al., Dissecting the NVIDIA Volta GPU Architecture via Microbenchmarking (2018), shfl."""

SMEM_LATENCY = 29
"""Source: Luo et al. (2024), shared memory latency."""

ROW_SHUFFLES = 2
"""Dependent shuffles of one maximum or sum over a row, which lies in four threads.

Source: PTX ISA, mma.m16n8k16 accumulator layout.
"""

GLOBAL_LATENCY = 478
"""Clocks of a load that misses every cache. Source: Luo et al. (2024), global memory latency."""

CLUSTER_LATENCY = 180
"""Clocks until a CTA of a cluster sees what another did. Source: Luo et al. (2024), SM-to-SM network latency."""

EDGE_LATENCY = 2 * GLOBAL_LATENCY
"""Clocks of a CTA's first load and last store, with nothing of its own to do meanwhile."""

HELD_PASSES = 2.0
"""Products during which a stage of operands stays taken where products only accumulate.

Source: the code tileiras 13.4 makes of the matmul kernel for sm_90: a stage is given back after
`WARPGROUP.DEPBAR.LE gsb0, 0x1`, which leaves the newest product in flight.
"""

HELD_BETWEEN = 0.5
"""The same where a softmax lies between two products: each operand is taken during its own product, half of the two."""

HELD_THROUGHOUT = 1.0
"""The same where the first product of a pass and the last take the same operands."""


@dataclass(frozen=True)
class PredictedMachine:
    """The facts the model needs; names and units as in laws/hardware."""

    num_sms: int
    boost_clock_ghz: float
    tensor_flops_per_sm_clock: float
    mufu_per_sm_clock: float
    fp32_lanes_per_sm: float
    smem_bytes_per_sm_clock: float
    smem_per_sm: float
    smem_reserved_per_cta: float
    l2_bytes: float
    bandwidth_gb_per_s: float

    @classmethod
    def of(cls, facts: Mapping[str, Scalar]) -> PredictedMachine:
        """The machine that `facts` describe.

        Raises:
            TunerError: If a fact is missing; the message names it.
        """
        missing = [field.name for field in fields(cls) if field.name not in facts]
        if missing:
            raise TunerError(
                f"a time cannot be predicted without the hardware facts {', '.join(missing)}; "
                "add them under laws/hardware, or choose a device with --hw"
            )
        values = {field.name: float(facts[field.name]) for field in fields(cls) if field.name != "num_sms"}
        return cls(num_sms=int(facts["num_sms"]), **values)


@dataclass(frozen=True)
class Terms:
    """Clocks for which one pass of one CTA keeps each unit of an SM busy.

    Attributes:
        tensor: Tensor cores, and the reads of shared memory that feed them.
        mufu: Special-function units.
        issue: Schedulers, and the FP32 lanes behind them: every instruction takes an issue slot.
        l1: Spilled registers on their way to and from L1.
        l2: What of the spilled registers L1 cannot hold, on its way to and from L2.
        wait: Clocks in which a warp has nothing to do but wait for its own results.
        warps: Warps that share the pass.
        supply: Clocks that bringing the operands takes, beside the warps: of L2 or of shared memory, the slower.
        turn: Clocks between two uses of the same stage of operands, over the number of stages of a CTA.
    """

    tensor: float
    mufu: float
    issue: float
    l1: float
    l2: float
    wait: float
    warps: float
    supply: float = 0.0
    turn: float = 0.0

    @property
    def units(self) -> tuple[float, ...]:
        """The terms of the units that warps queue for."""
        return self.tensor, self.mufu, self.issue, self.l1, self.l2


def predict_us(works: Sequence[Work], features: Mapping[str, float], machine: PredictedMachine) -> float:
    """Microseconds of all launches, one after the other.

    Args:
        works: Counts of each launch.
        features: Compiled features with `ctas_per_sm` of at least 1; without `loop_*` the instruction terms are zero. Those
            of a function other than the first have its name and a dot before theirs.
        machine: Hardware facts.
    """
    return sum(launch_us(work, features_of(work.function, features), machine) for work in works)


def features_of(function: str, features: Mapping[str, float]) -> Mapping[str, float]:
    """The features of one compiled function of several; empty if none were kept because nothing in it loops."""
    if not function:
        return features
    start = f"{function}."
    return {name.removeprefix(start): value for name, value in features.items() if name.startswith(start)}


def launch_us(work: Work, features: Mapping[str, float], machine: PredictedMachine) -> float:
    """Microseconds of one launch; without features, those of its traffic with device memory."""
    if not features:
        return EDGE_LATENCY / (machine.boost_clock_ghz * 1e3) + work.global_bytes / (machine.bandwidth_gb_per_s * 1e3)
    work = _of_one_cta(work)
    passes = dealing.in_order(work.iterations, work.repeats)
    passes, tiles = dealing.walked(passes, walkers(work, machine) if work.walkers_per_sm else len(passes))
    ctas = max(1, min(int(features["ctas_per_sm"]), -(-len(passes) // machine.num_sms)))
    edge = EDGE_LATENCY + work.loops * GLOBAL_LATENCY + work.outside_bytes / L2_BYTES_PER_SM_CLOCK
    pace = dealing.Pace(edge, periods(terms_of(work, features, machine, resident=ctas), ctas))
    busy = dealing.clocks(passes, tiles, machine.num_sms, pace)
    moved = work.global_bytes + bytes_read_again(work, ctas * machine.num_sms, machine.l2_bytes)
    return max(busy / (machine.boost_clock_ghz * 1e3), moved / (machine.bandwidth_gb_per_s * 1e3))


def walkers(work: Work, machine: PredictedMachine) -> int:
    """CTAs of a persistent grid: as many as were asked for on each SM, whole clusters, and no more than tiles."""
    whole = int(work.walkers_per_sm * machine.num_sms) // work.cluster * work.cluster
    return max(1, min(whole, work.ctas))


def _of_one_cta(work: Work) -> Work:
    """The counts of each CTA of a cluster, which does its part of the tile."""
    if work.cluster == 1:
        return work
    parts = work.cluster
    return replace(
        work,
        iterations=tuple((count * parts, passes) for count, passes in work.iterations),
        tensor_flops_per_iteration=work.tensor_flops_per_iteration / parts,
        exp2_per_iteration=work.exp2_per_iteration / parts,
        fp32_per_iteration=work.fp32_per_iteration / parts,
        smem_bytes_per_iteration=work.smem_bytes_per_iteration / parts,
        added_bytes_per_iteration=work.added_bytes_per_iteration / parts,
        outside_bytes=work.outside_bytes / parts,
    )


def clocks_per_pass(terms: Terms, ctas: int) -> float:
    """Clocks between the ends of two passes on one SM when `ctas` CTAs share it."""
    return periods(terms, ctas)[-1]


def periods(terms: Terms, ctas: int) -> tuple[float, ...]:
    """The same for 1, 2, ... `ctas` CTAs.

    Mean value analysis of one sub-partition: its share of each term is the service a pass needs from a unit, its warps
    are the customers. The operands' clocks are a bound of their own, for they come while the warps work.
    """
    customers = [max(1, round(present * terms.warps / SUB_PARTITIONS)) for present in range(1, ctas + 1)]
    share = SUB_PARTITIONS / max(terms.warps, SUB_PARTITIONS)
    demands = [term * share for term in terms.units]
    queues = [0.0] * len(demands)
    found = []
    for present in range(1, customers[-1] + 1):
        waits = [demand * (1 + queue) for demand, queue in zip(demands, queues, strict=True)]
        period = (sum(waits) + terms.wait) / present
        queues = [wait / period for wait in waits]
        found.append(period / share)
    return tuple(
        max(found[count - 1], terms.supply, terms.turn / present) for present, count in enumerate(customers, start=1)
    )


def terms_of(work: Work, features: Mapping[str, float], machine: PredictedMachine, *, resident: int) -> Terms:
    """What one pass costs when `resident` CTAs share an SM."""
    warps = _passes_of_a_warp(work, features)
    tensor = work.tensor_flops_per_iteration / machine.tensor_flops_per_sm_clock
    read = features.get("loop_shared_bytes", 0.0) * warps
    spilled = features.get("loop_spill_bytes", 0.0) * WARP_THREADS * warps
    missed = spilled * _miss_share(features, machine, resident)
    staged = work.smem_bytes_per_iteration
    moved = staged + work.added_bytes_per_iteration
    from_memory = _clocks_of_device_memory(work, machine, resident)
    return Terms(
        tensor=max(tensor, read / machine.smem_bytes_per_sm_clock),
        mufu=work.exp2_per_iteration / machine.mufu_per_sm_clock,
        issue=max(
            features.get("loop_instructions", 0.0) * warps / SUB_PARTITIONS,
            work.fp32_per_iteration / machine.fp32_lanes_per_sm,
        ),
        l1=spilled / machine.smem_bytes_per_sm_clock,
        l2=missed / L2_BYTES_PER_SM_CLOCK,
        wait=_dependent_latency(work),
        warps=warps,
        supply=max(
            (moved + missed) / L2_BYTES_PER_SM_CLOCK + from_memory,
            (moved + read + spilled) / machine.smem_bytes_per_sm_clock,
        ),
        turn=_turn(work, features, tensor, from_memory),
    )


def _clocks_of_device_memory(work: Work, machine: PredictedMachine, resident: int) -> float:
    """Clocks that L2 waits for device memory in a pass of one CTA: for what L2 does not hold of its operands."""
    share = machine.bandwidth_gb_per_s / machine.boost_clock_ghz / machine.num_sms  # bytes a clock for each SM
    return bytes_read_again(work, resident * machine.num_sms, machine.l2_bytes) / work.passes / share


def _turn(work: Work, features: Mapping[str, float], tensor: float, from_memory: float) -> float:
    """Clocks between two uses of a stage over the stages: it is filled, and taken while its products run.

    How many stages there are is not in the code's counts: as many as the CTA's shared memory holds beside the tile that
    it keeps outside the loop.
    """
    staged = work.smem_bytes_per_iteration
    if not staged:
        return 0.0
    stages = max((features["smem_bytes"] - work.outside_bytes) / staged, 1.0)
    held = HELD_BETWEEN if work.chained_products > 1 else HELD_PASSES
    if work.operands_serve_all:
        held = HELD_THROUGHOUT
    return (GLOBAL_LATENCY + staged / L2_BYTES_PER_SM_CLOCK + from_memory + held * tensor) / stages


def _passes_of_a_warp(work: Work, features: Mapping[str, float]) -> float:
    """How many times a warp goes through the compiled loop for one pass of the CTA: the warps that work on it.

    The products of a pass over the products in the loop's code: exact also where the compiler unrolled the loop, or
    gave some warps nothing but loads to do. Without tensor-core code every warp works.
    """
    per_warp = features.get("loop_tensor_flops", 0.0)
    if per_warp and work.tensor_flops_per_iteration:
        return work.tensor_flops_per_iteration / per_warp
    return features["threads"] / WARP_THREADS


def _miss_share(features: Mapping[str, float], machine: PredictedMachine, resident: int) -> float:
    """Share of the traffic of spilled registers that goes to L2: their space over what L1 has left for them."""
    space = features.get("spill_bytes", 0.0) * features["threads"] * resident
    shared = (features["smem_bytes"] + machine.smem_reserved_per_cta) * resident
    left = max(machine.smem_per_sm + L1_BEYOND_SMEM_BYTES - shared, 0.0)
    return max(0.0, 1.0 - left / space) if space else 0.0


def _dependent_latency(work: Work) -> float:
    """Clocks in which one warp has nothing to do but wait for its own results, or its cluster's, once a pass."""
    latency = SMEM_LATENCY + work.row_reductions * ROW_SHUFFLES * SHUFFLE_LATENCY
    if work.tensor_flops_per_iteration:
        latency += work.chained_products * TENSOR_LATENCY
    return latency + (CLUSTER_LATENCY if work.cluster > 1 else 0)
