"""Candidate laws: what was mined, as law objects that are frozen before anything tests them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from spak.kg.evidence.table import TrialTable, problem_text
from spak.kg.expression import parse
from spak.kg.law.kinds.avoid import AvoidClaim, NegativeLaw
from spak.kg.law.kinds.indifferent import IndifferentClaim, IndifferentLaw
from spak.kg.law.kinds.prefer import PositiveLaw, PreferClaim
from spak.kg.model.base import Scalar
from spak.kg.model.law import Bound, Evidence, Examples, Law, Scope
from spak.kg.model.op import Op
from spak.tuner.learn.mining.indifferent import WITHIN, Tie, ties
from spak.tuner.learn.mining.mechanism import mechanism
from spak.tuner.learn.mining.naming import name_law
from spak.tuner.learn.mining.negative import (
    COMPILED_FAULTS,
    FAILS,
    MIN_SLOWDOWN,
    FarRegion,
    Fault,
    compiled_regions,
    slow_regions,
)
from spak.tuner.learn.mining.positive import PreferredSetting, settings
from spak.tuner.learn.mining.predicates import Literal, literals

SPOKEN_FEATURES = ("spill_bytes", "registers", "smem_bytes", "ctas_per_sm")
"""Compiled features a law may speak of (the expression language knows them by these names)."""

UNNAMED = "unnamed"
"""Until `with_name`: what a law is called follows from all the rest of it."""


@dataclass(frozen=True)
class Topic:
    """What the mined runs are about.

    Attributes:
        hw: Hardware node the laws are to hold for (the compute capability, not the one card).
        kinds: Problem parameters that specialise the compiled code; a law says at which of their values it was seen.
        depends: Tunable parameter -> problem parameters that decide how it fares; a law that names it says so of them too.
        tiles: Parameters whose products are looked at; None where the op gives its parameters no roles: any number.
        called: What the op calls parameters and products in words (`Op.phrases`).
        slowdown: At least how much slower than the best a slow region is.
        toolchain: Specifier such as `tileiras >=13.4,<14`.
        run: Id of the run that suggests the laws, of that tier.
        toolchain_seen: `name version` that made the trials.
        occasion: Of that run.
    """

    hw: str
    op: str
    op_title: str
    kinds: tuple[str, ...]
    run: str
    toolchain: str = ""
    tier: str = "measured"
    toolchain_seen: str = ""
    occasion: str = ""
    tiles: tuple[str, ...] | None = None
    depends: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    called: Mapping[str, str] = field(default_factory=dict)
    slowdown: float = MIN_SLOWDOWN

    @classmethod
    def of(cls, op: Op, hw: str, run: str) -> Topic:
        """Trials of `op`, whose laws `run` suggests for `hw`: what specialises code and what is a tile, the op says."""
        kinds = tuple(name for name, parameter in op.problem.items() if parameter.specialises)
        tiles = tuple(name for name, parameter in op.parameters.items() if parameter.role == "tile")
        depends = {name: parameter.depends_on for name, parameter in op.parameters.items() if parameter.depends_on}
        every = tiles if op.parameters else None
        return cls(hw, op.id, op.title, kinds, run, tiles=every, depends=depends, called=op.phrases)

    def naming(self, names: Iterable[str]) -> Topic:
        """The same for a law that names these parameters: it says of more problem parameters where it was seen."""
        more = (on for name in names for on in self.depends.get(name, ()))
        return replace(self, kinds=tuple(dict.fromkeys((*self.kinds, *more))))


def mine(table: TrialTable, subject: Topic) -> tuple[Law, ...]:
    """Candidate laws of one table, each with the run that suggested it as its only evidence.

    Positive and indifferent laws need two problem sizes.
    """
    if not table.observed.any():
        return ()
    every = literals(table, features=SPOKEN_FEATURES, tiles=subject.tiles)
    laws: tuple[Law, ...] = (
        *(_slow(table, subject, region) for region in slow_regions(table, every, subject.slowdown)),
        *(_positive(table, subject, setting) for setting in settings(table)),
        *(_indifferent(table, subject, tie) for tie in ties(table)),
    )
    return tuple(with_name(law, subject) for law in laws)


def mine_compiled(table: TrialTable, subject: Topic) -> tuple[Law, ...]:
    """Candidate laws about what the compiler does: where every configuration spills, or does not compile.

    Times play no part; the subject's tier is `compiled`.
    """
    return tuple(
        with_name(_negative(table, subject, region, fault), subject)
        for fault in COMPILED_FAULTS
        for region in compiled_regions(table, fault, subject.tiles)
    )


def with_name(law: Law, subject: Topic) -> Law:
    """The law under the name and the title that it has in this scope."""
    return name_law(law, subject.op_title, subject.called)


def scope_of(
    problems: Sequence[Mapping[str, Scalar]], subject: Topic, narrowed: Mapping[str, str] | None = None
) -> Scope:
    """The scope of a law seen at some problem sizes: their kinds are its condition, their dtypes its dtypes.

    Where the law itself is only about some of what was seen, `narrowed` has the condition of each such kind.
    """
    dtypes = tuple(sorted({str(problem["dtype"]) for problem in problems if "dtype" in problem}))
    conditions = dict(narrowed or {})
    for kind in subject.kinds:
        values = {problem[kind] for problem in problems if kind in problem}
        if kind == "dtype" or kind in conditions or not values:
            continue
        ordered = sorted(values, key=lambda value: (str(type(value)), value))
        if len(ordered) == 1:
            conditions[kind] = f"{kind} == {ordered[0]!r}"
        elif not all(isinstance(value, bool) for value in ordered):
            conditions[kind] = f"{kind} in [{', '.join(repr(value) for value in ordered)}]"
    when = " and ".join(sorted(conditions.values()))
    return Scope(hw=subject.hw, op=subject.op, dtype=dtypes, when=when, toolchain=subject.toolchain)


def narrowing(law: Law, problems: Sequence[Mapping[str, Scalar]]) -> dict[str, str]:
    """Conditions of a law about kinds of which the problems show more than one: the law itself is narrower than they."""
    found: dict[str, str] = {}
    for text in filter(None, law.scope.when.split(" and ")):
        kind, _, _ = text.partition(" == ")
        if len({problem.get(kind) for problem in problems}) > 1 and " == " in text:
            found[kind] = text
    return found


def _scope(table: TrialTable, subject: Topic, split: Sequence[Literal] = ()) -> Scope:
    """Where the law was seen; a literal about a kind of problem narrows it to that kind."""
    narrowed = {name: literal.text for literal in split for name in literal.names}
    seen = [problem for problem in table.problems if all(parse(literal.text).holds(problem) for literal in split)]
    return scope_of(seen, subject, narrowed)


def _evidence(table: TrialTable, subject: Topic, effect: dict[str, float], low: dict[str, float]) -> Evidence:
    return Evidence(
        run=subject.run,
        verdict="supports",
        tier=subject.tier,  # type: ignore[arg-type]
        role="suggested",
        effect={name: round(value, 4) for name, value in effect.items()},
        interval={name: (round(value, 4), round(max(value, effect[name]), 4)) for name, value in low.items()},
        problems=tuple(sorted({problem_text(problem) for problem in table.problems})),
        toolchain=subject.toolchain_seen,
        occasion=subject.occasion,
    )


def _slow(table: TrialTable, subject: Topic, region: FarRegion) -> NegativeLaw:
    timed = (region.mask & table.observed).any()
    slow = Fault("slowdown", subject.slowdown, mechanism(table, region.mask))
    fault = slow if timed else FAILS
    return _negative(table, subject, region, fault)


def _negative(table: TrialTable, subject: Topic, region: FarRegion, fault: Fault) -> NegativeLaw:
    rest = [literal.text for literal in region.literals if literal.kind != "problem"]  # that goes into the scope
    rest.sort(key=lambda text: (text.split(" ", 1)[0] in SPOKEN_FEATURES, text))
    expression = " and ".join(rest) or "True"
    effect = {fault.effect: fault.least(table, region.mask)}
    spoken = {name for literal in region.literals for name in literal.names}
    split = [literal for literal in region.literals if literal.kind == "problem"]
    scope = _scope(table, subject.naming(spoken), split)
    # examples are evaluated without compiled features, so a law about those carries none
    examples = Examples() if spoken & set(SPOKEN_FEATURES) else _examples(table, region, subject.naming(spoken).kinds)
    return NegativeLaw(
        id=UNNAMED,
        title=UNNAMED,
        scope=scope,
        claim=AvoidClaim(
            avoid=expression, because=fault.because, effect={fault.effect: Bound(at_least=fault.at_least)}
        ),
        status="proposed",
        examples=examples,
        evidence=(_evidence(table, subject, effect, effect if fault.effect == "slowdown" else {}),),
    )


def _examples(table: TrialTable, region: FarRegion, kinds: Sequence[str]) -> Examples:
    """The first configuration inside, and one outside: the fastest where times are known; each with its kind of problem."""
    inside = int(region.mask.any(axis=0).argmax())
    row = int(region.mask[:, inside].argmax())
    best = [int(index) for index in table.best() if index >= 0]
    outside = best[0] if best else int((~region.mask).all(axis=0).argmax())
    kind = {name: table.problems[row][name] for name in kinds if name in table.problems[row]}
    return Examples(
        avoided=({**table.space.config(inside), **kind},), admitted=({**table.space.config(outside), **kind},)
    )


def _positive(table: TrialTable, subject: Topic, setting: PreferredSetting) -> PositiveLaw:
    return PositiveLaw(
        id=UNNAMED,
        title=UNNAMED,
        scope=_scope(table, subject.naming(setting.prefer)),
        claim=PreferClaim(prefer=setting.prefer, effect={"cost": Bound(at_most=WITHIN)}),
        status="proposed",
        evidence=(_evidence(table, subject, {"cost": setting.cost, "loss": setting.loss}, {}),),
    )


def _indifferent(table: TrialTable, subject: Topic, tie: Tie) -> IndifferentLaw:
    evidence = _evidence(table, subject, {"change": tie.change, "cost": tie.cost}, {})
    return IndifferentLaw(
        id=UNNAMED,
        title=UNNAMED,
        scope=_scope(table, subject.naming([tie.parameter])),
        claim=IndifferentClaim(
            over=tie.parameter, values=tie.values, within=f"{WITHIN * 100:g}%", effect={"change": Bound(at_most=WITHIN)}
        ),
        status="proposed",
        evidence=(evidence,),
    )
