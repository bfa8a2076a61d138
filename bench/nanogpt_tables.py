"""NanoGPT's page, plot and the README's part, from what bench.nanogpt and its companions measured.

python -m bench.nanogpt_tables
"""

from __future__ import annotations

import gzip
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.attention_tables import table, trained_scores
from bench.cold_tables import between
from bench.inheritance import ARMS, TRIALS
from bench.nanogpt_cases import ABLATION, COMPILED, EAGER, MATRIX, OURS, PEAK_TFLOPS, TORCH
from bench.nanogpt_curves import GOAL, curves_of, distances, drawn_curves

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
STEP, TRAINING, SCALING, AUTOTUNED, ABLATED = (
    RESULTS / f"nanogpt-{name}h200.json" for name in ("", "training-", "two-", "max-autotune-", "ablation-")
)
INHERITANCE = tuple(RESULTS / f"inheritance-nanogpt-{name}h200.json.gz" for name in ("", "linear-gelu-"))
PAGE, CURVES, README = ROOT / "docs" / "nanogpt.md", ROOT / "docs" / "nanogpt.svg", ROOT / "README.md"
TITLES = {
    "124m": "GPT-2 124M, 12 sequences of 1,024 tokens",
    "char": "6 layers, width 384, 64 sequences of 256 characters",
}

TASKS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "matrix products, GELU, sums of bias gradients": (
        ("matrix products", "GELU", "sums"),
        ("linear", "linear_input_gradient", "linear_weight_gradient", "linear_gelu", "linear_gelu_backward"),
    ),
    "attention": (("attention",), ("attention", "attention_backward")),
    "norm and residual": (("norm and residual",), ("add_norm", "add_norm_backward")),
    "cross-entropy": (("cross-entropy",), ("cross_entropy",)),
    "AdamW and clipping": (("AdamW", "clipping"), ("adamw", "gradient_norm")),
    "embedding": (("embedding",), ("embedding", "embedding_backward")),
    "copies, casts and the rest": (("copies and casts", "other"), ()),
}
"""What is to be done -> PyTorch's groups of kernels, and our operators. A kernel that torch.compile fused counts where most of it belongs."""

Result = Mapping[str, Any]


def recorded(path: Path) -> Result | None:
    """The result, if it was measured."""
    if not path.exists():
        return None
    found: Result = json.loads(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_text())
    return found


def search_cost(searches: Sequence[Result]) -> list[str]:
    """Median evaluations of replayed searches until within 2 % of a sweep's best, by op and by what is known."""
    body, by_op = [], dict[str, list[Result]]()
    for one in searches:
        if not one.get("without"):
            by_op.setdefault(op_of_sweep(one["sweep"]), []).append(one)
    for op, own in sorted(by_op.items()):
        counts = {
            arm: [TRIALS + 1 if one["evaluations"] is None else one["evaluations"] for one in own if one["arm"] == arm]
            for arm in ARMS
        }
        sweeps = len({one["sweep"] for one in own})
        body.append([f"`{op}`", str(sweeps), *(f"{statistics.median(each):g}" for each in counts.values())])
    return table(["op", "sweeps", *ARMS.values()], body)


def op_of_sweep(sweep: str) -> str:
    """The op in a sweep's name, `measured-<hardware>-<op>-<problem size>`: the longest that is known."""
    named = sweep.removeprefix("measured-").partition("-")[2]
    ops = (file.stem for file in (ROOT / "laws" / "ops").glob("*.yaml"))
    return max((op for op in ops if named.startswith(f"{op}-")), key=len)


def best_compiled(case: Result) -> str:
    """The fastest of the compiled baselines."""
    rows = case["contestants"]
    return min((name for name in rows if name.startswith(COMPILED)), key=lambda name: rows[name]["ms"]["median"])


def times_ours(case: Result, name: str) -> float:
    """How many times as long a step takes as ours."""
    rows = case["contestants"]
    return float(rows[name]["ms"]["median"] / rows[OURS]["ms"]["median"])


