"""How a law applies to a question: by which way on the hardware side and the op side, and under what condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from spak.kg.expression.condition import decide
from spak.kg.model.base import Model, Scalar
from spak.kg.model.law import Law
from spak.kg.model.store import Store
from spak.kg.model.taxonomy import Path, Taxonomy

HwMatch = Literal["exact", "inherited", "transferred"]
OpMatch = Literal["exact", "inherited", "child", "part"]


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


@dataclass(frozen=True)
class Question:
    """What is asked, in canonical ids.

    Attributes:
        hw: Id of a hardware node.
        op: Id of an op node.
        problem: What is known of the problem; names that are missing are undecided.
    """

    hw: str
    op: str
    problem: Mapping[str, Scalar] = field(default_factory=dict)


class Matcher:
    """Matches laws against one question; walks each taxonomy once, however many laws there are."""

    def __init__(self, store: Store, question: Question) -> None:
        """Walk up and down from the question's nodes."""
        self.question = question
        self._hardware = Taxonomy("hardware", store.hardware)
        self._hw_up = self._hardware.ancestors(question.hw)
        self._relatives: dict[str, Path | None] = {}
        self._decided: dict[str, bool | str] = {}
        self._ops = op_relations(store, question.op)
        facts = hardware_facts(store, question.hw)
        self._known = {f"hw.{name}": value for name, value in facts.items()} | dict(question.problem)

    def match(self, law: Law) -> Match | None:
        """How `law` applies, or None if it does not."""
        op = self._ops.get(law.scope.op)
        if op is None:
            return None
        hw = self._hw(law.scope.hw)
        if hw is None:
            return None
        dtype = self._known.get("dtype")
        if law.scope.dtype and dtype is not None and dtype not in law.scope.dtype:
            return None
        when = self._decide(law.scope.when)
        if when is False:
            return None
        return Match(
            hw=hw[0],
            via=hw[1],
            op=op[0],
            op_via=op[1],
            when=None if when is True else when,
            dtype=law.scope.dtype if dtype is None else (),
        )

    def _decide(self, when: str) -> bool | str:
        """`decide`, once for each distinct condition."""
        if when not in self._decided:
            self._decided[when] = decide(when, self._known)
        return self._decided[when]

    def _hw(self, scope: str) -> tuple[HwMatch, Path] | None:
        if scope == self.question.hw:
            return "exact", (scope,)
        if scope in self._hw_up:
            return "inherited", self._hw_up[scope]
        if scope not in self._relatives:
            self._relatives[scope] = self._hardware.path(self.question.hw, scope)
        path = self._relatives[scope]
        return None if path is None else ("transferred", path)


def op_relations(store: Store, op: str) -> dict[str, tuple[OpMatch, Path]]:
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
        inside = [
            name for name, node in store.ops.items() if whole in node.part_of or (whole != op and whole in node.is_a)
        ]
        for name in inside:
            if name not in found:
                found[name] = ("part", (*path, name))
                parts.append((name, (*path, name)))
    return found


def hardware_facts(store: Store, hw: str) -> dict[str, Scalar]:
    """Every fact that holds for `hw`: its own, then those of the nodes it is, nearest first."""
    facts: dict[str, Scalar] = {}
    for node in Taxonomy("hardware", store.hardware).ancestors(hw):
        for name, fact in store.hardware[node].facts.items() if node in store.hardware else ():
            facts.setdefault(name, fact.value)
    return facts


def compute_capability(store: Store, hw: str) -> str | None:
    """The compute capability that `hw` is or is a device of; None for an architecture or a vendor."""
    for node in Taxonomy("hardware", store.hardware).ancestors(hw):
        if node in store.hardware and store.hardware[node].kind == "compute-capability":
            return node
    return None
