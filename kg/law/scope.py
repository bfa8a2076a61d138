"""Whether a law is in scope: by which way on the hardware side and the op side, and under what condition.

There are two questions. `inside` asks whether values (a problem size, a trial) are within dtype and `when` of a law; a
`Matcher` asks how laws come to speak about an op on a piece of hardware. Either may be undecided for want of values, and
what undecided means is for whoever asks to say: a law that may hold is shown, but removes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from typing import Literal

from msgspec.structs import replace

from spak.kg.expression import Expression, parse
from spak.kg.law.toolchain import are_stale, is_stale
from spak.kg.model.base import Model, Scalar
from spak.kg.model.cohort import Traits
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.law import Law, Scope
from spak.kg.model.store import NodeStore
from spak.kg.model.taxonomy import Path, Taxonomy

HwMatch = Literal["exact", "inherited", "transferred"]
OpMatch = Literal["exact", "inherited", "child", "part"]


@dataclass(frozen=True)
class Inside:
    """Whether values are within the scope of a law.

    Attributes:
        holds: True or False; None where what is known does not decide it.
        when: What is left of the condition; empty where nothing is.
        dtype: Input types it is limited to, where the values name none.
        missing: Names whose values would decide it.
    """

    holds: bool | None
    when: str = ""
    dtype: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def surely(self) -> bool:
        """Whether it holds, whatever else there is to know."""
        return self.holds is True

    @property
    def possibly(self) -> bool:
        """Whether it holds for some values of what is not known."""
        return self.holds is not False

    @property
    def condition(self) -> str:
        """What would have to hold besides, in words; empty where nothing is open."""
        types = f"its dtypes ({', '.join(self.dtype)}) hold" if self.dtype else ""
        return " and ".join(filter(None, (self.when, types)))


_OUTSIDE, _INSIDE = Inside(False), Inside(True)


def inside(scope: Scope, known: Mapping[str, Scalar]) -> Inside:
    """Whether `known` (facts as `hw.<fact>`) is within dtype and `when` of `scope`; nothing else of it is looked at."""
    dtype = known.get("dtype")
    if scope.dtype and dtype is not None and dtype not in scope.dtype:
        return _OUTSIDE
    open_dtype = scope.dtype if dtype is None else ()
    rest = reduced(scope.when, known) if scope.when else True
    if rest is False:
        return _OUTSIDE
    if rest is True and not open_dtype:
        return _INSIDE
    when, names = ("", frozenset()) if rest is True else (rest.text, rest.all_names)
    return Inside(None, when, open_dtype, tuple(sorted(names | ({"dtype"} if open_dtype else set()))))


def reduced(text: str, known: Mapping[str, Scalar]) -> Expression | bool:
    """What is left of the expression `text` when these values are known."""
    return _reduced(text, tuple((name, known[name]) for name in sorted(parse(text).all_names) if name in known))


@lru_cache(maxsize=1 << 16)
def _reduced(text: str, known: tuple[tuple[str, Scalar], ...]) -> Expression | bool:
    """`reduced`, once for what the expression names: most problem sizes have that in common."""
    return parse(text).partial(dict(known))


class Match(Model, frozen=True, kw_only=True, omit_defaults=False):
    """How one law came to be an answer.

    Attributes:
        hw: `exact` (stated for the hardware asked), `inherited` (for something it is a kind of), `transferred` (for a
            relative: it orders a search and removes nothing).
        via: Hardware ids from the one asked to the law's, both included.
        op: `exact`, `inherited` (stated for something the op is a kind of), `child` (for a kind of it), `part` (for a
            part of it).
        when: What is left of the law's condition once the problem is taken into account; None if nothing is.
        op_via: Op ids from the one asked to the law's, both included.
        dtype: Input types that the law is limited to, unless the problem's is one of them.
        stale: True if none of its evidence is from the toolchain asked about.
        overridden_by: A nearer law that it conflicts with.
    """

    hw: HwMatch
    via: Path
    op: OpMatch
    when: str | None
    op_via: Path
    dtype: tuple[str, ...] = ()
    stale: bool = False
    overridden_by: str | None = None

    @property
    def distance(self) -> tuple[bool, int, int]:
        """How far the law is; smaller is nearer, and the nearer law wins."""
        return self.hw == "transferred", len(self.via), len(self.op_via)

    @property
    def is_about_op(self) -> bool:
        """Whether the law is about the op asked, not about a kind or a part of it."""
        return self.op in {"exact", "inherited"}

    @property
    def condition(self) -> str:
        """What would have to hold for the law to; empty where it does."""
        return Inside(None, self.when or "", self.dtype).condition


@dataclass(frozen=True)
class Question:
    """What is asked, in canonical ids.

    Attributes:
        problem: What is known of the problem; names that are missing are undecided.
        toolchain: `name version` that laws are stale for or not; empty asks nothing.
    """

    hw: str
    op: str
    problem: Mapping[str, Scalar] = field(default_factory=dict)
    toolchain: str = ""


class Matcher:
    """Matches laws against one question; walks each taxonomy once, however many laws there are.

    Attributes:
        known: Values by name: facts of the hardware as `hw.<fact>`, and what is known of the problem.
    """

    def __init__(self, store: NodeStore, question: Question) -> None:
        """Walk up and down from the question's nodes."""
        self.question = question
        hardware = Taxonomy("hardware", store.hardware)
        self._hw_up = hardware.ancestors(question.hw)
        self._relative = cache(partial(hardware.path, question.hw))
        self._ops = op_relations(store, question.op)
        facts = hardware_facts(store, question.hw)
        self.known = {f"hw.{name}": value for name, value in facts.items()} | dict(question.problem)
        self._decided: dict[tuple[str, tuple[str, ...]], Inside] = {}
        self._matched: dict[Scope, tuple[Match, Match] | None] = {}

    @property
    def ops(self) -> Collection[str]:
        """The ops whose laws may match, nearest first."""
        return self._ops.keys()

    def match(self, law: Law) -> Match | None:
        """How `law` applies, or None if it does not; where that is undecided, under what condition it does.

        Raises:
            ToolchainError: If a toolchain cannot be read.
        """
        found = self._fresh_and_stale(law.scope)
        return None if found is None else found[is_stale(law, self.question.toolchain)]

    def match_all(self, traits: Traits) -> Match | None:
        """`match` of every law that has these traits.

        Raises:
            ToolchainError: If a toolchain cannot be read.
        """
        found = self._fresh_and_stale(traits.scope)
        is_old = are_stale(traits.scope.toolchain, traits.toolchains, self.question.toolchain)
        return None if found is None else found[is_old]

    def _fresh_and_stale(self, scope: Scope) -> tuple[Match, Match] | None:
        """How a law of that scope applies if it is not stale, and if it is; worked out once, since thousands share a scope."""
        if scope not in self._matched:
            self._matched[scope] = self._worked_out(scope)
        return self._matched[scope]

    def _worked_out(self, scope: Scope) -> tuple[Match, Match] | None:
        op = self._ops.get(scope.op)
        hw = self._hw(scope.hw) if op is not None else None
        if op is None or hw is None:
            return None
        found = self._inside(scope)
        if not found.possibly:
            return None
        match = Match(hw=hw[0], via=hw[1], op=op[0], op_via=op[1], when=found.when or None, dtype=found.dtype)
        return match, replace(match, stale=True)

    def _inside(self, scope: Scope) -> Inside:
        """`inside`, once for each distinct condition."""
        key = (scope.when, scope.dtype)
        if key not in self._decided:
            self._decided[key] = inside(scope, self.known)
        return self._decided[key]

    def _hw(self, scope: str) -> tuple[HwMatch, Path] | None:
        if scope == self.question.hw:
            return "exact", (scope,)
        if scope in self._hw_up:
            return "inherited", self._hw_up[scope]
        path = self._relative(scope)
        return None if path is None else ("transferred", path)


def op_relations(store: NodeStore, op: str) -> dict[str, tuple[OpMatch, Path]]:
    """Every op whose laws speak about `op`, with how: itself, what it is, its kinds, its parts and their kinds."""
    taxonomy = Taxonomy("op", store.ops)
    found: dict[str, tuple[OpMatch, Path]] = {op: ("exact", (op,))}
    for ancestor, path in taxonomy.ancestors(op).items():
        found.setdefault(ancestor, ("inherited", path))
    for child, path in taxonomy.descendants(op).items():
        found.setdefault(child, ("child", path))
    parts = [(whole, path) for whole, (kind, path) in found.items() if kind in {"exact", "child"}]
    while parts:
        whole, path = parts.pop(0)
        for name, node in store.ops.items():
            if name not in found and (whole in node.part_of or (whole != op and whole in node.is_a)):
                found[name] = ("part", (*path, name))
                parts.append((name, (*path, name)))
    return found
