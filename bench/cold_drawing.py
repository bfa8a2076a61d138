"""Draws how the best so far of many searches falls with the trials: medians, and the middle half, as one SVG.

It is read in light and in dark, and at the width of a phone: it brings its own paper, and letters that stay legible.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

WIDTH, PANEL = 640, 330
LEFT, RIGHT, TOP, FOOT = 66, 622, 52, 56
TICKS = (1, 2, 5, 10, 20, 40, 80)
MOST = 60.0
"""The highest percentage that an axis reaches; what is worse leaves the panel."""
MARKS = ("a", "b", "c", "d")
STYLE = """
svg{--paper:#fff;--ink:#1f2328;--grid:#d1d9e0;--a:#0b62c4;--b:#b35900;--c:#1a7f4b;--d:#6e7781}
@media(prefers-color-scheme:dark){svg{--paper:#0d1117;--ink:#e6edf3;--grid:#30363d;--a:#58a6ff;--b:#f0883e;--c:#3fb950;--d:#9aa4ae}}
text{font:18px system-ui,sans-serif;fill:var(--ink);stroke:var(--paper);stroke-width:4px;paint-order:stroke}.t{font-weight:600}
.a{stroke:var(--a);fill:var(--a)}.b{stroke:var(--b);fill:var(--b)}.c{stroke:var(--c);fill:var(--c)}.d{stroke:var(--d);fill:var(--d)}
.l{fill:none;stroke-width:3}.a.l{stroke-width:4}.d.l{stroke-dasharray:8 5}.s{stroke:none;opacity:.16}
"""


@dataclass(frozen=True)
class Line:
    """One way to search.

    Attributes:
        middle, low, high: (T,) median and quartiles of the ratio after 1..T trials; infinite where nothing ran.
        band: Whether the quartiles are drawn.
    """

    title: str
    middle: Floats
    low: Floats
    high: Floats
    band: bool = True


@dataclass(frozen=True)
class Panel:
    """What is searched, and its lines, the one that matters first."""

    title: str
    lines: Sequence[Line]

    @property
    def top(self) -> float:
        """Percentage at the upper edge: room for what three of four searches stay below after two trials."""
        worst = max(float(line.high[1]) for line in self.lines)
        return next((top for top in (10.0, 20.0, 30.0) if 100 * (worst - 1) <= top), MOST)

    def y(self, ratio: float, top: float) -> float:
        """Where a ratio lies in a panel that begins at `top`."""
        share = min(100 * (ratio - 1) / self.top, 1.0)
        return round(top + TOP + (PANEL - TOP - FOOT) * (1 - share), 1)


def svg(panels: Sequence[Panel], alt: str) -> str:
    """The panels below each other."""
    height = PANEL * len(panels)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">'
    body = [part for place, panel in enumerate(panels) for part in _panel(panel, place * PANEL)]
    paper = '<rect width="100%" height="100%" rx="8" style="fill:var(--paper)"/>'
    return "\n".join([head, f"<title>{escape(alt)}</title>", f"<style>{STYLE}</style>", paper, *body, "</svg>", ""])


def _x(trials: float) -> float:
    return round(LEFT + (RIGHT - LEFT) * math.log(trials) / math.log(TICKS[-1]), 1)


def _panel(panel: Panel, top: float) -> Iterator[str]:
    foot = top + PANEL - FOOT
    yield _text(LEFT - 50, top + 30, panel.title, "start", "t")
    for percent in np.linspace(0, panel.top, 5 if panel.top == 20.0 else 4):
        y = panel.y(1 + percent / 100, top)
        yield f'<path d="M{LEFT} {y}H{RIGHT}" style="stroke:var(--grid)"/>'
        yield _text(LEFT - 8, y + 6, f"{percent:.0f} %" if percent else "best", "end")
    for tick in TICKS:
        yield _text(_x(tick), foot + 22, str(tick), "middle")
    yield _text((LEFT + RIGHT) / 2, foot + 44, "configurations tried", "middle")
    for mark, line in zip(MARKS, panel.lines, strict=False):
        if line.band:
            yield f'<path class="{mark} s" d="{_band(panel, line, top)}"/>'
    for mark, line in reversed(list(zip(MARKS, panel.lines, strict=False))):
        yield f'<path class="{mark} l" d="{_steps(panel, line.middle, top)}"/>'
    for place, (mark, line) in enumerate(zip(MARKS, panel.lines, strict=False)):
        y = top + TOP + 14 + 25 * place
        yield f'<path class="{mark} l" d="M{RIGHT - 34} {y - 6}H{RIGHT}"/>'
        yield _text(RIGHT - 42, y, line.title, "end")


def _steps(panel: Panel, ratios: Floats, top: float) -> str:
    """The ratio holds until the next trial is done."""
    (first, start), *rest = _points(panel, ratios, top)
    return f"M{first} {start}" + "".join(f"H{x}V{y}" for x, y in rest)


def _band(panel: Panel, line: Line, top: float) -> str:
    """Between the quartiles, in the same steps."""
    (x, y), *earlier = reversed(list(_points(panel, line.low, top)))
    edge = f"L{x} {y}"
    for before, ratio in earlier:
        edge += f"V{ratio}H{before}"
    return _steps(panel, line.high, top) + edge + "Z"


def _points(panel: Panel, ratios: Floats, top: float) -> Iterator[tuple[float, float]]:
    """Where the ratios lie, but for those before anything ran."""
    for trials, ratio in enumerate(ratios, 1):
        if math.isfinite(ratio):
            yield _x(trials), panel.y(float(ratio), top)


def _text(x: float, y: float, text: str, anchor: str, style: str = "") -> str:
    klass = f' class="{style}"' if style else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{klass}>{escape(text)}</text>'
