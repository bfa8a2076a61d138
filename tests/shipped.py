"""The shipped laws, loaded once in each process that runs tests: nothing that a test asks of them writes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import spak
from spak.kg.files.loader import load

ROOT = Path(__file__).parents[1] / "laws"

LAWS = load(ROOT)
"""What `laws/` holds, with the runs that were read so far."""


@cache
def library() -> spak.Library:
    """`LAWS` as the public face gives them."""
    return replace(spak.load(ROOT), laws=LAWS)
