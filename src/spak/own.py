"""A kernel of one's own: the space, how to launch it and what is right, declared once, in a file that `tune` is given."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from spak.kernels.interface import Problem
from spak.kernels.own.declared import Arrays, DeclaredSpec, Launching, OutputCheck, Runs
from spak.kernels.own.file import sources_from
from spak.kg.errors import KgError
from spak.kg.expression import parse
from spak.kg.expression.assignment import check_names
from spak.kg.model.base import Configuration, ProblemSize, Scalar
from spak.kg.model.op import Formula, Op
from spak.kg.space.completion import complete, completed
from spak.tunable import op


@dataclass(frozen=True)
class KernelSpace:
    """What of a kernel is searched, and for which problem sizes.

    Attributes:
        tune: Parameter -> every value that a search may try; the untuned kernel has the first, or that of `defaults`.
        problem: Problem parameter -> its usual value.
        problems: Name of a problem size -> what of it is not usual. A law is confirmed at sizes that it was not found at,
            so three or more are worth naming.
        restrictions: Expressions that every configuration satisfies, in the language of laws (`tile >= cols`).
        defaults: Parameter -> its value in the untuned kernel, where that is not the first.
        tiles: Parameters that are tile sizes: laws are looked for in their products too.
        specialises: Problem parameters that are compiled in; a law says at which of their values it was seen.
        is_a: Ops of the law root that it is a kind of; it inherits their laws, as far as they name its parameters.
        flops: Expression over problem parameters, as is `bytes`: without both nothing is predicted.
        bytes: Least traffic to device memory.
    """

    tune: Mapping[str, Sequence[Scalar]]
    problem: ProblemSize
    problems: Mapping[str, ProblemSize]
    restrictions: Sequence[str] = ()
    defaults: Configuration | None = None
    tiles: Sequence[str] = ()
    specialises: Sequence[str] = ()
    is_a: Sequence[str] = ()
    flops: str = ""
    bytes: str = ""


@dataclass(frozen=True, kw_only=True)
class OwnKernel(DeclaredSpec):
    """What `kernel` declares: `tune FILE` searches it.

    Attributes:
        node: Its op, of which `tune` writes `laws/ops/<id>.yaml`; the file owns it.
    """

    node: Op


def kernel(
    name: str,
    space: KernelSpace,
    *,
    arrays: Callable[[Problem], Arrays],
    launch: Launching | Runs,
    check: OutputCheck,
) -> OwnKernel:
    """Declare a kernel of one's own.

    Args:
        name: What it is called: an id, and of no op of the law root.
        space: What is searched.
        arrays: Problem -> inputs and outputs by name.
        launch: (problem, configuration, multiprocessors of the device) -> a `KernelLaunch` of a cuTile or Triton kernel, or
            several in order; or `Runs`, with a callable that launches by itself.
        check: What is right.

    Raises:
        KgError: If something contradicts something else; names it.
        ValueError: What `launch` raises at the usual problem and the default configuration, where it has to work.
    """
    caller = sys._getframe(1)  # noqa: SLF001 - the place of the declaration, for messages about it
    path = Path(caller.f_code.co_filename)
    node = _node(space, name, path.name)
    problem = complete(node, {})
    known = arrays(problem)
    for output in check.outputs:
        if output not in known:
            raise KgError(f"check: the output {output!r} is none of the arrays {', '.join(known)}")
    if bool(space.flops) != bool(space.bytes):
        raise KgError("space: give both flops and bytes, or neither")
    if check.small is not None:
        complete(node, check.small)
    found = OwnKernel(
        op=node.id,
        arrays=arrays,
        check=check,
        default=(problem, completed(node, {})),
        launching=None if isinstance(launch, Runs) else launch,
        running=launch.function if isinstance(launch, Runs) else None,
        counts=partial(_counts, space) if space.flops else None,
        place=f"{path}:{caller.f_lineno}:1",
        files=sources_from(path.resolve(), caller.f_globals),
        node=node,
    )
    for one in found.launches(*found.default):
        one.named(known)
    return found


def _node(space: KernelSpace, name: str, file: str) -> Op:
    """The op called `name`, declared in `file`.

    Raises:
        KgError: If a name, a value or an expression is wrong; names it.
    """
    made = op(
        name,
        space.tune,
        restrictions=space.restrictions,
        defaults=space.defaults,
        problem=space.problem,
        is_a=space.is_a,
    )
    check_names(space.tiles, space.tune, kind="parameter")
    check_names(space.specialises, space.problem, kind="problem parameter")
    for size in space.problems.values():
        complete(made, size)
    change = msgspec.structs.replace
    return change(
        made,
        parameters={
            key: change(one, role="tile") if key in space.tiles else one for key, one in made.parameters.items()
        },
        problem={key: change(one, specialises=key in space.specialises) for key, one in made.problem.items()},
        problems={key: dict(size) for key, size in space.problems.items()},
        flops={"useful": _formula(space, "flops")} if space.flops else {},
        bytes=_formula(space, "bytes") if space.bytes else None,
        declared_in=file,
    )


def _formula(space: KernelSpace, name: str) -> Formula:
    text: str = getattr(space, name)
    check_names(parse(text).all_names, space.problem, kind="problem parameter")
    return Formula(expression=text, rule="as its file declares")


def _counts(space: KernelSpace, problem: Problem) -> tuple[float, float]:
    """FLOPs and bytes at one problem size."""
    return float(parse(space.flops).evaluate(problem)), float(parse(space.bytes).evaluate(problem))
