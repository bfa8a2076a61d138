"""JSON Schemas of the file models, for editors and for listing every error of a file that the fast path refused."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import msgspec

from spak.kg.files.claim_schema import narrow_claims
from spak.kg.law.kinds import KINDS, AnyLaw
from spak.kg.model import run as recorded
from spak.kg.model.hardware import Hardware
from spak.kg.model.op import Op
from spak.kg.model.system import System


class Candidate(recorded.Candidate, frozen=True, kw_only=True):  # noqa: D101 - the same, its law of any kind
    __doc__ = recorded.Candidate.__doc__
    law: AnyLaw


class Run(recorded.Run, frozen=True, kw_only=True):  # noqa: D101 - the same, with such candidates
    __doc__ = recorded.Run.__doc__
    suggested: tuple[Candidate, ...] = ()


_T = TypeVar("_T", bound=msgspec.Struct)

MODELS: dict[str, Any] = {"law": AnyLaw, "hardware": Hardware, "op": Op, "system": System, "run": Run}
"""Kind of file -> its model."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(kind: str) -> dict[str, Any]:
    """The published schema of `law`, `hardware`, `op`, `system` or `run` files."""
    document = {"$schema": _DIALECT, "title": f"{kind} file", **msgspec.json.schema(MODELS[kind])}
    if kind in {"law", "run"}:
        narrow_claims(document)
    return document


def schema_text(kind: str) -> str:
    """`schema` as the committed file has it."""
    return msgspec.json.format(msgspec.json.encode(schema(kind)), indent=2).decode() + "\n"


def file_name(kind: str) -> str:
    """Name of the committed file under `laws/schema/`."""
    return f"{kind}.schema.json"


def decode_run(data: bytes) -> recorded.Run:
    """The run that `data` holds, its candidates laws of any kind.

    Raises:
        msgspec.DecodeError: If it is none.
    """
    found = msgspec.json.decode(data, type=Run)
    return _plain(recorded.Run, found, suggested=tuple(_plain(recorded.Candidate, one) for one in found.suggested))


def _plain(model: type[_T], found: _T, **changed: object) -> _T:
    """`found` as an instance of `model`, not of what narrows it: two structs are equal only if their types are."""
    return model(**{name: getattr(found, name) for name in found.__struct_fields__} | changed)


@cache
def model_schema(kind: str, law_kind: str = "") -> dict[str, Any]:
    """The schema of a kind of file without the heading; of one kind of law, as a union's errors name every branch."""
    return msgspec.json.schema(KINDS[law_kind].model if law_kind else MODELS[kind])
