"""The page, the plot and the README's part about MicroGPT, from what bench.microgpt measured.

python -m bench.microgpt_tables
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.attention_tables import table
from bench.cold_tables import between
from bench.microgpt_runs import OURS, SCALAR

ROOT = Path(__file__).parents[1]
RECORDED = ROOT / "bench" / "results" / "microgpt-h200.json"
LARGER = ROOT / "bench" / "results" / "microgpt-scale-h200.json"
PAGE, LOSSES, README = ROOT / "docs" / "microgpt.md", ROOT / "docs" / "microgpt.svg", ROOT / "README.md"
OPPONENT, NATIVE = "C, cc -O3", "C, cc -O3 -march=native"
WINDOW = 10
"""Steps whose mean loss is a point of the plot."""

Result = Mapping[str, Any]


def us(interval: Mapping[str, Any]) -> str:
    """Median and 95 % interval, in microseconds."""
    digits = 1 if interval["median"] < 1000 else 0
    return f"{interval['median']:,.{digits}f} ({interval['low']:,.{digits}f} to {interval['high']:,.{digits}f})"


def ratio_to_ours(result: Result, name: str) -> float:
    """How many times as long a step takes as ours."""
    times = {SCALAR: result["scalar"], **result["times"]}
    return float(times[name]["median"] / times[OURS]["median"])


def speed(result: Result) -> list[str]:
    """Everyone's time at one document a step."""
    times = {SCALAR: result["scalar"], **result["times"]}
    rows = [[name, us(interval), f"{ratio_to_ours(result, name):,.1f}"] for name, interval in times.items()]
    return table(["who", "us a step", "times ours"], rows)


def faithful(result: Result) -> list[str]:
    """How far each run is from the float64 one."""
    rows = []
    for name, found in result["fidelity"].items():
        known = " / ".join(f"{loss:.4f}" for loss in found["known_losses"].values())
        zeros = "yes" if found["zeros_agree"] else "no"
        rows.append([name, f"{found['max_abs_difference']:.1e}", known, f"{found['worst_gradient']:.1e}", zeros])
    labels = " / ".join(next(iter(result["fidelity"].values()))["known_losses"])
    return table(
        ["who", "largest difference of a loss", f"loss at {labels}", "worst gradient", "zero where it is zero"], rows
    )


def batches(result: Result) -> list[str]:
    """Several documents a step."""
    names = [OPPONENT, NATIVE, OURS]
    body = [
        [str(row["batch"]), *(us(row["times"][name]) for name in names), f"{row['max_abs_difference'][OURS]:.1e}"]
        for row in result["batches"]
    ]
    header = ["documents a step", *(f"{name}, us a step" for name in names), "largest difference of a loss, 100 steps"]
    return table(header, body)


def larger(scale: Result) -> list[str]:
    """Each plan and the C port at larger sizes."""
    columns = ["resident", "sequence", "C, one core"]
    body = [
        [*(str(row[name]) for name in ("width", "layers", "context", "batch")), *(step(row, name) for name in columns)]
        for row in scale["sizes"]
    ]
    return table(["width", "layers", "context", "documents a step", *(f"{name}, us a step" for name in columns)], body)


def step(row: Result, name: str) -> str:
    """Median time of a step in microseconds; a dash where it was not timed."""
    return f"{row[name]['step_us']:,.1f}" if "step_us" in row.get(name, {}) else "-"


def beside_torch(scale: Result) -> list[str]:
    """What PyTorch takes on the same GPU where it was timed, and how many times ours that is."""
    row = next(row for row in scale["sizes"] if any(name.startswith("torch eager") for name in row))
    names = [name for name in row if name.startswith("torch") and "step_us" in row[name]]
    return table(
        ["who", "us a step", "times ours"],
        [
            [name, step(row, name), f"{row[name]['step_us'] / row['sequence']['step_us']:,.1f}"]
            for name in ["sequence", *names]
        ],
    )


