"""What kind of system a kernel is: its time against the least time that its arithmetic and its traffic take here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spak.kg.model.base import Scalar
from spak.kg.model.op import Op
from spak.tuner.report.choose import Subject
from spak.tuner.report.document import Block, Bullets, Figure, Paragraph, Section, Table
from spak.tuner.report.timing import Kernel, Size, Span
from spak.tuner.report.words import NOTHING, digits, extent, percent

HALF = 0.5
"""A kernel is bound by what explains more than half of its time; if neither roof does, by latency."""

SHORTEST_US = 0.01


@dataclass(frozen=True)
class Roofs:
    """What the hardware can do at most.

    Attributes:
        tflops: Dense fp16 or bf16 tensor-core peak, fp32 accumulation.
        gb_per_s: Bandwidth of device memory.
    """

    tflops: float
    gb_per_s: float

    @classmethod
    def of(cls, facts: Mapping[str, Scalar]) -> Roofs | None:
        """The roofs that `facts` state; None if one is missing."""
        peak, bandwidth = facts.get("fp16_tflops"), facts.get("bandwidth_gb_per_s")
        if not isinstance(peak, int | float) or not isinstance(bandwidth, int | float):
            return None
        return cls(float(peak), float(bandwidth))

    @property
    def ridge(self) -> float:
        """FLOP per byte at which the two roofs meet."""
        return self.tflops * 1e3 / self.gb_per_s


@dataclass(frozen=True)
class Bound:
    """One problem size against the roofs.

    Attributes:
        size: The problem size.
        intensity: FLOP per byte of least traffic.
        arithmetic_us: Time of the arithmetic at the peak.
        traffic_us: Time of the least traffic at the full bandwidth.
        time_us: Time of the best configuration; None if nothing was timed.
    """

    size: Size
    intensity: float
    arithmetic_us: float
    traffic_us: float
    time_us: Span | None

    @property
    def arithmetic(self) -> float:
        """Share of the time that the arithmetic explains."""
        return self.arithmetic_us / self.time_us.value if self.time_us else 0.0

    @property
    def traffic(self) -> float:
        """Share of the time that the traffic explains."""
        return self.traffic_us / self.time_us.value if self.time_us else 0.0

    @property
    def by(self) -> str:
        """`arithmetic`, `traffic` or `latency`."""
        if max(self.arithmetic, self.traffic) <= HALF:
            return "latency"
        return "arithmetic" if self.arithmetic >= self.traffic else "traffic"


def bounds(kernel: Kernel, roofs: Roofs | None) -> tuple[Bound, ...]:
    """One for each problem size whose FLOPs and bytes are known."""
    if roofs is None:
        return ()
    return tuple(
        Bound(
            size,
            size.flops / size.bytes,
            size.flops / roofs.tflops / 1e6,
            size.bytes / roofs.gb_per_s / 1e3,
            None if size.best is None else size.best.time_us,
        )
        for size in kernel.sizes
        if size.bytes and size.flops
    )


def kind_in_words(found: Sequence[Bound], state: str) -> str:
    """One sentence: state and what bounds it, from the figures alone."""
    stateful = "stateless" if state.startswith("none") else f"a stateful pipeline ({state})" if state else ""
    timed = [bound for bound in found if bound.time_us]
    parts = [f"it is {stateful}"] if stateful else []
    for cause in ("arithmetic", "traffic", "latency"):
        here = [bound for bound in timed if bound.by == cause]
        if here:
            where = "at every size" if len(here) == len(timed) else f"at {len(here)} of {len(timed)} sizes"
            parts.append(f"bound by {cause} {where}")
    return ", ".join(parts)


def section(
    subject: Subject, found: Sequence[Bound], others: Sequence[tuple[Op, Sequence[Bound]]], figure: Figure | None
) -> Section:
    """The kind of system, its figures, the roofline, and the op it is contrasted with."""
    op = subject.laws.ops[subject.op]
    blocks: list[Block] = []
    if not found:
        text = f"`{subject.hw}` states no peak or bandwidth, or `{op.id}` no FLOPs or bytes, so no bound can be given."
        return Section("What kind of system it is", "kind", (Paragraph(text),))
    words = kind_in_words(found, subject.state)
    blocks.append(Paragraph(_verdict(op, found, words)))
    blocks.append(_table(found))
    if figure is not None:
        blocks.append(figure)
    blocks.append(Bullets(tuple(_explanation(op, found, others))))
    for other, theirs in others:
        blocks.append(_table(theirs, other.title))
    return Section("What kind of system it is", "kind", tuple(blocks))


def _verdict(op: Op, found: Sequence[Bound], words: str) -> str:
    timed = [bound for bound in found if bound.time_us]
    einsum = f" As an einsum: `{op.einsum}`." if op.einsum else ""
    if not timed:
        return f"Nothing was timed, so only the bounds can be given.{einsum}"
    arithmetic = extent([100 * bound.arithmetic for bound in timed], " %", 2)
    traffic = extent([100 * bound.traffic for bound in timed], " %", 2)
    return (
        f"{op.title}: {words}. Arithmetic at the peak explains {arithmetic} of the measured time, "
        f"the least traffic to device memory {traffic}; the two overlap, and the rest neither roof explains.{einsum}"
    )


def _explanation(op: Op, found: Sequence[Bound], others: Sequence[tuple[Op, Sequence[Bound]]]) -> list[str]:
    rule = f"Operations: {op.flops['useful'].rule}." if "useful" in op.flops else ""
    traffic = f"Traffic: {op.bytes.rule}." if op.bytes else ""
    items = [
        (
            "Bound by arithmetic or by traffic: that roof explains more than half of the time. Bound by latency: neither does; "
            "what is left is waiting between steps that depend on one another, work outside the tensor cores, and "
            "starting up; these runs do not tell these apart."
        ),
        *([rule] if rule else []),
        *([traffic] if traffic else []),
    ]
    if not others and any(bound.time_us for bound in found):
        items.append("For contrast, a stateless kernel (MatMul) on this hardware: not measured here.")
    for other, theirs in others:
        if any(bound.time_us for bound in theirs):
            items.append(f"For contrast, {other.title} on this hardware: {kind_in_words(theirs, 'none')}.")
    return items


def _microseconds(value: float) -> str:
    """Three digits, but none past the hundredths: a launch alone takes a hundred times as long."""
    return digits(value) if value >= SHORTEST_US else "0.00"


def _table(found: Sequence[Bound], title: str = "") -> Table:
    rows = []
    for bound in found:
        timed = bound.time_us is not None
        rows.append(
            (
                bound.size.name,
                digits(bound.intensity),
                _microseconds(bound.arithmetic_us),
                _microseconds(bound.traffic_us),
                percent(bound.arithmetic).removesuffix(" %") if timed else NOTHING,
                percent(bound.traffic).removesuffix(" %") if timed else NOTHING,
                bound.by if timed else NOTHING,
            )
        )
    return Table(
        caption=(f"{title}. " if title else "")
        + "Computed bounds in microseconds (arith.: operations at the peak; mem.: least traffic at full bandwidth); "
        "peak and bw.: percent of the measured time that each explains.",
        header=("Problem size", "FLOP/B", "arith.", "mem.", "peak", "bw.", "bound by"),
        rows=tuple(rows),
        align=("left", "right", "right", "right", "right", "right", "left"),
    )
