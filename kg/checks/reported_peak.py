"""No TFLOPS figure above what the hardware can do stands without the counting rule that explains it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from spak.kg.checks import finding
from spak.kg.errors import InvalidFilesError, Problem
from spak.kg.expression import ExpressionError, parse
from spak.kg.expression.assignment import parse_assignments
from spak.kg.files.loader import Laws
from spak.kg.model.base import Scalar
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.law import Evidence, Law

_PEAK = "fp16_tflops"


def check(laws: Laws) -> Iterator[Problem]:
    """A finding for each `tflops` above the peak of the hardware that its run (or else the law) names."""
    for law in laws.laws.values():
        for index, entry in enumerate(law.evidence):
            message = _message(laws, law, entry) if "tflops" in entry.effect else ""
            if message:
                yield finding(laws, "reported-peak", law.id, f"evidence[{index}].effect.tflops", message)


def _message(laws: Laws, law: Law, entry: Evidence) -> str:
    hw, problem = _where(laws, law, entry)
    facts = hardware_facts(laws, hw)
    peak = facts.get(_PEAK)
    printed = entry.effect["tflops"]
    if not isinstance(peak, int | float) or printed <= peak:
        return ""
    share = useful_share(laws, law.scope.op, problem)
    above = f"{printed:g} TFLOPS is above the peak of {hw}, {peak:g}"
    if share >= 1:
        return (
            f"{above}, and no counting rule of {law.scope.op} explains it; find the error, or acknowledge reported-peak"
        )
    useful = printed * share
    counted = f"counting only work that is done (useful rule) it is {useful:.1f}"
    if useful <= peak:
        return f"{above}: only counting masked work (full rule) explains it, {counted}; acknowledge reported-peak"
    clock = facts.get("boost_clock_ghz")
    needed = f", which needs {float(clock) * useful / peak:.2f} GHz" if isinstance(clock, int | float) else ""
    return f"{above}: {counted}, still above{needed}; find the error, or acknowledge reported-peak"


def _where(laws: Laws, law: Law, entry: Evidence) -> tuple[str, Mapping[str, Scalar]]:
    """The hardware that ran, and the problem size of the figure."""
    try:
        run = laws.run(entry.run)
    except InvalidFilesError:  # reported by the check of verdicts
        return law.scope.hw, {}
    sizes = [parse_assignments(text, what="problems") for text in entry.problems]
    return run.hw, sizes[0] if sizes else run.problem


def useful_share(laws: Laws, op: str, problem: Mapping[str, Scalar]) -> float:
    """Useful FLOPs divided by full FLOPs of a problem size; 1 where the op does not tell them apart."""
    node = laws.ops[op]
    if not {"useful", "full"} <= node.flops.keys():
        return 1.0
    values = {name: size.default for name, size in node.problem.items()} | dict(problem)
    try:
        useful, full = (float(parse(node.flops[rule].expression).evaluate(values)) for rule in ("useful", "full"))
    except ExpressionError:  # a problem size of another op
        return 1.0
    return useful / full if full > 0 else 1.0