def ms(interval: Mapping[str, Any]) -> str:
    """Median and 95 % interval, in milliseconds."""
    return f"{interval['median']:.2f} ({interval['low']:.2f} to {interval['high']:.2f})"


def steps(case: Result) -> list[str]:
    """Everyone's step, the slowest first."""
    rows = sorted(case["contestants"].items(), key=lambda item: -item[1]["ms"]["median"])
    body = [
        [
            name,
            ms(row["ms"]),
            f"{times_ours(case, name):.2f}",
            f"{row['tokens_per_s'] / 1e3:,.0f}",
            f"{row['mfu']:.1%}",
            f"{row['memory_gb']:.1f}",
        ]
        for name, row in rows
    ]
    return table(["who", "ms a step", "times ours", "1,000 tokens/s", "MFU", "GB"], body)


def against(case: Result) -> str:
    """Ours beside the baselines that the aims are of."""
    best = best_compiled(case)
    told = [f"{times_ours(case, best):.2f} times as fast as the fastest compiled baseline ({best})"]
    told += [
        f"{times_ours(case, name):.2f} times as {title}"
        for name, title in (
            (COMPILED, "torch.compile as it is"),
            (EAGER, "eager SDPA"),
            (MATRIX, "the attention matrix"),
        )
        if name in case["contestants"] and name != best
    ]
    return ", ".join(told)


def where_time_goes(case: Result) -> list[str]:
    """Microseconds a step: PyTorch's by its kernels' names, ours by operator; the last rows are of kernels alone."""
    theirs = {name: profile for name, profile in case["profiles"].items() if not name.startswith(OURS)}
    body = []
    for title, (groups, operators) in TASKS.items():
        found = (sum(profile["groups"].get(group, 0.0) for group in groups) for profile in theirs.values())
        mine = sum(case["operators"][name]["us"] for name in operators)
        body.append([title, *(f"{us:,.0f}" for us in found), f"{mine:,.0f}" if operators else "-"])
    every = [*theirs.values(), case["profiles"][OURS]]
    body.append(["all kernels", *(f"{profile['us']:,.0f}" for profile in every)])
    body.append(["kernels launched", *(f"{profile['launches']:,.0f}" for profile in every)])
    return table(["us a step", *theirs, OURS], body)


def by_operator(case: Result) -> list[str]:
    """What each operator of ours takes, and what computes it."""
    body = [
        [f"`{name}`", f"{row['calls']:.0f}", f"{row['us']:,.0f}", row["by"]] for name, row in case["operators"].items()
    ]
    return table(["operator of ours", "calls a step", "us a step", "by"], body)


def gradients(case: Result) -> list[str]:
    """Every contestant's errors against float64."""
    body = []
    for who, found in case["gradients"].items():
        if who != "losses":
            (worst, error), (furthest, ratio) = found["worst"], found["furthest_from_baseline"]
            body.append([who, f"{found['median']:.1e}", f"{error:.1e}", f"`{worst}`", f"{ratio:.2f}", f"`{furthest}`"])
    return table(
        ["who", "median error", "worst", "of", "largest ratio to eager PyTorch's", "of"],
        body,
    )


def losses(training: Result) -> list[str]:
    """Validation losses by step: mean, least and most of the seeds, and how far ours lies from PyTorch's."""
    curves = curves_of(training["runs"])
    apart = distances(curves, OURS, TORCH)
    body = []
    for step, (difference, half) in apart.items():
        each = (curves[who][step] for who in (TORCH, OURS))
        body.append(
            [
                str(step),
                *(f"{statistics.mean(x):.4f} ({min(x):.4f} to {max(x):.4f})" for x in each),
                f"{difference:+.4f}",
                f"{half:.4f}",
            ]
        )
    return table(["step", "PyTorch", "ours", "ours less PyTorch", "95 % noise of that difference"], body)


def least_losses(training: Result) -> dict[str, list[float]]:
    """The least validation loss of each training, by contestant."""
    curves = curves_of(training["runs"])
    return {who: [min(each) for each in zip(*by_step.values(), strict=True)] for who, by_step in curves.items()}


