"""How trials show a rewrite: those of the system it leads to, and beside them a time of the system it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from spak.kg.evidence.judge import MIN_REFERENCES
from spak.kg.evidence.table import TrialTable
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import RewriteTest
from spak.kg.model.base import Configuration
from spak.kg.model.law import Law
from spak.kg.model.op import Op
from spak.kg.model.run import Measurement
from spak.kg.model.system import System
from spak.kg.space.completion import completed


def telling(law: Law, table: TrialTable, op: Op, systems: Mapping[str, System]) -> TrialTable:
    """What of `table`, trials of `op`, tells whether `law` is true: all of it, but of a law that rewrites its two systems."""
    test = meaning(law).test
    return beside(test, table, op, systems) if isinstance(test, RewriteTest) else table


def beside(test: RewriteTest, table: TrialTable, op: Op, systems: Mapping[str, System]) -> TrialTable:
    """`table` with the times of the system `to` alone, and among the references that of the system `source`.

    A system with settings of its own for the op is just that configuration, the rest at the op's defaults; one without
    is the best of those tried, if they are enough to tell. A time of `source` that the run states itself, such as a
    library's, stays.
    """
    reached = own_configuration(systems, test.to, op)
    seen = table.having(reached) if reached is not None else np.ones(len(table.space), dtype=bool)
    found = replace(table, time=np.where(seen, table.time, np.nan))
    if reached is None and (table.observed.sum(axis=1) < MIN_REFERENCES).any():
        return replace(found, references={})
    before = own_configuration(systems, test.source, op)
    if test.source in table.references or before is None or len(table.problems) != 1:
        return found
    return replace(found, references={**table.references, **_timed(table, before, test.source)})


def own_configuration(systems: Mapping[str, System], system: str, op: Op) -> Configuration | None:
    """What a system runs of an op, every parameter named; None of one that states no settings of it."""
    settings = systems[system].configurations if system in systems else {}
    return completed(op, settings[op.id]) if op.id in settings else None


def _timed(table: TrialTable, configuration: Configuration, name: str) -> dict[str, Measurement]:
    """The time of one configuration at the only problem size of `table`, by `name`; empty if it has none."""
    places = np.flatnonzero(table.having(configuration) & table.observed[0])
    if not len(places):
        return {}
    time, low, high = (float(values[0, places[0]]) for values in (table.time, table.low, table.high))
    return {name: Measurement(name="time", value=time, unit="us", low=low, high=high)}
