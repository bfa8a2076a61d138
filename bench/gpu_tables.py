"""Writes docs/benchmarks-h200.md from what the benchmarks of attention and of the matrix product measured; no number is typed by hand.

The recorded searches stand beside them, as `tune report` tells them.

python -m bench.gpu_tables
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench import attention_tables as attention
from bench.attention_judging import BOTH_PASSES, NORMAL
from bench.attention_tables import machine, span, table, told_line
from spak import ReportRequest, load
from spak.tuner.report import library_race
from spak.tuner.report.timing import LibraryRace

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "benchmarks-h200.md"
SEARCHED = ("fmha", "fmha-backward", "matmul")
"""Ops whose recorded searches stand beside the benchmarks."""


def differing(configuration: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """The settings in which the rows' configurations differ."""
    names = [n for n in configuration if len({str(row["ours"]["configuration"][n]) for row in rows}) > 1]
    return ", ".join(f"{name}={configuration[name]}" for name in names)


def compared(result: Mapping[str, Any]) -> list[str]:
    """One line a size."""
    lines = []
    for row in result["rows"]:
        best = row["libraries"][row["fastest"]]
        line = [row["name"], span(row["ours"]), f"{row['tflops']:.0f}", row["fastest"], span(best)]
        lines.append([*line, f"{row['ratio']:.3f}", f"{row['ours']['error']:.1e}"])
    header = ["size", "ours, us (95 %)", "TFLOPS", "fastest library", "its us (95 %)", "ratio", "relative error"]
    return table(header, lines)


def evolved(result: Mapping[str, Any]) -> list[str]:
    """Every version at every size it exists for."""
    lines = [
        [size, name, span(entry), f"{entry['tflops']:.0f}", f"{versions['naive']['time_us'] / entry['time_us']:.1f}"]
        for size, versions in result["evolution"].items()
        for name, entry in versions.items()
        if name != "refused"
    ]
    return table(["size", "version", "us (95 %)", "TFLOPS", "faster than naive"], lines)


def chosen(result: Mapping[str, Any]) -> list[str]:
    """The configuration behind each row."""
    rows = result["rows"]
    return table(
        ["size", "candidates", "chosen, where the sizes differ"],
        [[row["name"], str(row["candidates"]), differing(row["ours"]["configuration"], rows)] for row in rows],
    )


def forward_parts(result: Mapping[str, Any]) -> list[list[str]]:
    """Attention forward: normal inputs size by size, then all kinds of inputs."""
    rows, told, rate = result["rows"], result["summary"], result["bf16_matmul_tflops"]
    policies = attention.by_policy(rows)
    return [
        ["## Attention forward"],
        [
            "Ratio: time of the fastest library over ours, above 1 is faster; `sdpa-fa2` is what PyTorch calls FlashAttention, `fa4` flash-attn-4.",
            "FLOPs: only pairs that the mask lets through.",
            *[
                "A size has one configuration for all inputs, chosen on inputs of another seed in rounds of its own; none of the trained model's take part."
            ]
            * (attention.kinds(rows) != [NORMAL]),
            told_line("All inputs", told["all"]),
            *[told_line("Standard normal inputs", told["inputs"][NORMAL])] * (NORMAL in told["inputs"]),
            f"The GPU's bf16 matrix product of 8192 cubed, measured before the first size: {rate:.0f} TFLOPS.",
        ],
        ["On standard normal inputs:"],
        attention.sizes_on(rows, NORMAL, rate),
        ["All that was timed on them, in microseconds:"],
        attention.every_library(rows, NORMAL),
        *_inputs_parts(rows),
        *(
            [["Ratio to the fastest library of what is judged, and were one policy taken at every size:"], policies]
            if policies
            else []
        ),
        ["What was chosen:"],
        attention.chosen(rows, NORMAL),
        machine(result),
    ]


