"""Which confirmed laws are worth a file: one that adds next to nothing to what is known stays a candidate of its run.

Such a law is true, and its run keeps it; but a reader who has the others learns nothing from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import get_args

import msgspec

from spak.kg.evidence.shares import Explainable, Sweep, additions
from spak.kg.model.law import Law
from spak.kg.model.run import Candidate, Run
from spak.kg.model.store import Store
from spak.tuner.learn.mining.negative import MIN_CONFIGURATIONS, WORTH_SAYING


def idle_laws(new: Sequence[Law], laws: Store, runs: Iterable[Run]) -> dict[str, str]:
    """Ids of `new` that add too little to what confirmed laws and the rest of `new` explain of `runs`, with the reason.

    As mining asks of a region: at least `MIN_CONFIGURATIONS` trials and `WORTH_SAYING` of them all. Only laws that name
    configurations are weighed; a preference or a tie explains none.
    """
    sweeps = [Sweep.of(run, laws) for run in runs if run.trials]
    if not sweeps or not new:
        return {}
    fresh = {law.id for law in new}
    known = [law for law in laws.laws.values() if law.status == "confirmed" and law.id not in fresh]
    return dict(_idle(new, known, sweeps))


def _idle(new: Sequence[Law], known: Sequence[Law], sweeps: Sequence[Sweep]) -> Iterator[tuple[str, str]]:
    for aspect in get_args(Explainable):
        for name, (added, cells) in additions(new, known, sweeps, aspect).items():
            if added < max(MIN_CONFIGURATIONS, WORTH_SAYING * cells):
                yield name, f"adds {added} of {cells} trials to what other laws explain, so it stays a candidate"


def weighed(
    candidates: Iterable[Candidate], new: Sequence[Law], laws: Store, runs: Iterable[Run]
) -> tuple[tuple[Candidate, ...], tuple[Law, ...]]:
    """The candidates, those that passed and stay candidates with the reason why, and the laws of `new` that are worth a file."""
    idle = idle_laws(new, laws, runs)
    noted = tuple(
        msgspec.structs.replace(one, reason=f"{one.reason}; {idle[one.law.id]}")
        if one.outcome == "confirmed" and one.law.id in idle
        else one
        for one in candidates
    )
    return noted, tuple(law for law in new if law.id not in idle)
