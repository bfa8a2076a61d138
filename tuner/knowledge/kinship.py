"""How close two pieces of hardware are, from the graph and its facts, before any trial has been seen."""

from __future__ import annotations

import math
from collections.abc import Mapping

from spak.kg.model.base import Scalar
from spak.kg.model.hardware import HardwareNodes, hardware_facts
from spak.kg.model.taxonomy import Taxonomy

FACTS = (
    "num_sms",
    "registers_per_sm",
    "smem_per_sm",
    "max_warps_per_sm",
    "l2_bytes",
    "bandwidth_gb_per_s",
)
"""Facts that decide which configurations are fast; a kin with the same ones is closer."""

RELATION = {"device": 5.0, "compute-capability": 4.0, "architecture": 3.0, "vendor": 2.0}
"""Weight by kind of the nearest common ancestor; 1 for strangers. An ordering with mild steps, not a fit: the weights
only say where to begin, trials correct them within a few evaluations."""

STRANGER = 1.0


def kinship(store: HardwareNodes, one: str, other: str) -> float:
    """Positive weight of what is known on `other` for a search on `one`; larger is closer.

    Hardware that the law root does not know, or knows nothing about, is a stranger: it counts, and trials decide.
    """
    hardware = store.hardware
    tree = Taxonomy("hardware", hardware)
    up = tree.ancestors(one)
    common = [node for node in tree.ancestors(other) if node in up and node in hardware]
    relation = RELATION[hardware[common[0]].kind] if common else STRANGER
    return relation * _likeness(hardware_facts(store, one), hardware_facts(store, other))


def _likeness(one: Mapping[str, Scalar], other: Mapping[str, Scalar]) -> float:
    """1 where all shared facts agree, down to 0.5; 1 where none is known on both sides."""
    ratios = []
    for name in FACTS:
        a, b = one.get(name), other.get(name)
        if isinstance(a, int | float) and isinstance(b, int | float) and a > 0 and b > 0:
            ratios.append(abs(math.log(a / b)))
    return 0.5 + 0.5 * math.exp(-sum(ratios) / len(ratios)) if ratios else 1.0
