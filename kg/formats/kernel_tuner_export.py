"""What is known as restrictions for Kernel Tuner: expressions a configuration must satisfy to be tried.

Kernel Tuner's language has parameters and Python operators. So an `avoid` is negated, hardware facts and problem parameters
become numbers, `ceil_div(a, b)` becomes `-(-a // b)`; what is left over is listed with the reason, never dropped silently.
"""

from __future__ import annotations

from collections.abc import Mapping

from spak.kg.errors import KgError
from spak.kg.expression import Expression, parse, tree
from spak.kg.law.conflict import answering
from spak.kg.law.kinds import kind_of, meaning
from spak.kg.law.kinds.base import Power
from spak.kg.law.power import Bearing, SearchPlace, bearing
from spak.kg.law.scope import Question
from spak.kg.model.base import Model, ProblemSize, Scalar
from spak.kg.model.features import COMPILED_FEATURES
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.law import Law
from spak.kg.model.op import Op
from spak.kg.model.recorded import RecordedSize
from spak.kg.model.store import Store

SAYABLE = frozenset({"min", "max", "abs", "ceil_div"})
"""Functions that have a form in Kernel Tuner's language."""


class SourcedRestriction(Model, frozen=True, kw_only=True, omit_defaults=False):
    """One restriction and where it comes from: a law's id, or `condition` of the op."""

    expression: str
    source: str
    because: str


class Unsaid(Model, frozen=True, kw_only=True, omit_defaults=False):
    """A law that is not among the restrictions, and why."""

    law: str
    reason: str


class Export(Model, frozen=True, kw_only=True, omit_defaults=False):
    """Everything `kernel_tuner.tune_kernel` takes: `tune_params` and `restrictions`, with sources, and what is left over."""

    hw: str
    op: str
    problem: dict[str, Scalar]
    tune_params: dict[str, tuple[Scalar, ...]]
    restrictions: tuple[str, ...]
    sources: tuple[SourcedRestriction, ...]
    cannot_say: tuple[Unsaid, ...]
    recorded: tuple[RecordedSize, ...] = ()
    """What was timed there, by problem size: a best configuration to begin with, which no restriction can say."""


class _CannotSayError(Exception):
    """Carries why a claim has no form in Kernel Tuner's language."""


def export(store: Store, hw: str, op: str, problem: ProblemSize, *, toolchain: str = "", soft: bool = False) -> Export:
    """The restrictions for a search of an op on hardware; `soft`: those of laws that may only reorder, too.

    Raises:
        KgError: If the op has no parameters, or one of its conditions cannot be said: the space would be another one.
    """
    node = store.ops[op]
    if not node.parameters:
        raise KgError(f"op {op!r} has no tunable parameters; it only groups others")
    facts = {f"hw.{name}": value for name, value in hardware_facts(store, hw).items()}
    values = {**facts, **problem}
    said = list(_conditions(node, values))
    unsaid = []
    search = SearchPlace(store, hw, toolchain)
    hits, _ = answering(store, Question(hw, op, problem))
    for law, match in sorted(((hit.law, hit.match) for hit in hits), key=lambda pair: pair[0].id):
        if law.status == "withdrawn":
            continue
        try:
            removal = _removal(law, bearing(law, search, match), soft=soft)
            text = _said(removal.negate(), values, node)
        except _CannotSayError as error:
            unsaid.append(Unsaid(law=law.id, reason=str(error)))
        else:
            if text:
                said.append(SourcedRestriction(expression=text, source=law.id, because=law.title))
    return Export(
        hw=hw,
        op=op,
        problem=dict(problem),
        tune_params={name: parameter.values for name, parameter in node.parameters.items()},
        restrictions=tuple(restriction.expression for restriction in said),
        sources=tuple(said),
        cannot_say=tuple(unsaid),
    )


def _conditions(op: Op, values: Mapping[str, Scalar]) -> list[SourcedRestriction]:
    found = []
    for condition in op.conditions:
        try:
            text = _said(parse(condition.require), values, op)
        except _CannotSayError as error:
            raise KgError(f"op {op.id!r}: condition `{condition.require}` cannot be said: {error}") from None
        if text:
            found.append(SourcedRestriction(expression=text, source="condition", because=condition.because))
    return found


def _removal(law: Law, bearing: Bearing, *, soft: bool) -> Expression:
    """What `law` forbids here."""
    removal = meaning(law).removal
    if removal is None:
        raise _CannotSayError(f"a {kind_of(law)} law orders a search; a restriction can only forbid")
    if bearing.power is Power.NOTHING:
        raise _CannotSayError(bearing.reason)
    if not bearing.removes and not soft:
        raise _CannotSayError(f"it may only reorder: {bearing.reason}")
    return removal


def _said(expression: Expression, values: Mapping[str, Scalar], op: Op) -> str:
    """`expression` over parameters alone, in Kernel Tuner's language; empty if it always holds."""
    rest = expression.partial(values)
    if rest is True:
        return ""
    if rest is False:
        raise _CannotSayError("it holds for no configuration at all here")
    foreign = sorted(rest.all_names - op.parameters.keys())
    if foreign:
        compiled = [name for name in foreign if name in COMPILED_FEATURES]
        why = "known only after compiling" if compiled else "no parameter, and no value of it is known"
        raise _CannotSayError(f"{(compiled or foreign)[0]} is {why}")
    return tree.text(_rewritten(rest.root))


def _rewritten(node: tree.Node) -> tree.Node:
    """The same in functions that Kernel Tuner has."""
    parts = [_rewritten(part) for part in tree.children(node)]
    if not isinstance(node, tree.FunctionCall):
        return tree.rebuilt(node, parts)
    if node.function not in SAYABLE:
        raise _CannotSayError(f"{node.function} has no form in Kernel Tuner's language")
    if node.function == "ceil_div":
        return tree.Unary("-", tree.Binary("//", tree.Unary("-", parts[0]), parts[1]))
    return tree.rebuilt(node, parts)
