"""Answers about configurations: which to run first, which of many are worth trying, in which order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Annotated

import msgspec
from msgspec import Meta

import spak
from spak.agents.answers import CitedLaw, FromFile, certain_first
from spak.agents.questions import CandidatesQuestion, FirstQuestion, asked_configurations
from spak.agents.quoting import NOTICE, name, quoted, settings, shown
from spak.kg.model.base import Configuration, Scalar

MAX_SOURCES = 6
"""Sources of an order that an answer names."""

MAX_AVOIDED = 6
"""Laws about what to avoid beside a recommendation."""


class FirstAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What to run first."""

    op: str
    hw: str
    problem: Annotated[dict[str, Scalar], Meta(description="Complete: what was not given has the op's defaults.")]
    configuration: Annotated[dict[str, Scalar], Meta(description="The one to run where nothing may be tried.")]
    origin: Annotated[
        str, Meta(description="recorded here at this size, nearby (another size), related (GPU), ranked, or default.")
    ]
    because: FromFile
    recorded: Annotated[
        str, Meta(description="Its recorded time at this size on this GPU, beside the op's default.")
    ] = ""
    then: Annotated[
        tuple[dict[str, Scalar], ...], Meta(description="Next to try, best first: what differs from `configuration`.")
    ] = ()
    sources: Annotated[tuple[str, ...], Meta(description="What the order comes from, most important first.")] = ()
    avoid: Annotated[tuple[CitedLaw, ...], Meta(description="Confirmed here: what to avoid, and what must hold.")] = ()
    more_avoid: int = 0
    note: str = ""

    def text(self) -> str:
        """The answer in words."""
        lines = [NOTICE, *([self.note] if self.note else [])]
        lines += [f"Run on {name(self.hw)} for {name(self.op)} at {settings(self.problem)}:"]
        lines += [f"  {settings(self.configuration)}", f"  {self.origin}: {quoted(self.because)}"]
        lines += [f"  {self.recorded}"] if self.recorded else []
        lines += ["Then try, changed from that (in order):"] if self.then else []
        lines += [f"  {settings(one)}" for one in self.then]
        lines += [f"The order comes from: {', '.join(map(quoted, self.sources))}"] if self.sources else []
        if self.avoid:
            more = f" ({self.more_avoid} more: query)" if self.more_avoid else ""
            lines += [f"Avoid, confirmed on this hardware{more}:", *(law.text() for law in self.avoid)]
        return "\n".join(
            [*lines, "Measure before you rely on it; `why` says what laws make of your own configuration."]
        )


class DroppedLine(msgspec.Struct, frozen=True, kw_only=True):
    """Configurations that are left out for one reason."""

    laws: Annotated[
        tuple[str, ...], Meta(description="Laws that remove them; empty: the op itself does not allow them.")
    ]
    reasons: tuple[FromFile, ...]
    count: int
    example: dict[str, Scalar]


class FilterAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Configurations worth trying, and why the others are not."""

    kept: tuple[dict[str, Scalar], ...]
    num_kept: int
    num_left_out: int
    left_out: tuple[DroppedLine, ...]
    more_reasons: int = 0
    spared: bool = False
    note: str = ""

    def text(self) -> str:
        """The answer in words."""
        lines = [NOTICE, *([self.note] if self.note else [])]
        lines.append(f"Worth trying: {self.num_kept} of {self.num_kept + self.num_left_out}.")
        lines += ["Laws remove all of them; the one that fewest speak against is kept."] if self.spared else []
        lines += [f"  {settings(one)}" for one in self.kept]
        lines += _left(self.num_kept - len(self.kept), "configurations")
        for one in self.left_out:
            by = f"by {', '.join(map(name, one.laws))}" if one.laws else "not feasible"
            reasons = "; ".join(map(quoted, one.reasons))
            lines.append(f"- {one.count} left out, {by}: {reasons}; such as {settings(one.example)}")
        return "\n".join([*lines, *_left(self.more_reasons, "reasons")])


class RankAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Configurations in the order in which to try them."""

    order: tuple[dict[str, Scalar], ...]
    more: int
    num_removed: Annotated[
        int, Meta(description="At the very end of the order: laws remove them, or they are infeasible.")
    ]
    sources: tuple[str, ...]
    note: str = ""

    def text(self) -> str:
        """The answer in words."""
        lines = [NOTICE, *([self.note] if self.note else []), "Try in this order:"]
        lines += [f"{place}. {settings(one)}" for place, one in enumerate(self.order, 1)]
        lines += _left(self.more, "configurations")
        known = ", ".join(map(quoted, self.sources)) or "nothing known: the op's own order of values"
        return "\n".join(
            [*lines, f"Laws remove {self.num_removed} of all, at the end.", f"The order comes from: {known}"]
        )


def _left(count: int, what: str) -> list[str]:
    return [f"... and {count} more {what}: a larger limit shows up to 50"] if count else []


def ask_first(library: spak.Library, question: FirstQuestion) -> FirstAnswer:
    """What to run first on a GPU, what next, and what to avoid."""
    hardware, note = hardware_of(library, question)
    choice = library.choose(question.op, hw=hardware, problem=question.problem, where=question.where)
    then, sources = _next(library, hardware, question, choice.configuration)
    avoided: list[CitedLaw] = []
    if not note:
        known = library.query(
            hw=choice.hw,
            op=choice.op,
            problem=choice.problem,
            kinds=["negative", "invariant"],
            statuses=["confirmed"],
        )
        pairs = certain_first(library, known.hits)
        avoided = [law for hit, law in pairs if law.status == "confirmed" and hit.match.hw != "transferred"]
    return FirstAnswer(
        op=choice.op,
        hw=choice.hw,
        problem=dict(choice.problem),
        configuration=dict(choice.configuration),
        origin=choice.origin,
        because=shown(choice.because),
        recorded=_recorded(library, choice),
        then=then,
        sources=sources,
        avoid=tuple(avoided[:MAX_AVOIDED]),
        more_avoid=max(0, len(avoided) - MAX_AVOIDED),
        note=note,
    )


