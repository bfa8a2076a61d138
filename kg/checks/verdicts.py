"""An evidence entry says of the claim what its own numbers say, and what its run file holds."""

from __future__ import annotations

from collections.abc import Iterator

from spak.kg.checks import CheckFinding, OneLaw
from spak.kg.errors import InvalidFilesError
from spak.kg.law.status import UNBOUNDED, bounds, within_bounds
from spak.kg.model.law import Evidence, Law


def check_law(one: OneLaw) -> Iterator[CheckFinding]:
    """A finding for each entry whose verdict, interval, tier or problem sizes contradict its numbers or its run."""
    for index, entry in enumerate(one.law.evidence):
        for field, message in [*_numbers(one.law, entry), *_run(one, entry)]:
            yield CheckFinding(check="verdict", field=f"evidence[{index}].{field}", message=message)


def _numbers(law: Law, entry: Evidence) -> Iterator[tuple[str, str]]:
    claimed = {name: bound for name, bound in bounds(law).items() if name != UNBOUNDED and name in entry.effect}
    for name, (low, high) in entry.interval.items():
        if name not in entry.effect or not low <= entry.effect[name] <= high:
            yield f"interval.{name}", f"the interval {low} to {high} does not hold the effect; mend one of them"
    held = {name: within_bounds(bound, entry.effect[name], entry.effect[name]) for name, bound in claimed.items()}
    if entry.verdict == "supports" and not all(held.values()):
        failed = ", ".join(f"{name} = {entry.effect[name]:g}" for name, good in held.items() if not good)
        yield "verdict", f"supports, but {failed} is outside the claim; write refutes or inconclusive"
    if entry.verdict == "refutes" and held and all(held.values()):
        shown = ", ".join(f"{name} = {entry.effect[name]:g}" for name in held)
        yield "verdict", f"refutes, but {shown} is inside the claim; write supports or inconclusive"
    if entry.tier != "reported" and not entry.problems:
        yield "problems", "no problem sizes; name those the verdict rests on"


def _run(one: OneLaw, entry: Evidence) -> Iterator[tuple[str, str]]:
    """Differences from the run file; a run that cannot be read is one."""
    try:
        run = one.run(entry.run)
    except InvalidFilesError as error:
        yield "run", error.problems[0].message
        return
    if run.tier != entry.tier:
        yield "tier", f"the run is {run.tier}, the entry says {entry.tier}; write {run.tier}"
    for what, nodes, there, here in (
        ("hardware", one.nodes.hardware, run.hw, one.law.scope.hw),
        ("op", one.nodes.ops, run.op, one.law.scope.op),
    ):
        above = one.nodes.above[what]
        known = there in nodes  # a run may name an op that has no node (yet)
        if known and here not in above(there) and there not in above(here):
            yield (
                "run",
                f"the run is about {what} {there}, the law about {here}; it is no evidence here, cite it as a reference",
            )