def scale_part(scale: Result) -> list[str]:
    """The page's part about larger sizes."""
    target = next(row for row in scale["sizes"] if any(name.startswith("torch eager") for name in row))
    single = target["torch float32, difference only"]
    return [
        "## Larger sizes",
        "",
        f"{scale['device']}, torch {scale['torch']}; `python -m bench.microgpt_scale`.",
        "Host clock around whole runs of 100 steps of full documents, 4 heads, captured in one CUDA graph; medians of 5 runs.",
        "Plan `resident` is one CTA, `sequence` small launches over all rows, products by three tf32 ones.",
        "",
        *larger(scale),
        "",
        f"At width {target['width']}, {target['layers']} layers, context {target['context']}, {target['batch']} documents a step,",
        "beside PyTorch in float32 (`highest`: no tf32) on the same GPU:",
        "",
        *beside_torch(scale),
        "",
        (
            f"There the first gradients are within {target['sequence']['gradient_error']:.0e} of float64's, torch's in float32 within"
            f" {single['gradient_error']:.0e};"
        ),
        (
            f"the losses of ten steps within {target['sequence']['loss_difference'][0]:.1e}, torch's within"
            f" {single['loss_difference'][0]:.1e}."
        ),
        "",
        (
            "From which size on the GPU is worth it is a law,"
            " [sm90-microgpt-from-c-to-gpu](../laws/sm_90/microgpt/sm90-microgpt-from-c-to-gpu.yaml)."
        ),
        "",
    ]


def first_line(result: Result) -> str:
    """Who wins at one document a step."""
    ours, port = result["times"][OURS]["median"], result["times"][OPPONENT]["median"]
    verb = "faster than" if ours < port else "slower than"
    factor = port / ours if ours < port else ours / port
    return (
        f"At one document a step the GPU is {factor:.1f} times {verb} one CPU core that runs the C port: "
        f"{ours:.1f} us a step against {port:.1f}."
    )


def larger_line(scale: Result) -> str:
    """The size that PyTorch was timed at, in a sentence."""
    row = next(row for row in scale["sizes"] if any(name.startswith("torch eager") for name in row))
    eager, best = "torch eager, highest", "torch.compile in a CUDA graph, highest"
    eager_ratio, best_ratio = (row[name]["step_us"] / row["sequence"]["step_us"] for name in (eager, best))
    return (
        f"At width {row['width']}, {row['layers']} layers, context {row['context']} and {row['batch']} documents a step"
        f" {row['sequence']['step_us']:.0f} us, {eager_ratio:.1f} times as fast as eager torch in float32 and"
        f" {best_ratio:.1f} times as fast as torch.compile in a CUDA graph."
    )


def a_launch(result: Result) -> float:
    """Microseconds that a launch for every step adds to a step."""
    return float(result["times"][f"{OURS}, steps_per_launch 1"]["median"] - result["times"][OURS]["median"])


def page(result: Result, scale: Result) -> str:
    """The whole page."""
    machine, floor, scalar = result["machine"], result["floor"], result["scalar"]
    parts = [
        "# MicroGPT",
        "",
        "Written by `python -m bench.microgpt_tables` from `microgpt-h200.json` and `microgpt-scale-h200.json` in `bench/results`.",
        "Do not edit.",
        "",
        first_line(result),
        "",
        f"{machine['device']}, {machine['processor']} (one core each), torch {machine['torch']}, {machine['compiler']}.",
        f"Host clock around whole runs of {result['steps']:,} steps, from documents as strings to losses and parameters on the host,",
        "in rounds of a random order; medians with 95 % intervals.",
        f"Scalar Python ran {scalar['steps']} steps, beside the others on cores of its own.",
        "Reading the list, shuffling and drawing the weights is Python, the same for all and not in these times:",
        f"{result['preparation_ms']['median']:.0f} ms once.",
        "",
        *speed(result),
        "",
        "`steps_per_launch` n: the run is cut into launches of n steps, captured in one CUDA graph; `GPU` is one launch for all.",
        f"A launch for every step costs {a_launch(result):.1f} us a step more than one launch for all.",
        "",
        f"Floor of one document a step in one CTA: {floor['products']} dependent products at 0.25 us and",
        f"{floor['elementwise']} element-wise stages at 0.08 us, as such stages take in a loop of one CTA, make {floor['us']:.1f} us;",
        "[decision 0123](decisions/0123-one-cta-trains-microgpt.md) has where the rest goes.",
        "",
        "## Fidelity",
        "",
        "Against torch in float64, every step; the first step's gradients one by one, of those that are at least a thousandth of the largest.",
        "Products are float32 multiply-adds: no tf32.",
        "",
        *faithful(result),
        "",
        "![Loss over 1,000 steps](microgpt.svg)",
        "",
        "## Several documents a step",
        "",
        *batches(result),
        "",
        *scale_part(scale),
    ]
    return "\n".join(parts)


