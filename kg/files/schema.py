"""JSON Schemas of the file models, for editors and for listing every error of a file that the fast path refused."""

from __future__ import annotations

from functools import cache
from typing import Any, get_args

import msgspec

from spak.kg.model.hardware import Hardware
from spak.kg.model.law import Law
from spak.kg.model.op import Op
from spak.kg.model.run import Run
from spak.kg.model.system import System

MODELS: dict[str, Any] = {"law": Law, "hardware": Hardware, "op": Op, "system": System, "run": Run}
"""Kind of file -> its model."""

LAW_KINDS: dict[str, Any] = {law.__struct_config__.tag: law for law in get_args(Law)}
"""`kind` of a law file -> its model."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(kind: str) -> dict[str, Any]:
    """The published schema of `law`, `hardware`, `op`, `system` or `run` files."""
    return {"$schema": _DIALECT, "title": f"{kind} file", **msgspec.json.schema(MODELS[kind])}


def schema_text(kind: str) -> str:
    """`schema` as the committed file has it."""
    return msgspec.json.format(msgspec.json.encode(schema(kind)), indent=2).decode() + "\n"


def file_name(kind: str) -> str:
    """Name of the committed file under `laws/schema/`."""
    return f"{kind}.schema.json"


@cache
def law_schema(law_kind: str) -> dict[str, Any]:
    """The schema of one kind of law: a union's errors name every branch, those of one kind name what is wrong."""
    return msgspec.json.schema(LAW_KINDS[law_kind])


@cache
def file_schema(kind: str) -> dict[str, Any]:
    """The schema of a whole kind of file, without the heading."""
    return msgspec.json.schema(MODELS[kind])
