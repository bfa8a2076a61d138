"""The roofline as SVG: ink and paper are the page's, letters large enough for a small screen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from spak.kg.model.figures import digits, extent
from spak.tuner.report.bounds import RooflineBound, Roofs
from spak.tuner.report.document import Figure

_WIDTH, _HEIGHT = 480, 320
_LEFT, _RIGHT, _TOP, _FOOT = 52, 472, 24, 278
_MARKS = tuple(zip("●■◆▲▼", ("#3b82c4", "#d9822b", "#2f9e6e", "#9467bd", "#8b949e"), strict=True))
"""Told apart by shape, and by colour on white, on near-black and without red and green."""


def roofline(roofs: Roofs, series: Sequence[tuple[str, Sequence[RooflineBound]]]) -> Figure:
    """The roofs, and the best of every problem size of each kernel under them."""
    points = [bound for _, found in series for bound in found]
    return Figure(
        "roofline",
        f"Roofline: the peak of {digits(roofs.tflops)} TFLOPS (fp16 or bf16 tensor cores, dense, as printed in the "
        f"datasheet) and {digits(roofs.gb_per_s)} GB/s meet at {digits(roofs.ridge)} FLOP per byte. Each mark is the best "
        "configuration at one problem size; its 95 % interval, in the tables, is smaller than the mark.",
        "Log-log plot. The points lie at "
        f"{extent([100 * max(bound.arithmetic, bound.traffic) for bound in points], ' %', 2)} of the roof above them.",
        "\n".join(_svg(roofs, series, points)),
    )


@dataclass(frozen=True)
class _Axis:
    """A logarithmic axis from one pixel to another."""

    low: float
    high: float
    pixels: tuple[float, float]

    def __call__(self, value: float) -> float:
        start, end = self.pixels
        return round(start + (end - start) * math.log(value / self.low) / math.log(self.high / self.low), 1)

    @property
    def decades(self) -> Iterator[float]:
        """The powers of ten on it."""
        yield from (10.0**power for power in range(math.ceil(math.log10(self.low)), math.ceil(math.log10(self.high))))


def _svg(
    roofs: Roofs, series: Sequence[tuple[str, Sequence[RooflineBound]]], points: Sequence[RooflineBound]
) -> Iterator[str]:
    across = [roofs.ridge, *(bound.intensity for bound in points)]
    up = [roofs.tflops / 10, *(bound.arithmetic * roofs.tflops for bound in points)]
    x = _Axis(min(across) / 3, max(across) * 3, (_LEFT, _RIGHT))
    y = _Axis(min(up) / 2, roofs.tflops * 3, (_FOOT, _TOP))
    yield f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-hidden="true" focusable="false" font-size="13" fill="currentColor">'
    grid = [f"M{x(ten)} {_TOP}V{_FOOT}" for ten in x.decades] + [f"M{_LEFT} {y(ten)}H{_RIGHT}" for ten in y.decades]
    yield f'<path d="{"".join(grid)}" stroke="currentColor" opacity=".2"/>'
    for ten in x.decades:
        yield _text(x(ten), _FOOT + 17, f"{ten:g}", "middle")
    for ten in y.decades:
        yield _text(_LEFT - 5, y(ten) + 4, f"{ten:g}", "end")
    yield _text((_LEFT + _RIGHT) / 2, _HEIGHT - 6, "FLOP per byte of least traffic", "middle")
    yield _text(4, _TOP - 6, "TFLOPS of useful work", "start")
    start = max(x.low, y.low * 1e3 / roofs.gb_per_s)
    roof = f"M{x(start)} {y(start * roofs.gb_per_s / 1e3)}L{x(roofs.ridge)} {y(roofs.tflops)}H{_RIGHT}"
    yield f'<path d="{roof}" fill="none" stroke="currentColor" stroke-width="1.5"/>'
    for place, ((title, found), (mark, colour)) in enumerate(zip(series, _MARKS, strict=False)):
        styled = f'<tspan fill="{colour}">{mark}</tspan>'
        for bound in found:
            yield _text(x(bound.intensity), y(bound.arithmetic * roofs.tflops) + 4, styled, "middle")
        yield _text(_RIGHT - 4, _FOOT - 8 - 17 * place, f"{escape(title)} {styled}", "end")
    yield "</svg>"


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:g}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
