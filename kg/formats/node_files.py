"""YAML text of nodes that an import adds or extends."""

from __future__ import annotations

from io import StringIO
from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from spak.kg.model.hardware import Hardware
from spak.kg.model.op import Op

_WIDTH = 120


def yaml_text(node: Hardware | Op) -> str:
    """`node` as a new file: keys in the model's order, lists of values on one line."""
    return _dumped(_commented(msgspec.to_builtins(node)))


def updated_op(text: str, op: Op) -> str:
    """An op's file with the values, problem parameters, conditions and openness of `op`; comments and order stay."""
    document = _yaml().load(text)
    new = msgspec.to_builtins(op)
    for name, parameter in new["parameters"].items():
        document["parameters"][name]["values"] = _commented(parameter["values"])
    for key in ("problem", "conditions"):
        if key in new:
            document[key] = _commented(new[key])
    if op.open:
        document["open"] = True
    else:
        document.pop("open", None)
    return _dumped(document)


def _yaml() -> YAML:
    yaml = YAML()
    yaml.width = _WIDTH
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _dumped(document: Any) -> str:
    out = StringIO()
    _yaml().dump(document, out)
    return out.getvalue()


def _commented(value: Any) -> Any:
    if isinstance(value, dict):
        return CommentedMap((key, _commented(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        found = CommentedSeq(_commented(item) for item in value)
        if all(not isinstance(item, dict | list) for item in value):
            found.fa.set_flow_style()
        return found
    return value
