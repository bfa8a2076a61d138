"""Plain words for what was mined: titles, and the mechanism where compiled features explain it."""

from __future__ import annotations

import re
from zlib import crc32

import numpy as np

from spak.kg.evidence.table import Bools, TrialTable

EXPLAINS = 0.95
"""A feature explains a region if it marks at least this share of its cells..."""

SPARES = 0.05
"""...and at most this share of the cells that are near the best."""

MAX_ID = 100
"""Longest law id (spak.kg.model.law.Id)."""

_WORDS = {"==": "is", ">=": "is at least", "<=": "is at most", ">": "is more than", "<": "is less than"}


def in_words(expression: str) -> str:
    """`tile_m >= 128 and spill_bytes > 0` as `tile_m is at least 128 and spill_bytes is more than 0`."""
    if expression == "spill_bytes > 0":
        return "the code spills registers"
    return re.sub(r"(==|>=|<=|>|<)", lambda match: _WORDS[match.group()], expression).replace("*", "x")


def slug(prefix: str, expression: str) -> str:
    """A law id from an expression: readable, and stable for the same expression.

    A long one is cut and ends in a checksum of the whole, so that two laws never share an id by accident.
    """
    text = expression
    for sign, word in ((">=", "ge"), ("<=", "le"), ("==", ""), (">", "gt"), ("<", "lt"), ("*", "x"), (" and ", " ")):
        text = text.replace(sign, word)
    plain = re.sub(r"[^a-z0-9]+", "-", f"{prefix} {text}".lower()).strip("-")
    if len(plain) <= MAX_ID:
        return plain
    return f"{plain[: MAX_ID - 9].rstrip('-')}-{crc32(expression.encode()):08x}"


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
