"""How long a launch should take, from what the compiler made of it and what the hardware can do. Nothing is fitted.

One pass of the hot loop keeps each unit of the SM busy for some clocks (`Terms`), and a warp waits for its own results
in between. The warps of the CTAs that fit share the units: one warp alone takes the sum, very many are limited by the
busiest unit, and what lies between is mean value analysis of a closed queueing network, exact for units that serve
whoever comes. The grid is dealt out to the SMs, the heaviest CTAs first. A predicted time is for ranking; it is never
a measurement and never called `time`.

Source: Reiser and Lavenberg, Mean-Value Analysis of Closed Multichain Queuing Networks, Journal of the ACM 27 (1980).
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from kernels.interface import Work
from kg.model.base import Scalar
from tuner.errors import TunerError

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

ROW_SHUFFLES = 4
"""Dependent shuffles of one softmax pass: a row lies in four threads, so a maximum and a sum take two each.

Source: PTX ISA, mma.m16n8k16 accumulator layout.
"""

GLOBAL_LATENCY = 478
"""Clocks of a load that misses every cache. Source: Luo et al. (2024), global memory latency."""

EDGE_LATENCY = 2 * GLOBAL_LATENCY
"""Clocks of a CTA's first load and last store, with nothing of its own to do meanwhile."""

EXACT_DEALING = 50_000
"""CTAs up to which the dealing is done one by one; beyond, an SM has so many that the average is within 1 %."""