def training_part(training: Result) -> list[str]:
    """The section about trainings."""
    schedule = training["runs"][0]["schedule"]
    least = least_losses(training)
    return [
        "## The same training",
        "",
        (
            "Characters of Shakespeare, nanoGPT's configuration with dropout "
            f"{schedule['dropout']}, its cosine shortened to {schedule['steps']:,} steps; three seeds each, the same weights and batches for both."
        ),
        "Loss of the whole validation text (the last tenth), mean of the seeds with least and most; PyTorch's three ran at once, and ours on their own.",
        (
            f"Least loss of each training: PyTorch {', '.join(f'{x:.3f}' for x in least[TORCH])}; "
            f"ours {', '.join(f'{x:.3f}' for x in least[OURS])}; the aim is {GOAL:.2f}."
        ),
        "",
        *losses(training),
        "",
        "![Validation losses](nanogpt.svg)",
        "",
        "What the scores of our first training's layers do to an online softmax, of two sequences, as the attention benchmark tells it of its inputs:",
        "",
        *trained_scores([layer for run in training["runs"] for layer in run.get("layers", [])]),
        "",
    ]


def ablation_part(result: Result) -> list[str]:
    """The section about what advises our step."""
    present = [name for name in ABLATION if all(name in case["contestants"] for case in result["cases"].values())]
    if len(present) < 2:
        return []
    body = [[name, *(ms(case["contestants"][name]["ms"]) for case in result["cases"].values())] for name in present]
    searches = [one for found in map(recorded, INHERITANCE) if found for one in found["searches"]]
    searching = (
        [
            (
                "What a search costs: evaluations until within 2 % of the best, medians of ten seeds a sweep, replayed from recorded sweeps of the "
                "H200 as if nothing had been run at the size that is searched (`bench/inheritance.py`):"
            ),
            "",
            *search_cost(searches),
            "",
        ]
        if searches
        else []
    )
    return [
        "## What laws and runs are worth",
        "",
        (
            "The same step and kernels in one run of their own; what differs is who configures the kernels, and where PyTorch's operator is left in "
            "place. Without a search at these sizes, what was recorded at other ones is no better than the defaults of 124m."
        ),
        "",
        *table(["configured by", *(f"{name}, ms a step" for name in result["cases"])], body),
        "",
        *searching,
    ]


def scaling_part(scaling: Result) -> list[str]:
    """The section about several GPUs."""
    alone, joined = (scaling["ms"][name] for name in ("alone", "together"))
    apart = max(abs(a - b) for a, b in zip(scaling["losses"], scaling["losses_of_one"], strict=True))
    count = scaling["processes"]
    return [
        "## Several GPUs",
        "",
        f"{count} x {scaling['device']} of one host, each with 12 sequences; gradients averaged by one NCCL call over the flat buffer, inside the CUDA graph.",
        f"A step takes {ms(joined)} ms together and {ms(alone)} alone: {alone['median'] / joined['median']:.1%} of perfect scaling.",
        f"Over {len(scaling['losses'])} steps no loss differs from that of one GPU with all {12 * count} sequences by more than {apart:.0e}.",
        "",
    ]


def autotuned_part(autotuned: Result) -> list[str]:
    """The section about torch.compile's longest search, of another run."""
    parts = ["## torch.compile with max-autotune", ""]
    for name, case in autotuned["cases"].items():
        parts += [
            (
                f"{name}, in a run of its own, on an H200 of a busy host: the contestants interleaved as above, so its ratios "
                "count, and its times are not to be held against those above; ours as the laws and runs before the sweeps of its small operators had it."
            ),
            f"Ours is {against(case)}.",
            "",
            *steps(case),
            "",
        ]
    return parts


