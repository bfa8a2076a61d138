"""Runs a kernel's cuTile IR over many blocks at once: control flow here, operations in their own modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spak.kernels.sim.errors import SimulatorError, at, place, unsupported
from spak.kernels.sim.frame import Frame, Lanes, Outcome, merge_values, take
from spak.kernels.sim.memory import Memory
from spak.kernels.sim.watch import Watch

MAX_SPINS = 200_000
"""Turns of a loop without a bound before a kernel counts as hung; blocks that run one after another cannot wait for a later one."""


@dataclass
class Machine:
    """One launch: its memory, its grid, and the ids of the blocks that run now.

    Attributes:
        block_ids: (count, 3), of the frame at the top.
        used: Names of the variables that some operation reads.
        watch: What the launch is held to.
    """

    memory: Memory
    grid: tuple[int, int, int]
    block_ids: NDArray[np.int32]
    used: frozenset[str]
    write: Callable[[str], object]
    watch: Watch = field(default_factory=Watch)

    def ids(self, frame: Frame) -> NDArray[np.int32]:
        """(count, 3) ids of the frame's blocks."""
        return frame.picked(self.block_ids)

    def numbers(self, frame: Frame) -> NDArray[np.int32]:
        """Numbers of the frame's blocks in launch order, x fastest."""
        x, y, z = self.ids(frame).T
        return np.asarray(x + self.grid[0] * (y + self.grid[1] * z), dtype=np.int32)

    def run_block(self, block: Any, frame: Frame) -> list[Outcome]:
        """How each of the frame's blocks leaves `block`."""
        lanes = np.arange(frame.count)
        left: list[Outcome] = []
        for operation in block:
            kind = operation.op
            if kind in TERMINATORS:
                how, operands = TERMINATORS[kind]
                return [*left, Outcome(how, lanes, tuple(frame.get(v) for v in operands(operation)))]
            if kind not in ("ifelse", "loop"):
                frame.set(operation.result_vars, self.apply(operation, frame))
                continue
            stayed, exits = self.branch(operation, frame) if kind == "ifelse" else self.loop(operation, frame)
            left += [Outcome(e.kind, lanes[e.lanes], e.values) for e in exits]
            staying, values = merge_values(stayed)
            if len(staying) == 0:
                return left
            if len(staying) < frame.count:
                frame, lanes = frame.only(staying), lanes[staying]
            frame.set(operation.result_vars, values)
        return [*left, Outcome("yield", lanes)]

    def apply(self, operation: Any, frame: Frame) -> Sequence[Any]:
        """The results of one operation."""
        handler = HANDLERS.get(operation.op)
        if handler is None:
            raise unsupported(operation, f"operation {operation.op}")
        try:
            return handler(self, operation, frame)
        except SimulatorError as error:
            where = place(operation)
            if where and not str(error).startswith(where):
                raise type(error)(f"{where}{operation.op}: {error}") from None
            raise

    def branch(self, operation: Any, frame: Frame) -> tuple[list[Outcome], list[Outcome]]:
        """Both sides of an if, each for the blocks that take it: (those that go on, those that leave)."""
        condition = frame.get(operation.cond).reshape(-1)
        stayed: list[Outcome] = []
        exits: list[Outcome] = []
        for body, taken in ((operation.then_block, condition), (operation.else_block, ~condition)):
            if not taken.any():
                continue
            if taken.all():
                lanes, inner = np.arange(frame.count), frame.nested()
            else:
                lanes = np.flatnonzero(taken)
                inner = frame.only(lanes)
            for outcome in self.run_block(body, inner):
                moved = Outcome(outcome.kind, lanes[outcome.lanes], outcome.values)
                (stayed if outcome.kind == "yield" else exits).append(moved)
        return stayed, exits

    def loop(self, operation: Any, frame: Frame) -> tuple[list[Outcome], list[Outcome]]:
        """A for or while loop; blocks leave it at their own turn."""
        carried = [frame.get(v) for v in operation.initial_values]
        lanes: Lanes = np.arange(frame.count)
        done: list[Outcome] = []
        exits: list[Outcome] = []
        counted = operation.is_for_loop
        if counted:
            index, stop, step = (frame.get(v) for v in (operation.start, operation.stop, operation.step))
            if (step <= 0).any():
                raise at(operation, "the step of a loop must be positive")
        turns = 0
        while len(lanes):
            if counted:
                running = index < stop
                if not running.all():
                    gone = np.flatnonzero(~np.broadcast_to(running, (len(lanes),)))
                    done.append(Outcome("yield", lanes[gone], tuple(take(v, gone) for v in carried)))
                    keep = np.flatnonzero(np.broadcast_to(running, (len(lanes),)))
                    lanes, carried = lanes[keep], [take(v, keep) for v in carried]
                    index, stop, step = (take(v, keep) for v in (index, stop, step))
                    if len(lanes) == 0:
                        break
            inner = frame.nested() if len(lanes) == frame.count else frame.only(lanes)
            inner.set(operation.body.params, [index, *carried] if counted else carried)
            going: list[Outcome] = []
            for outcome in self.run_block(operation.body, inner):
                moved = Outcome(outcome.kind, lanes[outcome.lanes], outcome.values)
                if outcome.kind in ("continue", "yield"):
                    going.append(outcome)
                elif outcome.kind == "break":
                    done.append(Outcome("yield", moved.lanes, moved.values))
                else:
                    exits.append(moved)
            keep, carried = merge_values(going)
            if counted and len(keep):
                index = take(index, keep) + take(step, keep)
                stop, step = take(stop, keep), take(step, keep)
            lanes = lanes[keep]
            turns += 1
            if not counted and turns > MAX_SPINS:
                raise at(operation, f"no end after {MAX_SPINS} turns: the loop hangs, or waits for another block")
        return done, exits


TERMINATORS: dict[str, tuple[str, Callable[[Any], Sequence[Any]]]] = {
    "end_branch": ("yield", lambda o: o.outputs),
    "continue": ("continue", lambda o: o.values),
    "break": ("break", lambda o: o.values),
    "return": ("return", lambda _: ()),
}
"""IR operation that ends a block -> how the blocks leave it, and with what."""

Handler = Callable[[Machine, Any, Frame], Sequence[Any]]
HANDLERS: dict[str, Handler] = {}
"""IR operation -> what it does."""


def handles(*opcodes: str) -> Callable[[Handler], Handler]:
    """Register a handler for IR operations."""

    def register(handler: Handler) -> Handler:
        for opcode in opcodes:
            HANDLERS[opcode] = handler
        return handler

    return register
