"""Hardware and op nodes for imported results: those the law root knows, else new ones that claim nothing they were not told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from spak.kg.errors import KgError, UnknownNameError
from spak.kg.expression import ExpressionError, parse
from spak.kg.expression.assignment import check_names, show_assignments
from spak.kg.formats.recording import Parameters, Recording
from spak.kg.formats.t1 import SearchSpace
from spak.kg.model.base import Scalar, canonical
from spak.kg.model.hardware import Hardware, HardwareKind
from spak.kg.model.op import Condition, Op, Parameter, ProblemParameter
from spak.kg.model.taxonomy import Taxonomy
from spak.kg.space.completion import complete

_TYPES: tuple[tuple[Literal["int", "float", "bool", "str"], frozenset[type]], ...] = (
    ("bool", frozenset({bool})),
    ("int", frozenset({int})),
    ("float", frozenset({int, float})),
    ("str", frozenset({str})),
)


@dataclass(frozen=True)
class HardwareName:
    """How a person names hardware; `arch` and `vendor` may be empty."""

    hw: str
    arch: str = ""
    vendor: str = ""


def identifier(name: str) -> str:
    """`name` as an id: lower case, everything else than letters, digits, `_`, `.`, `-` turned into `-`.

    Raises:
        KgError: If nothing is left of it.
    """
    found = re.sub(r"[^a-z0-9_.-]+", "-", name.strip().lower()).strip("-_.")[:100]
    if not found:
        raise KgError(f"{name!r} makes no id; use letters and digits")
    return found


def hardware_nodes(known: Mapping[str, Hardware], name: HardwareName) -> tuple[str, list[Hardware]]:
    """The id of the hardware and the nodes that must be added for it, ancestors first.

    Raises:
        KgError: If `arch` or `vendor` contradict what is known, or a name makes no id.
    """
    nodes = dict(known)
    vendor = _node(nodes, name.vendor, "vendor", "")
    arch = _node(nodes, name.arch, "architecture", vendor)
    hw = _node(nodes, name.hw, "device", arch or vendor)
    return hw, [node for found, node in nodes.items() if found not in known]


def _node(nodes: dict[str, Hardware], name: str, kind: HardwareKind, parent: str) -> str:
    """Id of the node `name`, added below `parent` if it is new; empty for an empty name."""
    if not name:
        return ""
    tree = Taxonomy("hardware", nodes)
    try:
        found = tree.resolve(name)
    except UnknownNameError:
        node = Hardware(id=identifier(name), title=name.strip(), kind=kind, is_a=(parent,) if parent else ())
        nodes[node.id] = node
        return node.id
    if parent and parent not in tree.ancestors(found):
        raise KgError(
            f"{name} is known and is no {parent} (it is {' -> '.join(tree.ancestors(found))}); leave that out"
        )
    return found


def op_node(
    known: Mapping[str, Op], asked: str | Op, recording: Recording, space: SearchSpace | None
) -> tuple[Op, bool]:
    """The op of a recording, and whether its file must be written.

    An op of one's own, which `asked` may be, is written as it is.

    The rule for values: an op made from a T1 file, or written by hand, is closed, and a result outside it is refused.
    An op made from results alone is open: its values are the union of all imports.

    Raises:
        KgError: If the parameters do not match, or a result lies outside a closed space.
    """
    name = asked.id if isinstance(asked, Op) else asked
    if space is not None:
        _check_parameters(name, space.parameters, recording.parameters, "the T1 file")
    is_new = False
    try:
        op = known[Taxonomy("op", known).resolve(name)]
    except UnknownNameError:
        op, is_new = (asked if isinstance(asked, Op) else _new(name, recording, space)), True
        check_names(op.is_a, known, kind="op")
    if isinstance(asked, Op) and op != asked:
        raise KgError(f"op {name!r}: the law root has another of that name; call yours something else")
    if not op.parameters:
        raise KgError(f"op {op.id!r} has no tunable parameters; it only groups others: name one of them, or a new op")
    _check_parameters(op.id, {n: p.values for n, p in op.parameters.items()}, recording.parameters, f"op {op.id!r}")
    changed = _grown(op, recording, space) if op.open else op
    if space is not None and not op.open:
        _check_same_space(op, space)
    unknown = sorted(_problem_columns(recording).keys() - changed.problem.keys())
    if unknown:
        raise KgError(
            f"op {op.id!r} has no problem parameter {', '.join(unknown)}; say it with --problem in its own terms"
        )
    _check_inside(changed, recording)
    return changed, is_new or changed != op


def _new(name: str, recording: Recording, space: SearchSpace | None) -> Op:
    values = space.parameters if space else recording.parameters
    first = recording.trials[0].configuration
    defaults = {**first, **(space.defaults if space else {})}
    return Op(
        id=identifier(name),
        title=f"{name} (imported)",
        parameters={
            parameter: Parameter(
                values=tuple(column),
                default=defaults[parameter] if defaults[parameter] in column else column[0],
                role="variant",
                description="imported; its meaning is not recorded",
            )
            for parameter, column in values.items()
        },
        problem=_problem_parameters(recording),
        conditions=_conditions(space.conditions) if space else (),
        open=space is None,
    )


def _problem_columns(recording: Recording) -> dict[str, tuple[Scalar, ...]]:
    """Problem parameter -> its values, in the order in which they occur."""
    sizes = [trial.problem or recording.problem for trial in recording.trials]
    names = dict.fromkeys(name for size in sizes for name in size)
    return {name: tuple(dict.fromkeys(size[name] for size in sizes if name in size)) for name in names}


def _problem_parameters(recording: Recording) -> dict[str, ProblemParameter]:
    return {
        name: ProblemParameter(
            type=_type_name(name, values), default=values[0], description="imported; as the file states it"
        )
        for name, values in _problem_columns(recording).items()
    }


def _type_name(name: str, values: Sequence[Scalar]) -> Literal["int", "float", "bool", "str"]:
    types = {type(value) for value in values}
    found = next((text for text, accepted in _TYPES if types <= accepted), None)
    if found is None:
        raise KgError(f"problem parameter {name} mixes kinds of values: {', '.join(map(repr, values))}")
    return found


def _conditions(texts: Sequence[str]) -> tuple[Condition, ...]:
    found = []
    for text in texts:
        try:
            found.append(Condition(require=parse(text).text, because="condition of the imported T1 search space"))
        except ExpressionError as error:
            raise KgError(f"T1 condition {text!r}: {error}") from None
    return tuple(found)


def _check_parameters(name: str, ours: Parameters, theirs: Parameters, what: str) -> None:
    missing, extra = sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())
    if not missing and not extra:
        return
    parts = [f"lack {', '.join(missing)}"] if missing else []
    parts += [f"have {', '.join(extra)}, which it has not"] if extra else []
    raise KgError(f"--op {name}: the results do not match the parameters of {what}: they {' and '.join(parts)}")


def _grown(op: Op, recording: Recording, space: SearchSpace | None) -> Op:
    """An open op with the values of another import; a T1 file closes it."""
    parameters = {}
    for name, parameter in op.parameters.items():
        values = space.parameters[name] if space else canonical((*parameter.values, *recording.parameters[name]))
        left_out = [value for value in parameter.values if value not in values]
        if left_out:
            raise KgError(f"op {op.id!r}: the T1 file leaves out {name}={left_out[0]!r}, which an earlier import holds")
        parameters[name] = msgspec.structs.replace(parameter, values=values)
    return msgspec.structs.replace(
        op,
        parameters=parameters,
        problem={**_problem_parameters(recording), **op.problem},
        conditions=_conditions(space.conditions) if space else op.conditions,
        open=space is None,
    )


def _check_same_space(op: Op, space: SearchSpace) -> None:
    for name, parameter in op.parameters.items():
        if set(parameter.values) != set(space.parameters[name]):
            raise KgError(f"op {op.id!r} has other values of {name} than the T1 file; import under another --op")


def _check_inside(op: Op, recording: Recording) -> None:
    """Results must lie in the op's space; those marked as breaking its conditions may break them."""
    for size in {
        show_assignments(one): one for one in [t.problem or recording.problem for t in recording.trials]
    }.values():
        complete(op, size)
    for name, parameter in op.parameters.items():
        allowed = frozenset(parameter.values)
        outside = [trial for trial in recording.trials if trial.configuration[name] not in allowed]
        if outside:
            raise KgError(
                f"{len(outside)} results lie outside the space of op {op.id!r}: the first has "
                f"{name}={outside[0].configuration[name]!r}, and {name} is one of {', '.join(map(repr, parameter.values))}"
            )
    for condition in op.conditions:
        _check_condition(op, condition, recording)


def _check_condition(op: Op, condition: Condition, recording: Recording) -> None:
    expression = parse(condition.require)
    if not expression.all_names <= op.parameters.keys() | op.problem.keys():
        return  # needs facts of the hardware, which the importer does not judge
    problem = {name: parameter.default for name, parameter in op.problem.items()} | dict(recording.problem)
    broken = [
        trial
        for trial in recording.trials
        if trial.invalidity != "constraints"
        and not expression.holds({**problem, **trial.problem, **trial.configuration})
    ]
    if broken:
        shown = ", ".join(f"{name}={value}" for name, value in broken[0].configuration.items())
        raise KgError(
            f"{len(broken)} results lie outside the space of op {op.id!r}: they break `{condition.require}`, the first at {shown}"
        )
