"""What a worker does with a piece: finds the work by its name among those it knows, and lets nothing out but an outcome."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from spak.tuner.backend.base import exception_failure
from spak.tuner.errors import TunerError
from spak.tuner.fleet.executor import Piece, PieceOutcome, RefusedError


@dataclass(frozen=True)
class Workplace:
    """Where a worker works.

    Attributes:
        member: Its name in the fleet.
        cache: Folder that keeps what is compiled; the workers of a host share it.
        device: Id of the GPU that it measures on; empty if it has none.
    """

    member: str
    cache: Path
    device: str = ""


class Work(Protocol):
    """One kind of work of one worker process. It may keep what the next piece can use."""

    def perform(self, data: bytes) -> bytes:
        """Do a piece.

        Raises:
            TunerError: For bytes that are no piece of this work, or one that this worker must refuse.
        """
        ...

    def close(self) -> None:
        """Release what it kept; safe to call twice."""
        ...


WORKS: Mapping[str, str] = {
    "describe": "spak.tuner.fleet.works:DescribeWork",
    "features": "spak.tuner.fleet.works:FeaturesWork",
    "compile": "spak.tuner.fleet.works:CompileWork",
    "measure": "spak.tuner.fleet.works:MeasureWork",
}
"""Name of a work -> `module:function` that takes a `Workplace` and makes it. A worker does these, whoever asks."""


class Workbench:
    """The works of one worker process; each is made when first asked for."""

    def __init__(self, place: Workplace, works: Mapping[str, str] = WORKS) -> None:
        """Know `works`; load none yet."""
        self._place, self._known = place, works
        self._made: dict[str, Work] = {}

    def perform(self, piece: Piece) -> PieceOutcome:
        """Do a piece; whatever it raises is said in the outcome."""
        try:
            return PieceOutcome(data=self._work(piece.work).perform(piece.data), member=self._place.member)
        except Exception as error:  # noqa: BLE001 - the worker outlives it, and who asked is told
            failure = exception_failure(error)
            said = failure.message if isinstance(error, TunerError) else f"{failure.type}: {failure.message}"
            if isinstance(error, RefusedError):
                return PieceOutcome(refused=f"{piece.work}: {said}", member=self._place.member)
            return PieceOutcome(error=f"{piece.work}: {said}", member=self._place.member)

    def close(self) -> None:
        """Release what the works kept; safe to call twice."""
        while self._made:
            self._made.popitem()[1].close()

    def _work(self, name: str) -> Work:
        if name not in self._made:
            if name not in self._known:
                raise TunerError(f"this worker knows no such work; it knows {', '.join(sorted(self._known)) or 'none'}")
            maker: Callable[[Workplace], Work] = pkgutil.resolve_name(self._known[name])
            self._made[name] = maker(self._place)
        return self._made[name]