def _recorded(library: spak.Library, choice: spak.Choice) -> str:
    """The least recorded time of a choice on its hardware at its problem size, beside the op's default there; in words."""
    op = library.op(choice.op)
    wanted = {"it": choice.configuration, "the op's default": {n: one.default for n, one in op.parameters.items()}}
    times: dict[str, tuple[float, str]] = {}
    for trial in _timed(library, op, choice):
        time = next(one for one in trial.measurements if one.name == "time")
        for label, configuration in wanted.items():
            if trial.configuration == configuration:
                times[label] = min(times.get(label, (math.inf, "")), (time.value, shown(time.unit, 10)))
    if "it" not in times:
        return ""
    known = ((label, *times[label]) for label in wanted if label in times)
    return "least recorded time: " + ", ".join(f"{time:.4g} {unit} for {label}" for label, time, unit in known)


def _timed(library: spak.Library, op: spak.Op, choice: spak.Choice) -> Iterator[spak.Trial]:
    """Trials with a time and right results, on the hardware and at the problem size of `choice`."""
    defaults = {parameter: known.default for parameter, known in op.problem.items()}
    for run in map(library.laws.run, library.laws.run_ids):
        if (run.op, run.hw) != (choice.op, choice.hw):
            continue
        for trial in run.trials:
            size = defaults | (trial.problem or run.problem)
            if trial.invalidity == "correct" and trial.value("time") is not None and size == choice.problem:
                yield trial


def _next(
    library: spak.Library, hardware: spak.HardwareName, question: FirstQuestion, chosen: Configuration
) -> tuple[tuple[dict[str, Scalar], ...], tuple[str, ...]]:
    """What to try after `chosen`, as differences from it, and where that order comes from; nothing if nothing is known."""
    try:
        found = spak.first(library.laws, hardware, question.op, question.problem)
    except spak.TunerError:
        return (), ()
    others = (one for one in found.best(question.limit + 1) if one != chosen)
    changed = tuple(_changes(chosen, one) for one in islice(others, question.limit))
    return changed, _named_sources(found.sources)


def _changes(chosen: Configuration, other: Configuration) -> dict[str, Scalar]:
    return {parameter: value for parameter, value in other.items() if chosen.get(parameter) != value}


def _named_sources(sources: Sequence[tuple[str, float]]) -> tuple[str, ...]:
    return tuple(shown(label, 200) for label, weight in sources if weight)[:MAX_SOURCES]


def ask_filter(library: spak.Library, question: CandidatesQuestion) -> FilterAnswer:
    """Which of many configurations are worth trying."""
    hardware, note = hardware_of(library, question)
    tried = asked_configurations(question)
    found = library.filter(tried, op=question.op, hw=hardware, problem=question.problem)
    stated = {parameter for one in tried for parameter in one}
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[spak.LeftOut]] = {}
    for left in found.left_out:
        groups.setdefault((left.laws, left.reasons), []).append(left)
    largest = sorted(groups.items(), key=lambda group: -len(group[1]))
    return FilterAnswer(
        kept=tuple(_in_part(one, stated) for one in found.kept[: question.limit]),
        num_kept=len(found.kept),
        num_left_out=len(found.left_out),
        left_out=tuple(
            DroppedLine(
                laws=laws[:5],
                reasons=tuple(shown(reason, 300) for reason in reasons[:5]),
                count=len(group),
                example=_in_part(group[0].configuration, stated),
            )
            for (laws, reasons), group in largest[: question.limit]
        ),
        more_reasons=max(0, len(largest) - question.limit),
        spared=found.spared is not None,
        note=note,
    )


def ask_rank(library: spak.Library, question: CandidatesQuestion) -> RankAnswer:
    """Many configurations in the order in which to try them."""
    hardware, note = hardware_of(library, question)
    tried = asked_configurations(question)
    found = library.rank(tried, op=question.op, hw=hardware, problem=question.problem)
    stated = {parameter for one in tried for parameter in one}
    return RankAnswer(
        order=tuple(_in_part(one, stated) for one in found.order[: question.limit]),
        more=max(0, len(found.order) - question.limit),
        num_removed=found.num_removed,
        sources=_named_sources(found.sources),
        note=note,
    )


def _in_part(configuration: Mapping[str, Scalar], stated: set[str]) -> dict[str, Scalar]:
    """Of a complete configuration what the question stated."""
    return {parameter: value for parameter, value in configuration.items() if parameter in stated}


def hardware_of(library: spak.Library, question: FirstQuestion | CandidatesQuestion) -> tuple[spak.HardwareName, str]:
    """The hardware that a question means; and if it is new, a sentence that says so.

    Raises:
        UnknownNameError: If it is not known, and neither is its compute capability: a slip would answer for a stranger.
    """
    try:
        library.query(hw=question.hw, op=question.op)
    except spak.UnknownNameError as error:
        if error.kind != "hardware" or not question.arch:
            raise
    else:
        return spak.HardwareName(question.hw), ""
    library.query(hw=question.arch, op=question.op)
    told = f"{quoted(question.hw, 100)} is not in the law root: the answer is that for any {name(question.arch)}."
    return spak.HardwareName(question.hw, arch=question.arch), told