def _inputs_parts(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    if attention.kinds(rows) == [NORMAL]:
        return []
    return [
        [
            "By kind of inputs ([how they are drawn](../kernels/attention/inputs.py); `model-…` are a trained model's Q, K and V):"
        ],
        attention.by_inputs(rows),
        ["Ratio to the fastest library:"],
        attention.ratios_by_size(rows),
        ["On the trained model's layers, in the type it is trained in and in fp16:"],
        attention.ratios_on_trained(rows),
    ]


def model_parts(result: Mapping[str, Any]) -> list[list[str]]:
    """The scores that a trained model's attention sees."""
    text, sizes, unseen = result["corpus"], result["sizes"], result["unseen_losses"]
    steps = ", ".join(f"{loss:.2f} after {step} steps" for step, loss in unseen.items())
    return [
        ["## Scores of a trained model"],
        [
            f"A byte model of {sizes['layers']} layers, {sizes['heads']} heads, width {sizes['width']} and context {sizes['context']} (`python -m bench.attention_model`), bf16, batch {sizes['batch']}.",
            f"Text: {text['bytes']} bytes, {text['text']}; SHA-256 {text['sha256'][:16]}.",
            f"Loss on text that it has not seen, natural units: {steps}.",
            "Least to most over its layers, of two sequences; a query tile rises by what its row of greatest growth does after its first key tile:",
        ],
        attention.trained_scores(result["layers"]),
    ]


def backward_parts(result: Mapping[str, Any] | None) -> list[list[str]]:
    """Attention backward, the deterministic mode, both passes, errors; nothing if it was not measured."""
    if result is None:
        return []
    rows, told = result["rows"], result["summary"]["inputs"]
    return [
        ["## Attention backward"],
        [
            "Delta and the conversion of dQ are in every time; FLOPs count five products.",
            told_line("Backward", told[NORMAL]),
            *[told_line("Forward and backward", told[BOTH_PASSES])] * (BOTH_PASSES in told),
        ],
        attention.sizes_on(rows, NORMAL, result["bf16_matmul_tflops"]),
        ["All that was timed, in microseconds:"],
        attention.every_library(rows, NORMAL),
        ["The deterministic mode, which uses no atomics:"],
        attention.deterministic(rows, NORMAL),
        *(
            [["Forward and backward together:"], attention.sizes_on(rows, BOTH_PASSES, None)]
            if BOTH_PASSES in told
            else []
        ),
        ["Largest relative errors of the gradients against float64:"],
        attention.gradient_errors(result["errors"]),
        ["What was chosen:"],
        attention.chosen(rows, NORMAL),
        machine(result),
    ]


def searched() -> dict[str, LibraryRace]:
    """Op -> its recorded searches against the libraries of their rounds: the numbers of `tune report`."""
    laws = load(ROOT / "laws").laws
    found = {op: library_race(ReportRequest(op=op, hw="h200"), laws) for op in SEARCHED}
    return {op: race for op, race in found.items() if race is not None}


def search_parts(races: Mapping[str, LibraryRace]) -> list[list[str]]:
    """The best recorded configurations against the libraries of their own rounds, as reports have them."""
    if not races:
        return []
    header = ["search", "libraries of its rounds", "sizes", "faster", "slower", "geometric mean", "worst"]
    lines = [
        [
            f"`{op}`",
            ", ".join(race.libraries),
            str(len(race.ratios)),
            str(race.faster),
            str(race.slower),
            f"{race.geometric_mean:.3f}",
            f"{race.worst:.2f}",
        ]
        for op, race in races.items()
    ]
    return [
        ["## The best of each search"],
        [
            "What `tune report --op OP --hw h200` says of the recorded runs, and a kinder comparison than those above:",
            "each size has the fastest of many configurations, attention's on standard normal inputs alone, and FlashAttention-4 took no part.",
            "Faster and slower: the whole 95 % interval is.",
        ],
        table(header, lines),
    ]


def search_lines(races: Mapping[str, LibraryRace]) -> list[str]:
    """Lines of the README's table: what the reports say, beside what is judged."""
    return [
        f"| best of each search, `tune report --op {op}`, against {', '.join(race.libraries)} "
        f"| {race.geometric_mean:.3f} (worst {race.worst:.2f}, {len(race.ratios)} comparisons) |"
        for op, race in races.items()
    ]


def page(
    results: Mapping[str, Mapping[str, Any] | None], races: Mapping[str, LibraryRace] = MappingProxyType({})
) -> str:
    """The whole page, of results by name, and of searches by op; the backward pass may be missing."""
    names = ("attention", "attention-versions", "matmul", "attention-model")
    forward, versions, matmul, model = (results[name] or {} for name in names)
    parts = [
        ["# Measured on an H200"],
        ["Written by `python -m bench.gpu_tables` from `bench/results/*.json` and `laws/evidence`.", "Do not edit."],
        *forward_parts(forward),
        *model_parts(model),
        *backward_parts(results.get("attention-backward")),
        ["## From naive to tuned"],
        ["One size, all versions interleaved; v1 has no mask, so it has no causal row."],
        evolved(versions),
        ["## Matrix product, bf16"],
        [f"Geometric mean {matmul['geometric_mean']:.3f} of cuBLAS, worst {matmul['worst']:.3f}."],
        compared(matmul),
        ["What was chosen:"],
        chosen(matmul),
        evolved(matmul),
        machine(matmul),
        *search_parts(races),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def recorded(name: str) -> Mapping[str, Any] | None:
    """The results called `name`, if they were recorded."""
    path = RESULTS / f"{name}-h200.json"
    return json.loads(path.read_text()) if path.exists() else None


def main() -> int:
    """Write the page."""
    names = ("attention", "attention-versions", "attention-backward", "attention-model", "matmul")
    PAGE.write_text(page({name: recorded(name) for name in names}, searched()))
    print(PAGE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
