"""Of the devices one at most is the default, and of the ops: what is taken where nobody names one is no matter of chance."""

from __future__ import annotations

from collections.abc import Iterator

from spak.kg.checks import finding
from spak.kg.errors import Problem
from spak.kg.files.loader import Laws


def check(laws: Laws) -> Iterator[Problem]:
    """A finding for each default after the first, and for a default that is no device."""
    for kind, nodes in (("hardware", laws.hardware), ("op", laws.ops)):
        first, *others = sorted(name for name, node in nodes.items() if node.default) or [""]
        for name in others:
            yield finding(
                laws, "defaults", name, "default", f"{first} is the default already; one {kind} at most is", kind=kind
            )
        if kind == "hardware" and first and laws.hardware[first].kind != "device":
            yield finding(
                laws,
                "defaults",
                first,
                "default",
                "only a device can be compiled for; make one of its kind the default",
                kind=kind,
            )
