"""Keeps what Dask would unpickle from ever being unpickled: a peer of a fleet sends data, and nothing that runs.

Dask's messages are msgpack, but may hold pickles, which its servers read without asking; it has no setting against that.
Every place where a module of `distributed` can read one is replaced by a refusal: in the processes of a fleet for good, in
the process of a search for the thread that talks to the fleet, so that other uses of Dask there are as they were.
"""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

READERS = ("loads", "load", "Unpickler")
"""What reads pickles, by the names that `pickle` and `cloudpickle` give it."""


class PickleRefusedError(pickle.UnpicklingError):
    """A peer of a fleet sent a pickle."""

    def __init__(self, *_: object) -> None:
        """Say what a peer may send."""
        super().__init__("a fleet reads no pickles: named work and bytes travel, never code")


class _Refusing:
    """Who reads no pickles: all threads of this process, or some."""

    def __init__(self) -> None:
        self.everywhere = False
        self.threads: set[int] = set()
        self.installed = False

    def now(self) -> bool:
        return self.everywhere or threading.get_ident() in self.threads


_refusing = _Refusing()


def refuse_pickles() -> None:
    """From now on no module of `distributed` reads a pickle in this process."""
    _install()
    _refusing.everywhere = True


def refuse_pickles_here() -> None:
    """From now on no module of `distributed` reads a pickle in this thread."""
    _install()
    _refusing.threads.add(threading.get_ident())


def accept_pickles_here() -> None:
    """End `refuse_pickles_here`: threads' numbers are used again."""
    _refusing.threads.discard(threading.get_ident())


def _install() -> None:
    """Replace every reader of pickles that a module of `distributed` can reach by its own names."""
    if _refusing.installed:
        return
    import cloudpickle
    import distributed.client
    import distributed.scheduler
    import distributed.worker  # noqa: F401 - all that reads pickles is to be there
    from distributed.protocol import pickle as protocol

    readers = [
        vars(module)[name] for module in (pickle, cloudpickle, protocol) for name in READERS if name in vars(module)
    ]
    instead: dict[int, object] = {id(reader): _guarded(reader) for reader in readers}
    instead |= {id(module): _without_readers(module) for module in (pickle, cloudpickle)}
    for module in [one for name, one in sys.modules.items() if name.partition(".")[0] == "distributed"]:
        for name, value in list(vars(module).items()):
            if id(value) in instead:
                setattr(module, name, instead[id(value)])
    _refusing.installed = True


def _without_readers(module: ModuleType) -> ModuleType:
    """A copy of a module whose readers refuse."""
    copy = ModuleType(module.__name__, module.__doc__)
    vars(copy).update(vars(module))
    vars(copy).update({name: _guarded(vars(module)[name]) for name in READERS if name in vars(module)})
    return copy


def _guarded(reader: Callable[..., Any]) -> Callable[..., Any]:
    def read(*arguments: Any, **named: Any) -> Any:
        if _refusing.now():
            raise PickleRefusedError
        return reader(*arguments, **named)

    return read
