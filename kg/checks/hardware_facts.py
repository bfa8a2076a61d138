"""A device's printed peak is what its SMs, clock and throughput per SM give, and every fact names its source."""

from __future__ import annotations

from collections.abc import Iterator

from spak.kg.checks import finding
from spak.kg.errors import Problem
from spak.kg.files.loader import Laws
from spak.kg.model.hardware import hardware_facts

TOLERANCE = 0.02
"""Printed peaks are rounded, and so are clocks; a wrong count of SMs is off by far more."""

_FACTORS = ("num_sms", "boost_clock_ghz", "tensor_flops_per_sm_clock")


def check(laws: Laws) -> Iterator[Problem]:
    """A finding for each device whose facts contradict each other, and each fact without a source."""
    for identifier, node in laws.hardware.items():
        for name, fact in node.facts.items():
            if not fact.source.strip():
                yield finding(
                    laws,
                    "hardware-facts",
                    identifier,
                    f"facts.{name}.source",
                    "no source; name the document and table",
                    kind="hardware",
                )
        facts = hardware_facts(laws, identifier)
        numbers = [facts.get(name) for name in (*_FACTORS, "fp16_tflops")]
        if node.kind != "device" or not all(isinstance(value, int | float) for value in numbers):
            continue
        sms, clock, per_clock, peak = (float(value) for value in numbers if value is not None)
        derived = sms * clock * per_clock / 1e3  # GHz x FLOPs = GFLOPS
        if abs(derived - peak) > TOLERANCE * peak:
            message = f"{sms:g} SMs x {clock:g} GHz x {per_clock:g} FLOPs give {derived:.1f} TFLOPS, not {peak:g}; one is wrong"
            yield finding(laws, "hardware-facts", identifier, "facts.fp16_tflops", message, kind="hardware")
