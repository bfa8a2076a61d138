"""What laws make of the configurations of somebody else's tuner, and what that tuner measured, as evidence.

The little that all adapters share. Nothing here knows a kernel: its caller says what the tuner's parameters are called
in the op's terms. What cannot be said in them is kept, because unknown is not forbidden.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Generic, TypeVar

import spak

Value = bool | int | float | str
"""What a parameter may be set to."""

T = TypeVar("T")
"""A configuration as the tuner has it."""

LOG = logging.getLogger("spak.adapters")
"""Says at level INFO what was left out and why, at WARNING where that could not be asked."""


@dataclass(frozen=True)
class Unneeded(Generic[T]):
    """A configuration that the tuner need not try, and why.

    Attributes:
        item: As the tuner has it.
        laws: Ids of the laws that remove it; empty if the op has no such configuration.
        reasons: In words.
    """

    item: T
    laws: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Sifted(Generic[T]):
    """Configurations of a tuner, sorted into what to try and what not to.

    Attributes:
        kept: Best first; never empty. What the op cannot say comes last, in the order given.
        left_out: In the order given.
        unsaid: Those of `kept` that the op cannot say, and why.
        sources: What the order comes from, and how much each counts.
    """

    kept: tuple[T, ...]
    left_out: tuple[Unneeded[T], ...] = ()
    unsaid: tuple[tuple[T, str], ...] = ()
    sources: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class MeasuredBy:
    """Who measured, when and how.

    Attributes:
        tool: Name and version.
        at: When, with its distance from UTC.
        timer: How it takes a time, in words.
        toolchain: Component -> version.
        checked: Whether results were checked before they were timed; if not, what was measured counts as reported.
        device: What the driver calls the device; empty if nobody asked.
    """

    tool: str
    at: datetime
    timer: str
    toolchain: Mapping[str, str] = field(default_factory=dict)
    checked: bool = False
    device: str = ""


@dataclass(frozen=True)
class TunedKernel:
    """A kernel that another tuner tunes, in the terms of an op.

    Attributes:
        laws: What is known, and for which compiler (`Library.toolchain`): laws seen with another only order.
        op: Id or alias of an op, or one's own (`spak.op`).
        hw: Hardware; need not be known.
        problem: Problem size by name or by values; the rest has the op's defaults.
        names: Parameter of the tuner -> parameter of the op; an empty name where laws hold whatever it is set to. What
            is not among them is unknown to the op, and a configuration that sets it is kept.
        fixed: Parameters of the op that the tuner does not vary, as this kernel has them. Of what neither says nothing
            is known: a law or a condition that goes by it leaves nothing out.
    """

    laws: spak.Library
    op: str | spak.Op
    hw: str | spak.HardwareName
    problem: Mapping[str, Value] | str = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Value] = field(default_factory=dict)

    @cached_property
    def known_op(self) -> spak.Op:
        """The op."""
        return self.laws.op(self.op) if isinstance(self.op, str) else self.op

    def compiled_by(self, toolchain: str) -> TunedKernel:
        """The same for code of this compiler, `name version`."""
        return replace(self, laws=replace(self.laws, toolchain=toolchain))

    def said(self, parameters: Mapping[str, Value]) -> dict[str, Value]:
        """`parameters`, the tuner's, in the op's terms, with what is fixed.

        Raises:
            LookupError: In words, if one is not among `names`, or the op has no such parameter or value.
        """
        found = dict(self.fixed)
        for name, value in parameters.items():
            if name not in self.names:
                raise LookupError(f"nothing says what {name} is in terms of op {self.known_op.id!r}")
            if self.names[name]:
                found[self.names[name]] = value
        for name, value in found.items():
            self._check(name, value)
        return found

    def sift(
        self, items: Sequence[T], parameters: Callable[[T], Mapping[str, Value]], *, ranked: bool = True
    ) -> Sifted[T]:
        """`items` without what laws remove, best first; what is left out is logged with laws and reasons.

        Args:
            items: Configurations as the tuner has them; at least one.
            parameters: What one of them sets, in the tuner's names.
            ranked: If not, they stay in the order given, which takes a hundredth of the time where much is recorded.
        """
        said: list[tuple[T, dict[str, Value]]] = []
        unsaid: list[tuple[T, str]] = []
        for item in items:
            try:
                said.append((item, self.said(parameters(item))))
            except LookupError as error:
                unsaid.append((item, str(error)))
        found = self._sifted(said, ranked=ranked) if said else Sifted(kept=())
        found = replace(found, kept=(*found.kept, *(item for item, _ in unsaid)), unsaid=tuple(unsaid))
        _log(found, len(items))
        return found

    def results(self, tried: Iterable[spak.Tried], by: MeasuredBy) -> spak.ToolRun:
        """What a tuner tried, for `spak.record`.

        Left out, and logged: what the op cannot say whole, or says the same of more than one of.

        Args:
            tried: Each with its configuration in the tuner's names.
            by: Who measured, when and how.

        Raises:
            spak.KgError: If nothing is left.
        """
        found: dict[frozenset[tuple[str, Value]], list[spak.Tried]] = {}
        for one in self._sayable(tried):
            found.setdefault(_key(one.configuration), []).append(one)
        for group in found.values():
            if len(group) > 1:
                LOG.warning("not recorded: %d of the tuner's are one to the op: %s", len(group), group[0].configuration)
        kept = tuple(group[0] for group in found.values() if len(group) == 1)
        if not kept:
            raise spak.KgError(f"{by.tool}: op {self.known_op.id!r} can say none of what was tried; see `names`")
        return spak.ToolRun(
            op=self.known_op if isinstance(self.op, spak.Op) else self.known_op.id,
            hardware=spak.HardwareName(self.hw) if isinstance(self.hw, str) else self.hw,
            tried=kept,
            tool=by.tool,
            at=by.at,
            checked=by.checked,
            problem=self._size(),
            device=by.device,
            toolchain=by.toolchain,
            timer=by.timer,
        )

    def _size(self) -> Mapping[str, Value]:
        """The problem size by values."""
        if not isinstance(self.problem, str):
            return self.problem
        sizes = self.known_op.problems
        if self.problem not in sizes:
            raise spak.KgError(f"problem: op {self.known_op.id!r} has no size {self.problem!r}; say it by values")
        return sizes[self.problem]

    def _check(self, name: str, value: Value) -> None:
        op = self.known_op
        if name not in op.parameters:
            raise LookupError(f"op {op.id!r} has no parameter {name!r}")
        known = op.parameters[name].values
        if not op.open and not any(one == value and type(one) is type(value) for one in known):
            raise LookupError(f"{name} of op {op.id!r} is one of {', '.join(map(repr, known))} (got {value!r})")

    def _check_whole(self, said: Mapping[str, Value]) -> None:
        if missing := sorted(self.known_op.parameters.keys() - said.keys()):
            raise LookupError(f"nothing says {', '.join(missing)} of op {self.known_op.id!r}; see `fixed`")

    def _sifted(self, said: Sequence[tuple[T, dict[str, Value]]], *, ranked: bool) -> Sifted[T]:
        """The same for what the op can say."""
        whole = [self._completed(configuration) for _, configuration in said]
        unwanted = self._unwanted(whole)
        left_out = {
            place: why
            for place, (item, parameters) in enumerate(said)
            if (why := _unneeded(item, parameters, unwanted.get(_key(whole[place]))))
        }
        if not ranked:
            stay = (item for place, (item, _) in enumerate(said) if place not in left_out)
            return Sifted(tuple(stay), tuple(left_out.values()))
        ranking = self.laws.rank(whole, op=self.op, hw=self.hw, problem=self.problem)
        places = {_key(one): place for place, one in enumerate(ranking.order)}
        kept = sorted(set(range(len(said))) - left_out.keys(), key=lambda place: (places[_key(whole[place])], place))
        return Sifted(tuple(said[place][0] for place in kept), tuple(left_out.values()), sources=ranking.sources)

    def _unwanted(self, whole: Sequence[Mapping[str, Value]]) -> dict[frozenset[tuple[str, Value]], spak.LeftOut]:
        """What laws remove or the op has not, of configurations that say all; nothing if the op has none of them."""
        try:
            found = self.laws.filter(whole, op=self.op, hw=self.hw, problem=self.problem)
        except spak.InfeasibleError as error:
            LOG.warning("all are kept: %s", error)
            return {}
        if found.spared is not None:
            LOG.warning("laws remove every configuration; this one is kept: %s", dict(found.spared))
        return {_key(one.configuration): one for one in found.left_out}

    def _completed(self, said: Mapping[str, Value]) -> dict[str, Value]:
        return {name: said.get(name, parameter.default) for name, parameter in self.known_op.parameters.items()}

    def _sayable(self, tried: Iterable[spak.Tried]) -> list[spak.Tried]:
        """Those that the op can say whole, in its terms and its order of parameters."""
        found = []
        for one in tried:
            try:
                said = self.said(one.configuration)
                self._check_whole(said)
            except LookupError as error:
                LOG.warning("not recorded: %s: %s", dict(one.configuration), error)
            else:
                found.append(replace(one, configuration=self._completed(said)))
        return found


class Collected:
    """What a tuner measured of one kernel, at one problem size after another."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._found: list[tuple[TunedKernel, tuple[spak.Tried, ...]]] = []

    def add(self, kernel: TunedKernel, tried: Iterable[spak.Tried]) -> None:
        """Note one tuning; `kernel` knows at which problem size."""
        self._found.append((kernel, tuple(tried)))

    def results(self, by: MeasuredBy) -> tuple[spak.ToolRun, ...]:
        """One for each tuning of which the op can say anything, in the order they were made."""
        found = []
        for kernel, tried in self._found:
            try:
                found.append(kernel.results(tried, by))
            except spak.KgError as error:
                LOG.warning("not recorded: %s", error)
        return tuple(found)


def _key(configuration: Mapping[str, Value]) -> frozenset[tuple[str, Value]]:
    return frozenset(configuration.items())


def _unneeded(item: T, said: Mapping[str, Value], why: spak.LeftOut | None) -> Unneeded[T] | None:
    """Why `item` is left out, as far as it goes by what is said of it; None if that is no reason."""
    if why is None:
        return None
    telling = [place for place, names in enumerate(why.names) if names <= said.keys()]
    laws = tuple(why.laws[place] for place in telling) if why.laws else ()
    return Unneeded(item, laws, tuple(why.reasons[place] for place in telling)) if telling else None


def _log(found: Sifted[T], num_given: int) -> None:
    LOG.info("%d of %d configurations are worth trying", len(found.kept), num_given)
    for one in found.left_out:
        LOG.info("left out: %s: %s", one.item, "; ".join(one.reasons) + "".join(f" [{law}]" for law in one.laws))
    for why, number in Counter(why for _, why in found.unsaid).items():
        LOG.info("kept %d of which no law was asked: %s", number, why)
