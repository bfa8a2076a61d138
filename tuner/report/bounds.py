"""What bounds a kernel: its time against the least time that its arithmetic and its traffic take on the hardware."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from spak.kg.model.base import Scalar
from spak.kg.model.figures import counted, extent
from spak.kg.model.taxonomy import Taxonomy
from spak.tuner.report.choose import Subject
from spak.tuner.report.document import Bullets, Figure, Paragraph, Section
from spak.tuner.report.timing import KernelRuns, Size, Timed

PEAK, BANDWIDTH = "fp16_tflops", "bandwidth_gb_per_s"
"""The facts of the hardware that the roofs are."""

HALF = 0.5
"""A kernel is bound by what explains more than half of its time; if neither roof does, by latency."""

CAUSES = ("by arithmetic", "by traffic", "by latency")


@dataclass(frozen=True)
class Roofs:
    """What the hardware can do at most: dense fp16 or bf16 tensor-core peak, and bandwidth of device memory."""

    tflops: float
    gb_per_s: float

    @classmethod
    def of(cls, facts: Mapping[str, Scalar]) -> Roofs | None:
        """The roofs that `facts` state; None if one is missing."""
        stated = [value for name in (PEAK, BANDWIDTH) if isinstance(value := facts.get(name), int | float)]
        return cls(*stated) if len(stated) == 2 else None  # noqa: PLR2004

    @property
    def ridge(self) -> float:
        """FLOP per byte at which the two roofs meet."""
        return self.tflops * 1e3 / self.gb_per_s


@dataclass(frozen=True)
class RooflineBound:
    """The best of one problem size against the roofs.

    Attributes:
        intensity: FLOP per byte of least traffic.
        arithmetic: Share of the time that the arithmetic takes at the peak.
        traffic: Share of the time that the least traffic takes at the full bandwidth.
    """

    size: Size
    best: Timed
    intensity: float
    arithmetic: float
    traffic: float

    @property
    def cause(self) -> str:
        """One of `CAUSES`."""
        if max(self.arithmetic, self.traffic) <= HALF:
            return CAUSES[2]
        return CAUSES[0] if self.arithmetic >= self.traffic else CAUSES[1]


def roofline_bounds(kernel: KernelRuns, roofs: Roofs | None) -> tuple[RooflineBound, ...]:
    """One for each timed problem size whose FLOPs and bytes are known."""
    if roofs is None:
        return ()
    return tuple(
        RooflineBound(
            size,
            size.best,
            size.flops / size.bytes,
            size.best.time_us.rate(size.flops).value / roofs.tflops,
            size.bytes / roofs.gb_per_s / 1e3 / size.best.time_us.value,
        )
        for size in kernel.sizes
        if size.best is not None and size.bytes and size.flops
    )


def bounds_in_words(found: Sequence[RooflineBound], state: str) -> str:
    """What it carries along and what bounds it where: `bound by arithmetic at every size (64 to 81 % of the peak)`."""
    parts = [f"carries {state} from tile to tile"] if state and not state.startswith("none") else []
    parts += ["carries nothing from tile to tile"] if state.startswith("none") else []
    for cause in CAUSES:
        here = [bound for bound in found if bound.cause == cause]
        if here:
            where = "every size" if len(here) == len(found) else f"{len(here)} of {counted(len(found), 'size')}"
            peak = extent([100 * bound.arithmetic for bound in here], " %", 2)
            parts.append(f"bound {cause} at {where} ({peak} of the peak)")
    return ", ".join(parts)


def section(subject: Subject, found: Sequence[RooflineBound], figure: Figure | None) -> Section:
    """What bounds the kernel, and the roofline."""
    op = subject.op
    if not found or figure is None:
        text = f"`{subject.hw}` states no peak or bandwidth, or `{op.id}` no FLOPs or bytes, so no bound can be given."
        return Section("What bounds it", "bounds", (Paragraph(text),))
    traffic = extent([100 * bound.traffic for bound in found], " %", 2)
    text = (
        f"{op.title} {bounds_in_words(found, subject.state)}; the least traffic to device memory explains {traffic} of the time. "
        "Bound by arithmetic or by traffic: that roof explains more than half of the time. Bound by latency: neither does."
    )
    items = [f"Operations: {op.flops['useful'].rule}."] if "useful" in op.flops else []
    items += [f"Traffic: {op.bytes.rule}."] if op.bytes else []
    items += [f"As an einsum: `{op.einsum}`."] if op.einsum else []
    return Section("What bounds it", "bounds", (Paragraph(text), figure, Bullets((*items, *_facts(subject)))))


def _facts(subject: Subject) -> Iterator[str]:
    """The roofs with their sources, from the nearest node that states them."""
    hardware = subject.laws.hardware
    for name in (PEAK, BANDWIDTH):
        for node in Taxonomy("hardware", hardware).ancestors(subject.hw):
            fact = hardware[node].facts.get(name)
            if fact is not None:
                sure = "confirmed" if fact.confirmed else "unconfirmed"
                yield f"`{name}` = {fact.value} ({sure}): {'; '.join(filter(None, (fact.source, fact.note)))}."
                break
