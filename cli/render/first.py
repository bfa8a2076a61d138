"""What to try first, for people: what it comes from, the settings all share, and each configuration by the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from spak.cli.render.text import as_dictionary, wrap
from spak.kg.expression.assignment import show_assignments
from spak.kg.model.base import Scalar
from spak.kg.model.figures import counted
from spak.tuner.first import First

_SHOWN = 5
"""Sources named, the weightiest."""


def first_text(found: First, configurations: Sequence[Mapping[str, Scalar]]) -> str:
    """At most 80 columns, but where an id is longer; the first as a dictionary that can be pasted."""
    return "\n".join([*_lines(found, configurations), ""])


def _lines(found: First, configurations: Sequence[Mapping[str, Scalar]]) -> Iterator[str]:
    yield from wrap(f"{found.space.op} on {found.hw}: first of {len(found.order)} configurations")
    for label, weight in found.sources[:_SHOWN]:
        yield from wrap(f"known: {label}, weight {weight:.2f}", indent=2)
    if len(found.sources) > _SHOWN:
        yield f"  and {counted(len(found.sources) - _SHOWN, 'more source')}: --format json"
    shared = {
        name: value for name, value in configurations[0].items() if all(one[name] == value for one in configurations)
    }
    if shared and len(configurations) > 1:
        yield from wrap(f"all with {show_assignments(shared)}")
        for place, configuration in enumerate(configurations, 1):
            rest = {name: value for name, value in configuration.items() if name not in shared}
            first, *more = wrap(show_assignments(rest), indent=6)
            yield from (f"  {place:3} {first.lstrip()}", *more)
    yield from as_dictionary("first", configurations[0])
