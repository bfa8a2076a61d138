"""The mechanism of what was mined, where compiled features explain it."""

from __future__ import annotations

import numpy as np

from spak.kg.evidence.table import Bools, TrialTable

EXPLAINS = 0.95
"""A feature explains a region if it marks at least this share of its cells..."""

SPARES = 0.05
"""...and at most this share of the cells that are near the best."""


def mechanism(table: TrialTable, mask: Bools) -> str:
    """A glossary term for why a region is slow, or an empty string: only what the features show is said."""
    low, _ = table.slowdown_bounds()
    region = mask & (table.observed | table.failed)
    near = table.observed & ~mask & ~(low >= 1.05)  # noqa: PLR2004 - within 5 % of the best is near
    for feature, term in (("spill_bytes", "register-spill"), ("ctas_per_sm", "low-occupancy")):
        values = table.features.get(feature)
        if values is None or not near.any() or not region.any():
            continue
        marked = values > 0 if feature == "spill_bytes" else values <= 1
        known = np.isfinite(values)
        inside, outside = marked[region & known], marked[near & known]
        if inside.size and outside.size and inside.mean() >= EXPLAINS and outside.mean() <= SPARES:
            return term
    return ""
