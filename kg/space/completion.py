"""A problem size or a configuration in part, completed and checked by the op that owns its parameters."""

from __future__ import annotations

from spak.kg.errors import KgError
from spak.kg.model.base import Configuration, Problem, Scalar
from spak.kg.model.op import Op


def complete(op: Op, problem: Problem) -> dict[str, Scalar]:
    """Every problem parameter of `op`, in its order: given, else its default.

    Raises:
        KgError: If `problem` has a name the op does not know.
    """
    unknown = sorted(problem.keys() - op.problem.keys())
    if unknown:
        raise KgError(
            f"op {op.id!r} has no problem parameter {', '.join(map(repr, unknown))}; it has {', '.join(op.problem)}"
        )
    return {name: problem.get(name, parameter.default) for name, parameter in op.problem.items()}


def completed(op: Op, configuration: Configuration) -> dict[str, Scalar]:
    """`configuration` with the default of every parameter that it lacks, in the op's order.

    A default leaves a kernel as it was before the parameter, so it is what was compiled or measured where a recorded
    configuration lacks one that came later. A name that the op does not know stays, last.
    """
    return {name: parameter.default for name, parameter in op.parameters.items()} | dict(configuration)