def readme_row(result: Result, scale: Result) -> str:
    """The README's part."""
    difference = result["fidelity"][OURS]["max_abs_difference"]
    return "\n".join(
        [
            "MicroGPT (Karpathy's microgpt.py, 4,192 parameters) trained by one launch on an H200.",
            first_line(result),
            f"No loss of the 1,000 steps differs from float64's by more than {difference:.0e} ([page](docs/microgpt.md)).",
            larger_line(scale),
            "",
            "| who | us a step | times ours |",
            "|---|---|---|",
            *speed(result)[2:],
            "",
            '<img src="docs/microgpt.svg" width="640" alt="Loss over 1,000 steps: the curve of the kernels lies on that of float64.">',
            "",
        ]
    )


def drawn(result: Result) -> str:
    """The plot: mean losses of `WINDOW` steps, float64's as a broad line, ours as a thin one on it."""
    curves = {name: windows(result["losses"][name]) for name in ("reference", OURS)}
    low = min(float(curve.min()) for curve in curves.values())
    high = max(float(curve.max()) for curve in curves.values())
    steps = result["steps"]

    def points(curve: np.ndarray) -> str:
        x = 60 + 560 * (np.arange(len(curve)) + 0.5) * WINDOW / steps
        y = 270 - 240 * (curve - low) / (high - low)
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))

    ticks = [low + share * (high - low) for share in (0, 0.5, 1)]
    labels = [f'<text x="52" y="{275 - 120 * i}" text-anchor="end">{tick:.2f}</text>' for i, tick in enumerate(ticks)]
    labels += [
        f'<text x="{60 + 560 * share:.0f}" y="296" text-anchor="middle">{int(steps * share)}</text>'
        for share in (0, 0.5, 1)
    ]
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 310" width="640" height="310" role="img">',
            f"<title>Loss over {steps} steps, means of {WINDOW}: float64 (broad) and cuTile (thin)</title>",
            "<style>text{font:15px system-ui,sans-serif;fill:#57606a}polyline{fill:none}</style>",
            '<rect width="100%" height="100%" rx="8" fill="#fff"/>',
            *labels,
            f'<polyline points="{points(curves["reference"])}" stroke="#9ecbff" stroke-width="6"/>',
            f'<polyline points="{points(curves[OURS])}" stroke="#0b3d91" stroke-width="1.5"/>',
            '<text x="620" y="30" text-anchor="end">broad: torch float64 · thin: cuTile</text>',
            "</svg>",
            "",
        ]
    )


def windows(losses: Sequence[float]) -> np.ndarray:
    """Means of `WINDOW` losses each."""
    return np.asarray(losses)[: len(losses) // WINDOW * WINDOW].reshape(-1, WINDOW).mean(axis=1)


def main() -> int:
    """Write page, plot and the README's part."""
    result = json.loads(RECORDED.read_text())
    scale = json.loads(LARGER.read_text())
    PAGE.write_text(page(result, scale))
    LOSSES.write_text(drawn(result))
    README.write_text(between(README.read_text(), "microgpt", readme_row(result, scale)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
