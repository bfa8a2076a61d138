"""GPUs that join a fleet in the middle of a search, or are there again: described and opened while the others measure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import Future

from spak.tuner.errors import TunerError
from spak.tuner.fleet.executor import CPU, Executor, FleetMember, Piece, PieceOutcome, answered
from spak.tuner.fleet.orders import DescribeOrder, MemberDescription, decoded, encoded

_Asked = tuple[str, "Future[PieceOutcome]"]
"""The work that a member was asked to do, and what came of it."""


MOST_LOSSES = 3
"""Times that a member may be lost before it has measured anything; then opening its GPU is what ends it."""


class Newcomers:
    """Who has joined since a search was opened. Whatever is wrong with one, the search goes on without it.

    Attributes:
        refused: Member -> why it measures nothing for this search.
    """

    def __init__(
        self, executor: Executor, op: str, fits: Callable[[FleetMember, MemberDescription], bool], opening: bytes
    ) -> None:
        """Look for GPUs.

        Args:
            executor: The fleet.
            op: Whose kernel is searched.
            fits: Whether a member's GPU may measure; raises `TunerError` for one that is of another make.
            opening: A piece of the work `measure` that opens a GPU.
        """
        self._executor, self._op, self._fits, self._opening = executor, op, fits, opening
        self.refused: dict[str, str] = {}
        self._asked: dict[str, _Asked] = {}
        self._unfit: set[str] = set()
        self._losses: Counter[str] = Counter()

    def ready(self, having: Collection[str]) -> list[str]:
        """Ids of GPUs that are there, open and fit to measure, without those in `having`; does not wait for one."""
        found = []
        for member in self._executor.members():
            device = next((name for name in member.resources if name != CPU), "")
            if device in having:
                self._asked.pop(member.name, None)
            elif device and member.name not in self._unfit and self._is_open(member, device):
                found.append(device)
        return found

    def _is_open(self, member: FleetMember, device: str) -> bool:
        """Whether a GPU is open; else it is asked for what comes next, unless that is under way."""
        try:
            work, outcome = self._asked.get(member.name) or self._ask(member, "describe", member.name)
            data = answered(outcome.result()) if outcome.done() else None
            if data is None:
                if outcome.done():
                    self._lost(member, work)
                return False
            if work == "describe":
                if self._fits(member, decoded(data, MemberDescription)):
                    self._ask(member, "measure", device)
                else:
                    self._unfit.add(member.name)
                return False
        except TunerError as error:
            self._refuse(member, str(error))
            return False
        return True

    def _lost(self, member: FleetMember, work: str) -> None:
        """It may have been told to end, or have lost its cable: it is asked anew, but not for ever."""
        del self._asked[member.name]
        self._losses[member.name] += 1
        if self._losses[member.name] == MOST_LOSSES:
            self._refuse(
                member, f"fleet: {member.name}: it was lost {MOST_LOSSES} times, the last when asked to {work}"
            )

    def _refuse(self, member: FleetMember, why: str) -> None:
        self.refused[member.name] = why
        self._unfit.add(member.name)

    def _ask(self, member: FleetMember, work: str, wants: str) -> _Asked:
        data = encoded(DescribeOrder(op=self._op)) if work == "describe" else self._opening
        self._asked[member.name] = work, self._executor.submit(Piece(work=work, data=data, wants=wants))
        return self._asked[member.name]