@dataclass(frozen=True)
class Machine:
    """The facts the model needs; names and units as in laws/hardware."""

    num_sms: int
    boost_clock_ghz: float
    tensor_flops_per_sm_clock: float
    mufu_per_sm_clock: float
    fp32_lanes_per_sm: float
    smem_bytes_per_sm_clock: float
    smem_per_sm: float
    smem_reserved_per_cta: float
    bandwidth_gb_per_s: float

    @classmethod
    def of(cls, facts: Mapping[str, Scalar]) -> Machine:
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
        tensor: Tensor cores.
        mufu: Special-function units.
        issue: Schedulers, and the FP32 lanes behind them: every instruction takes an issue slot.
        smem: Shared memory and L1, which are one array: operands staged and read, and spilled registers.
        l2: Traffic of the SM with L2: operands, and what of the spilled registers L1 cannot hold.
        wait: Clocks in which a warp has nothing to do but wait for its own results.
        warps: Warps that share the pass.
    """

    tensor: float
    mufu: float
    issue: float
    smem: float
    l2: float
    wait: float
    warps: float

    @property
    def units(self) -> tuple[float, ...]:
        """The terms of the units, without the wait."""
        return self.tensor, self.mufu, self.issue, self.smem, self.l2


def predict_us(work: Work, features: Mapping[str, float], machine: Machine) -> float:
    """Microseconds of one launch.

    Args:
        work: Counts of the launch.
        features: Compiled features with `ctas_per_sm` of at least 1; without `loop_*` the instruction terms are zero.
        machine: Hardware facts.
    """
    ctas = max(1, min(int(features["ctas_per_sm"]), -(-work.ctas // machine.num_sms)))
    terms = terms_of(work, features, machine, resident=ctas)
    per_pass = clocks_per_pass(terms, ctas)
    per_cta = EDGE_LATENCY / ctas  # hidden by the other CTAs
    heaviest = max(passes for _, passes in work.iterations)
    busy = max(
        _heaviest_sm(work.iterations, machine.num_sms, per_pass, per_cta),
        heaviest * clocks_per_pass(terms, 1) + EDGE_LATENCY,
    )
    return max(busy / (machine.boost_clock_ghz * 1e3), work.global_bytes / (machine.bandwidth_gb_per_s * 1e3))


def clocks_per_pass(terms: Terms, ctas: int) -> float:
    """Clocks between the ends of two passes on one SM when `ctas` CTAs share it.

    Mean value analysis of one sub-partition: its share of each term is the service a pass needs from a unit, its warps
    are the customers.
    """
    customers = max(1, round(ctas * terms.warps / SUB_PARTITIONS))
    share = SUB_PARTITIONS / max(terms.warps, SUB_PARTITIONS)
    demands = [term * share for term in terms.units]
    queues = [0.0] * len(demands)
    period = 0.0
    for present in range(1, customers + 1):
        waits = [demand * (1 + queue) for demand, queue in zip(demands, queues, strict=True)]
        period = (sum(waits) + terms.wait) / present
        queues = [wait / period for wait in waits]
    return period * max(terms.warps, SUB_PARTITIONS) / SUB_PARTITIONS


def terms_of(work: Work, features: Mapping[str, float], machine: Machine, *, resident: int) -> Terms:
    """What one pass costs when `resident` CTAs share an SM."""
    warps = _passes_of_a_warp(work, features)
    shared_bytes = work.smem_bytes_per_iteration + features.get("loop_shared_bytes", 0.0) * warps
    spilled = features.get("loop_spill_bytes", 0.0) * WARP_THREADS * warps
    missed = spilled * _miss_share(features, machine, resident)
    return Terms(
        tensor=work.tensor_flops_per_iteration / machine.tensor_flops_per_sm_clock,
        mufu=work.exp2_per_iteration / machine.mufu_per_sm_clock,
        issue=max(
            features.get("loop_instructions", 0.0) * warps / SUB_PARTITIONS,
            work.fp32_per_iteration / machine.fp32_lanes_per_sm,
        ),
        smem=(shared_bytes + spilled) / machine.smem_bytes_per_sm_clock,
        l2=(work.smem_bytes_per_iteration + missed) / L2_BYTES_PER_SM_CLOCK,
        wait=_dependent_latency(work),
        warps=warps,
    )


def _passes_of_a_warp(work: Work, features: Mapping[str, float]) -> float:
    """How many times a warp goes through the compiled loop for one pass of the CTA: the warps that work on it.

    The products of a pass over the products in the loop's code: exact also where the compiler unrolled the loop, or
    gave some warps nothing but loads to do. Without tensor-core code every warp works.
    """
    per_warp = features.get("loop_tensor_flops", 0.0)
    if per_warp and work.tensor_flops_per_iteration:
        return work.tensor_flops_per_iteration / per_warp
    return features["threads"] / WARP_THREADS


def _miss_share(features: Mapping[str, float], machine: Machine, resident: int) -> float:
    """Share of the traffic of spilled registers that goes to L2: their space over what L1 has left for them."""
    space = features.get("spill_bytes", 0.0) * features["threads"] * resident
    shared = (features["smem_bytes"] + machine.smem_reserved_per_cta) * resident
    left = max(machine.smem_per_sm + L1_BEYOND_SMEM_BYTES - shared, 0.0)
    return max(0.0, 1.0 - left / space) if space else 0.0


def _dependent_latency(work: Work) -> float:
    """Clocks in which one warp has nothing to do but wait for its own results, once a pass."""
    latency = SMEM_LATENCY + (TENSOR_LATENCY if work.tensor_flops_per_iteration else 0)
    if work.exp2_per_iteration:  # softmax between two products: its rows are reduced, and the second product waits
        latency += TENSOR_LATENCY + ROW_SHUFFLES * SHUFFLE_LATENCY
    return latency


def _heaviest_sm(kinds: Sequence[tuple[int, int]], num_sms: int, per_pass: float, per_cta: float) -> float:
    """Clocks of the SM that finishes last when each next CTA goes to the SM with the least to do."""
    if sum(count for count, _ in kinds) > EXACT_DEALING:
        return sum(count * (passes * per_pass + per_cta) for count, passes in kinds) / num_sms
    loads = [0.0] * num_sms
    for count, passes in kinds:
        rounds, rest = divmod(count, num_sms)
        cost = passes * per_pass + per_cta
        if rounds and max(loads) == min(loads):  # even so far, so whole rounds stay even
            loads = [load + rounds * cost for load in loads]
            count = rest  # noqa: PLW2901
        heapq.heapify(loads)
        for _ in range(count):
            heapq.heapreplace(loads, loads[0] + cost)
    return max(loads)
