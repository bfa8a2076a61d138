"""Draws the losses of a run as SVG: training as a line, validation as points."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

WIDTH, HEIGHT = 640, 310
_LEFT, _RIGHT, _TOP, _FOOT = 60, 620, 30, 270
_POINTS = 400
"""Means that the line is drawn through, at most."""


def loss_plot(losses: np.ndarray, evaluations: Sequence[tuple[int, float]], title: str) -> str:
    """SVG of losses (steps,), and of evaluations, each step and loss; in nats."""
    window = max(1, -(-len(losses) // _POINTS))
    starts = range(0, len(losses), window)
    means = [float(np.mean(losses[start : start + window])) for start in starts]
    ends = [min(start + window, len(losses)) for start in starts]
    values = np.array([*means, *(loss for _, loss in evaluations)])
    low, high = float(values.min()), float(max(values.max(), values.min() + 1e-6))

    def x(step: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * step / len(losses), 1)

    def y(loss: float) -> float:
        return round(_FOOT - (_FOOT - _TOP) * (loss - low) / (high - low), 1)

    line = " ".join(f"{x(end)},{y(mean)}" for end, mean in zip(ends, means, strict=True))
    dots = [f'<circle cx="{x(step)}" cy="{y(loss)}" r="4" fill="#b35900"/>' for step, loss in evaluations]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">',
            f"<title>{escape(title)}</title>",
            "<style>text{font:15px system-ui,sans-serif;fill:#57606a}</style>",
            '<rect width="100%" height="100%" rx="8" fill="#fff"/>',
            *_labels([low, (low + high) / 2, high], len(losses)),
            f'<polyline points="{line}" fill="none" stroke="#0b62c4" stroke-width="2"/>',
            *dots,
            f'<text x="{_RIGHT}" y="24" text-anchor="end">line: training, means of {window} · points: validation</text>',
            "</svg>",
            "",
        ]
    )


def _labels(losses: Sequence[float], steps: int) -> list[str]:
    half = (_FOOT - _TOP) / 2
    left = [
        f'<text x="52" y="{_FOOT + 5 - half * i:g}" text-anchor="end">{loss:.2f}</text>'
        for i, loss in enumerate(losses)
    ]
    places = [(_LEFT + (_RIGHT - _LEFT) * share, int(steps * share)) for share in (0.0, 0.5, 1.0)]
    return left + [f'<text x="{place:g}" y="296" text-anchor="middle">{step}</text>' for place, step in places]
