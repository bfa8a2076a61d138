"""Validation losses of trainings by several seeds: how far two contestants lie apart beside what seeds do, and the plot."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.nanogpt_cases import OURS, TORCH

COLOURS = {TORCH: "#57606a", OURS: "#0b3d91"}
GOAL = 1.50

Curves = Mapping[str, Mapping[int, Sequence[float]]]
"""Contestant -> step -> validation losses, a seed each, in the order of the seeds."""


def curves_of(runs: Sequence[Mapping[str, Any]]) -> Curves:
    """From the records of `bench.nanogpt_training`."""
    found: dict[str, dict[int, list[float]]] = {}
    for run in sorted(runs, key=lambda run: (run["who"], run["seed"])):
        for step, loss in run["validation"].items():
            found.setdefault(run["who"], {}).setdefault(int(step), []).append(float(loss))
    return found


def distances(curves: Curves, ours: str, theirs: str) -> dict[int, tuple[float, float]]:
    """By step, (mean of ours minus mean of theirs, half width of its 95 % interval by Student's t over the seeds).

    Before the first step all weights of a seed are the same; it is left out.
    """
    found = {}
    for step, losses in curves[ours].items():
        if step:
            samples = (losses, curves[theirs][step])
            spread = sum(statistics.variance(each) / len(each) for each in samples)
            free = sum(map(len, samples)) - 2
            means = [statistics.mean(each) for each in samples]
            found[step] = (means[0] - means[1], STUDENT_95[free] * math.sqrt(spread))
    return found


STUDENT_95 = {2: 4.303, 4: 2.776, 6: 2.447, 8: 2.306}
"""Degrees of freedom -> two-sided 95 % quantile. Source: NIST/SEMATECH e-Handbook, 1.3.6.7.2."""


def drawn_curves(curves: Curves) -> str:
    """The plot: each contestant's seeds as a band from least to most, its mean as a line; from the first evaluation after 0."""
    steps = sorted(step for step in next(iter(curves.values())) if step)
    every = [loss for each in curves.values() for step in steps for loss in each[step]]
    low, high = min([*every, GOAL]) - 0.02, max(every)

    def at(step: int, loss: float) -> str:
        x = 60 + 560 * (step - steps[0]) / max(1, steps[-1] - steps[0])
        return f"{x:.1f},{270 - 240 * (loss - low) / (high - low):.1f}"

    shapes = []
    for who, losses in sorted(curves.items(), key=lambda item: item[0] != TORCH):  # ours lies on top
        colour = COLOURS.get(who, "#0b3d91")
        band = [at(step, min(losses[step])) for step in steps] + [at(step, max(losses[step])) for step in steps[::-1]]
        mean = " ".join(at(step, statistics.mean(losses[step])) for step in steps)
        shapes.append(f'<polygon points="{" ".join(band)}" fill="{colour}" fill-opacity="0.18"/>')
        shapes.append(f'<polyline points="{mean}" stroke="{colour}" stroke-width="{4 if who == TORCH else 1.5}"/>')
    goal = at(steps[0], GOAL).split(",")[1]
    labels = [
        f'<text x="52" y="{float(at(0, loss).split(",")[1]) + 5:.1f}" text-anchor="end">{loss:.2f}</text>'
        for loss in (GOAL, (GOAL + high) / 2, high)
    ]
    labels += [
        f'<text x="{at(step, 0).split(",")[0]}" y="296" text-anchor="middle">{step}</text>' for step in steps[::3]
    ]
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 310" width="640" height="310" role="img">',
            "<title>Validation loss against training step: PyTorch (broad) and ours (thin), bands of the seeds</title>",
            "<style>text{font:15px system-ui,sans-serif;fill:#57606a}polyline{fill:none}</style>",
            '<rect width="100%" height="100%" rx="8" fill="#fff"/>',
            f'<line x1="60" x2="620" y1="{goal}" y2="{goal}" stroke="#d0d7de" stroke-dasharray="4"/>',
            *labels,
            *shapes,
            '<text x="620" y="30" text-anchor="end">broad: PyTorch · thin: ours · bands: seeds</text>',
            "</svg>",
            "",
        ]
    )
