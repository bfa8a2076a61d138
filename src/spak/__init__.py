"""spak: a knowledge graph of GPU hardware laws, and a kernel tuner that obeys, tests and extends them.

`load` gives a `Library`, which answers; `docs/python.md` shows how. What is in `__all__` is public and stays; every
other module is how it is made. A name is imported when it is first used, so `import spak` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spak.kg.answers.explain import Explanation as Explanation
    from spak.kg.answers.lineage import Step as Step
    from spak.kg.answers.query import Answer as Answer
    from spak.kg.answers.query import Hit as Hit
    from spak.kg.answers.why import Account as Account
    from spak.kg.answers.why import Opinion as Opinion
    from spak.kg.diff.report import Difference as Difference
    from spak.kg.errors import InvalidFilesError as InvalidFilesError
    from spak.kg.errors import KgError as KgError
    from spak.kg.errors import Problem as Problem
    from spak.kg.errors import UnknownNameError as UnknownNameError
    from spak.kg.model.law import Law as Law
    from spak.kg.model.op import Op as Op
    from spak.library import Library as Library
    from spak.library import diff as diff
    from spak.library import load as load
    from spak.tuner.errors import TunerError as TunerError

__all__ = [
    "Account",
    "Answer",
    "Difference",
    "Explanation",
    "Hit",
    "InvalidFilesError",
    "KgError",
    "Law",
    "Library",
    "Op",
    "Opinion",
    "Problem",
    "Step",
    "TunerError",
    "UnknownNameError",
    "diff",
    "load",
]

_HOMES = {
    "spak.kg.answers.explain": ("Explanation",),
    "spak.kg.answers.lineage": ("Step",),
    "spak.kg.answers.query": ("Answer", "Hit"),
    "spak.kg.answers.why": ("Account", "Opinion"),
    "spak.kg.diff.report": ("Difference",),
    "spak.kg.errors": ("InvalidFilesError", "KgError", "Problem", "UnknownNameError"),
    "spak.kg.model.law": ("Law",),
    "spak.kg.model.op": ("Op",),
    "spak.library": ("Library", "diff", "load"),
    "spak.tuner.errors": ("TunerError",),
}
"""Module -> public names that it holds."""

_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """The public name, from its module."""
    if name not in _HOME:
        raise AttributeError(f"module 'spak' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    """The public names."""
    return __all__
