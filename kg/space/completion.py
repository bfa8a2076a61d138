"""A problem size or a configuration in part, completed and checked by the op that owns its parameters."""

from __future__ import annotations

from collections.abc import Iterable
from operator import gt, lt

from spak.kg.errors import KgError, UnknownNameError
from spak.kg.expression import parse
from spak.kg.expression.assignment import parse_assignments, show_assignments, show_scalar
from spak.kg.model.base import IMPLIED, Configuration, ProblemSize, Scalar
from spak.kg.model.op import PROBLEM_TYPES, Op, ProblemParameter
from spak.kg.model.taxonomy import alike


def complete(op: Op, problem: ProblemSize) -> dict[str, Scalar]:
    """Every problem parameter of `op`, in its order: given, else its default.

    Raises:
        KgError: If `problem` has a name the op does not know, or is beyond the op's limits.
    """
    unknown = sorted(problem.keys() - op.problem.keys())
    if unknown:
        raise KgError(
            f"op {op.id!r} has no problem parameter {', '.join(map(repr, unknown))}; it has {', '.join(op.problem)}"
        )
    for name, value in problem.items():
        _check_value(f"op {op.id!r}: {name}", op.problem[name], value)
    whole = {name: problem.get(name, parameter.default) for name, parameter in op.problem.items()}
    for limit in op.limits:
        required = parse(limit.require)
        if not required.holds(whole):
            given = show_assignments({name: whole[name] for name in op.problem if name in required.all_names})
            raise KgError(f"op {op.id!r}: {limit.require} does not hold at {given}: {limit.because}")
    return whole


def stated(ops: Iterable[Op], text: str, *, what: str = "--problem") -> dict[str, Scalar]:
    """The problem size that `text` means: the name of a size of one of `ops`, whole but for `IMPLIED`, or `name=value,...`.

    After a name and a comma, assignments change the size: `d64-s1024-causal,inputs=sink`.

    Raises:
        UnknownNameError: If no op has a size of that name; carries the nearest.
        KgError: If it is neither a name nor assignments.
    """
    name, _, changes = text.partition(",")
    if not text or "=" in name:
        return parse_assignments(text, what=what)
    return _named(ops, name.strip()) | parse_assignments(changes, what=what)


def _named(ops: Iterable[Op], text: str) -> dict[str, Scalar]:
    """The size called `text`."""
    sizes: dict[str, tuple[Op, ProblemSize]] = {}
    for op in ops:
        for name, size in op.problems.items():
            sizes.setdefault(name, (op, size))
    if text not in sizes:
        raise UnknownNameError("problem size", text, alike(text, sizes))
    whole = complete(*sizes[text])
    return {name: value for name, value in whole.items() if name not in IMPLIED or name in sizes[text][1]}


def check_configuration(ops: Iterable[Op], configuration: Configuration) -> None:
    """Check that each value is one that its parameter has in one of `ops`; of an open op any value may be.

    Raises:
        KgError: At the first that is none; names those there are.
    """
    known = list(ops)
    for name, value in configuration.items():
        owners = [op for op in known if name in op.parameters]
        values = dict.fromkeys(value for op in owners for value in op.parameters[name].values)
        if owners and value not in values and not any(op.open for op in owners):
            of = " or ".join(repr(op.id) for op in owners)
            raise KgError(
                f"{show_assignments({name: value})}: {name} of op {of} is one of {', '.join(map(show_scalar, values))}"
            )


def check_problem(ops: Iterable[Op], problem: ProblemSize) -> None:
    """Check that each value is one that its problem parameter may have in one of `ops`.

    Raises:
        KgError: At the first that is none.
    """
    known = list(ops)
    for name, value in problem.items():
        refused: KgError | None = None
        for op in known:
            if name not in op.problem:
                continue
            try:
                _check_value(f"op {op.id!r}: {name}", op.problem[name], value)
            except KgError as error:
                refused = refused or error
            else:
                break
        else:
            if refused:
                raise refused


def _check_value(what: str, parameter: ProblemParameter, value: Scalar) -> None:
    if type(value) not in PROBLEM_TYPES[parameter.type]:
        raise KgError(f"{what} is of type {parameter.type} (got {value!r})")
    if parameter.values and value not in parameter.values:
        raise KgError(f"{what} is one of {', '.join(map(str, parameter.values))} (got {value!r})")
    for bound, words, beyond in ((parameter.minimum, "at least", lt), (parameter.maximum, "at most", gt)):
        if bound is not None and isinstance(value, int | float) and beyond(value, bound):
            raise KgError(f"{what} is {words} {bound:g} (got {value})")


def completed(op: Op, configuration: Configuration) -> dict[str, Scalar]:
    """`configuration` with the default of every parameter that it lacks, in the op's order.

    A default leaves a kernel as it was before the parameter, so it is what was compiled or measured where a recorded
    configuration lacks one that came later. A name that the op does not know stays, last.
    """
    return {name: parameter.default for name, parameter in op.parameters.items()} | dict(configuration)