def page(
    result: Result,
    training: Result | None,
    scaling: Result | None,
    autotuned: Result | None = None,
    ablated: Result | None = None,
) -> str:
    """The whole page."""
    machine = result["machine"]
    low, high = machine["sm_clock_mhz"] or (0, 0)
    blocks = machine["blocks"]
    parts = [
        "# NanoGPT",
        "",
        "Written by `python -m bench.nanogpt_tables` from what lies in `bench/results/` as `nanogpt-h200.json`, `nanogpt-ablation-h200.json`, `nanogpt-max-autotune-h200.json`, `nanogpt-training-h200.json` and `nanogpt-two-h200.json`.",
        "Do not edit.",
        "",
        f"{machine['device']}, torch {machine['torch']}, SM clock {low:.0f} to {high:.0f} MHz, throttled: {machine['throttled']}.",
        "A step is a fresh batch from data on the device, forward, backward, clipping and AdamW; bf16 autocast over fp32 weights, dropout 0.",
        (
            f"{blocks['warmups']} steps to warm up, then {blocks['count'] * blocks['steps']} timed ones, in blocks of {blocks['steps']} that "
            "the contestants take in turns of a random order; events, medians with 95 % intervals."
        ),
        f"MFU: 6 FLOP a parameter (without position embeddings) and token, and 12 x layers x width x context a token for attention, of {PEAK_TFLOPS:.0f} TFLOPS.",
        "GB is the most that a contestant holds, weights and optimiser included.",
        "",
    ]
    for name, case in result["cases"].items():
        first = next(iter(case["contestants"]))
        differences = max(row["loss_difference"] for row in case["contestants"].values())
        parts += [f"## {TITLES[name]}", ""]
        if OURS in case["contestants"]:
            parts += [f"Ours is {against(case)}.", ""]
        parts += [*steps(case), ""]
        parts += [
            f"Their losses over the first {blocks['warmups']} steps differ from those of `{first}` by {differences:.4f} at most.",
            "",
            "PyTorch's time is by the names of its kernels in a profile; ours by operator, from events around each call in a step that is not captured.",
            "Not the same recipe: PyTorch casts fp32 weights to bf16 in every step, as autocast does, within `copies, casts and the rest`; AdamW of ours writes a bf16 copy, which costs it 2 bytes a parameter.",
            "",
            *where_time_goes(case),
            "",
            *by_operator(case),
            "",
        ]
        if "gradients" in case:
            parts += [
                "Gradients of every parameter against float64 autograd, ||difference|| / ||exact||, initial weights with noise on all, biases included:",
                "",
                *gradients(case),
                "",
            ]
    parts += autotuned_part(autotuned) if autotuned else []
    parts += ablation_part(ablated) if ablated else []
    parts += training_part(training) if training else []
    parts += scaling_part(scaling) if scaling else []
    return "\n".join(parts)


def readme_row(result: Result, autotuned: Result | None = None) -> str:
    """The README's part."""
    body = []
    for name, case in result["cases"].items():
        wanted = [MATRIX, EAGER, COMPILED, best_compiled(case), OURS]
        for who in dict.fromkeys(who for who in wanted if who in case["contestants"]):
            row = case["contestants"][who]
            body.append([name, who, ms(row["ms"]), f"{times_ours(case, who):.2f}"])
    told = [
        f"{name}: ours is {against(case)}." for name, case in result["cases"].items() if OURS in case["contestants"]
    ]
    told += [
        f"{name}, in another run, with max-autotune among the baselines: {against(case)}."
        for name, case in (autotuned["cases"].items() if autotuned else ())
    ]
    return "\n".join(
        [
            (
                "NanoGPT: a full training step of GPT-2 124M and of the 6-layer character model on an H200, ours beside PyTorch's "
                "([page](docs/nanogpt.md))."
            ),
            *told,
            "",
            *table(["model", "who", "ms a step", "times ours"], body),
            "",
        ]
    )


def main() -> int:
    """Write page, plot and the README's part."""
    result, *others = (recorded(path) for path in (STEP, TRAINING, SCALING, AUTOTUNED, ABLATED))
    if result is None:
        print(f"{STEP.relative_to(ROOT)} is not there: run bench.nanogpt first", file=sys.stderr)
        return 2
    PAGE.write_text(page(result, *others))
    training, _, autotuned, _ = others
    if training:
        CURVES.write_text(drawn_curves(curves_of(training["runs"])))
    README.write_text(between(README.read_text(), "nanogpt", readme_row(result, autotuned)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
