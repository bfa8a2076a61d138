"""Everything read from a law root, as the loader makes it and a cache keeps it."""

from __future__ import annotations

from spak.kg.law.kinds import AnyLaw
from spak.kg.model.base import Model
from spak.kg.model.hardware import Hardware
from spak.kg.model.op import Op
from spak.kg.model.system import System


class Contents(Model, frozen=True, kw_only=True):
    """The files of a law root by kind and id.

    Attributes:
        files: `law`, `hardware`, `op`, `system`, `run` -> id -> path relative to the root.
    """

    laws: dict[str, AnyLaw]
    hardware: dict[str, Hardware]
    ops: dict[str, Op]
    systems: dict[str, System]
    files: dict[str, dict[str, str]]
