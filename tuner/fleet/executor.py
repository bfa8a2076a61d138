"""The one interface between a search and the machines that work for it: named work and bytes in, bytes out, by completion.

A piece of work names what is to be done, which every worker knows by itself, and carries its arguments as bytes. No
function travels. Each piece gets exactly one outcome: what came of it, what the worker said against it, or that the worker
which had it is lost. Local processes are one implementation (`spak.tuner.fleet.local`), Dask is the other one.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Protocol

from spak.kg.model.base import Model
from spak.tuner.errors import TunerError

CPU = "cpu"
"""What a piece wants that needs no GPU: a core of a worker that can compile."""


class Piece(Model, frozen=True, kw_only=True):
    """A piece of work.

    Attributes:
        work: What is to be done, a name of `spak.tuner.fleet.workbench.WORKS`.
        data: Its arguments as bytes; that work knows their form, nobody between does.
        wants: Who is to do it: whoever offers the resource `CPU`, or that GPU, by its device id; or one member, by its
            name. A member does one piece at a time.
    """

    work: str
    data: bytes
    wants: str = CPU


class PieceOutcome(Model, frozen=True, kw_only=True):
    """What became of a piece: `data`, or why there is none.

    Attributes:
        data: What the work answered.
        member: Who had it; empty if nobody did.
        error: What the worker said against the piece: bad input or a bug, not a failed configuration, which is data.
        lost: How the member that had the piece ended; nobody else was given it.
        refused: Why this member does no such piece at all, and others might: its kernel or its compiler is another one.
    """

    data: bytes = b""
    member: str = ""
    error: str = ""
    lost: str = ""
    refused: str = ""


class RefusedError(TunerError):
    """A worker does no such piece, while one with the right kernel and compiler might."""


class FleetMember(Model, frozen=True, kw_only=True):
    """A worker process.

    Attributes:
        name: Its own, unlike any other's of the fleet.
        host: Name of its machine; members of one host share a cache.
        resources: What its pieces may want: `CPU`, or a device id.
    """

    name: str
    host: str
    resources: tuple[str, ...]

    @property
    def offers(self) -> tuple[str, ...]:
        """What a piece that it can do may want: its resources, or itself."""
        return (*self.resources, self.name)


class Executor(Protocol):
    """Gives pieces to members. Safe to be used from several threads."""

    def members(self) -> Sequence[FleetMember]:
        """Who is there now, in the order of their names."""
        ...

    def submit(self, piece: Piece) -> Future[PieceOutcome]:
        """Have a piece done; does not wait. The earliest given is the first done among those that want the same.

        The future ends with an outcome, never with an exception; `cancel` works while nobody has the piece.

        Raises:
            TunerError: If the executor is closed, or no member offers what the piece wants.
        """
        ...

    def recall(self, since: datetime) -> None:
        """Go on for a search that began then and was killed: what a member has ended with since is given to nobody.

        Its outcome is that it was lost with that member; unless it was handed out from here, which then knows.
        """
        ...

    def close(self) -> None:
        """Give up whatever is under way: its outcome is that it is lost. Safe to call twice."""
        ...


def answered(outcome: PieceOutcome) -> bytes | None:
    """What the work answered; None if the member that had it is lost.

    Raises:
        TunerError: If the worker refused the piece, whose name it says, or nobody ever had it.
    """
    if outcome.error or outcome.refused:
        raise TunerError(f"fleet: {outcome.member}: {outcome.error or outcome.refused}")
    if outcome.lost and not outcome.member:
        raise TunerError(f"fleet: {outcome.lost}")
    return None if outcome.lost else outcome.data


def check_offered(piece: Piece, members: Sequence[FleetMember]) -> None:
    """Refuse a piece that none of `members` could do.

    Raises:
        TunerError: Says what they offer.
    """
    if not any(piece.wants in member.offers for member in members):
        resources = sorted({name for member in members for name in member.resources})
        raise TunerError(f"no member of the fleet offers {piece.wants}; there is {', '.join(resources) or 'nobody'}")
