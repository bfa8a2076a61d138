"""No TFLOPS figure above what the hardware can do stands without the counting rule that explains it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from spak.kg.checks import CheckFinding, Nodes, OneLaw
from spak.kg.errors import InvalidFilesError
from spak.kg.expression import ExpressionError, parse
from spak.kg.expression.assignment import parse_assignments
from spak.kg.model.base import Scalar
from spak.kg.model.law import Evidence

_PEAK = "fp16_tflops"


def check_law(one: OneLaw) -> Iterator[CheckFinding]:
    """A finding for each `tflops` above the peak of the hardware that its run (or else the law) names."""
    for index, entry in enumerate(one.law.evidence):
        message = _message(one, entry) if "tflops" in entry.effect else ""
        if message:
            yield CheckFinding(check="reported-peak", field=f"evidence[{index}].effect.tflops", message=message)


def _message(one: OneLaw, entry: Evidence) -> str:
    hw, problem = _where(one, entry)
    op = one.law.scope.op
    facts = one.nodes.facts(hw)
    peak = facts.get(_PEAK)
    printed = entry.effect["tflops"]
    if not isinstance(peak, int | float) or printed <= peak:
        return ""
    share = useful_share(one.nodes, op, problem)
    above = f"{printed:g} TFLOPS is above the peak of {hw}, {peak:g}"
    if share >= 1:
        return f"{above}, and no counting rule of {op} explains it; find the error, or acknowledge reported-peak"
    useful = printed * share
    counted = f"counting only work that is done (useful rule) it is {useful:.1f}"
    if useful <= peak:
        return f"{above}: only counting masked work (full rule) explains it, {counted}; acknowledge reported-peak"
    clock = facts.get("boost_clock_ghz")
    needed = f", which needs {float(clock) * useful / peak:.2f} GHz" if isinstance(clock, int | float) else ""
    return f"{above}: {counted}, still above{needed}; find the error, or acknowledge reported-peak"


def _where(one: OneLaw, entry: Evidence) -> tuple[str, Mapping[str, Scalar]]:
    """The hardware that ran, and the problem size of the figure."""
    try:
        run = one.run(entry.run)
    except InvalidFilesError:  # reported by the check of verdicts
        return one.law.scope.hw, {}
    sizes = [parse_assignments(text, what="problems") for text in entry.problems]
    return run.hw, sizes[0] if sizes else run.problem


def useful_share(nodes: Nodes, op: str, problem: Mapping[str, Scalar]) -> float:
    """Useful FLOPs divided by full FLOPs of a problem size; 1 where the op does not tell them apart."""
    node = nodes.ops[op]
    if not {"useful", "full"} <= node.flops.keys():
        return 1.0
    values = {name: size.default for name, size in node.problem.items()} | dict(problem)
    try:
        useful, full = (float(parse(node.flops[rule].expression).evaluate(values)) for rule in ("useful", "full"))
    except ExpressionError:  # a problem size of another op
        return 1.0
    return useful / full if full > 0 else 1.0
