"""YAML text of nodes that an import adds or extends."""

from __future__ import annotations

import msgspec

from spak.kg.files import fmt, yaml_reader
from spak.kg.model.hardware import Hardware
from spak.kg.model.op import Op


def yaml_text(node: Hardware | Op) -> str:
    """`node` as a new file.

    Raises:
        FormatError: If it has a value that no file can hold.
    """
    kind = "op" if isinstance(node, Op) else "hardware"
    return fmt.new_text(msgspec.to_builtins(node), kind, f"{node.id}.yaml")


def updated_op(document: yaml_reader.Document, op: Op) -> str:
    """An op's file with the values, problem parameters, conditions and openness of `op`; comments stay.

    Raises:
        FormatError: If it has a value that no file can hold.
    """
    root, known = fmt.tree_of(document), msgspec.convert(document.value, Op)
    for name, parameter in op.parameters.items():
        fmt.put(root, ("parameters", name, "values"), parameter.values, document.path)
    for name, problem in op.problem.items():
        if problem != known.problem.get(name):
            fmt.put(root, ("problem", name), msgspec.to_builtins(problem), document.path)
    if op.conditions != known.conditions:
        fmt.put(root, ("conditions",), msgspec.to_builtins(op.conditions), document.path)
    root.drop("open")
    if op.open:
        fmt.put(root, ("open",), value=True, path=document.path)
    return fmt.text_of(root, "op", document.path)
