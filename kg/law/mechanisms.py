"""The mechanisms a law may name as its reason; docs/glossary.md prints this list and a test holds the two together."""

from __future__ import annotations

MECHANISMS = {
    "bandwidth-bound": "time is the bytes moved divided by the bandwidth of device memory.",
    "compute-bound": "time is the arithmetic divided by the peak of the unit that does it.",
    "fusion": "intermediate results stay in registers or shared memory and never travel to device memory.",
    "latency-hidden": "loads are issued early enough, or enough warps are resident, that arithmetic never waits for memory.",
    "launch-bound": "time is spent starting kernels rather than in them.",
    "launch-failure": "the configuration asks for more than an SM has, so that it does not compile or does not start.",
    "load-imbalance": "some CTAs do more work than others, and the last ones run alone.",
    "low-occupancy": "too few warps are resident to hide the latency of memory and arithmetic.",
    "numeric-floor": "a finite stand-in for minus infinity keeps differences of masked values finite.",
    "parallelism": "independent work is spread over more CTAs or SMs.",
    "register-spill": "live values exceed the registers a thread may have, and the rest goes through local memory.",
    "shared-memory-bound": "time is the bytes staged through shared memory divided by its rate.",
    "vectorisation": "one tile operation on tensor cores replaces a loop of scalar operations.",
    "wave-quantisation": "the grid does not fill its last wave of CTAs, and part of the GPU idles.",
    "work-skipped": "work whose result is known to be zero or masked is not done.",
}
"""Term -> what it means, as a clause without a capital and with its full stop."""
