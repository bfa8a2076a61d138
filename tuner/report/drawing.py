"""Matplotlib figures as SVG for a page: no date, stable ids, colours of ink and paper left to the page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from spak.tuner.errors import TunerError

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

INK = "#010203"
"""Stands for the page's text colour; no palette has it."""

BLUE, ORANGE, GREEN, GREY, PURPLE = "#3b82c4", "#d9822b", "#2f9e6e", "#8b949e", "#9467bd"
"""Readable on white and on near-black, and told apart by people who see no red or green."""

_SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 9.0,
    "axes.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.0,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "hatch.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
}

_PROLOG = re.compile(r"\A.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>\s*", re.DOTALL)
_SIZE = re.compile(r'(<svg[^>]*?) width="[^"]*"| height="[^"]*"(?=[^>]*xmlns)', re.DOTALL)
_IDS = re.compile(r'(\bid="|xlink:href="#|href="#|url\(#)')
_FAMILY = re.compile(r"font-family: [^;\"]*|font: ([\d.]+px) [^;\"]*")


def draw(name: str, size: tuple[float, float], paint: Callable[[Canvas], None]) -> str:
    """The SVG of what `paint` draws.

    Args:
        name: Of the figure; makes its ids unique in a page.
        size: Inches.
        paint: Draws on an empty canvas.

    Raises:
        TunerError: If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - of the `report` extra, needed by this command alone
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise TunerError(
            "a report needs jinja2 and matplotlib; install them with: pip install 'spak[report]'"
        ) from None
    with mpl.rc_context(cast("Any", _SETTINGS | {"svg.hashsalt": name})):
        canvas = Figure(figsize=size, layout="constrained")
        paint(canvas)
        file = io.StringIO()
        canvas.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _for_page(file.getvalue(), name)


def _for_page(svg: str, name: str) -> str:
    """Without prolog and metadata, ids prefixed, ink as the page's text colour, font as the page's."""
    svg = _METADATA.sub("", _PROLOG.sub("", svg))
    svg = _IDS.sub(rf"\g<1>{name}-", svg)
    svg = svg.replace(INK, "currentColor")
    svg = _FAMILY.sub(lambda found: f"font: {found[1]} sans-serif" if found[1] else "font-family: sans-serif", svg)
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1).strip()
