"""Writes docs/benchmarks-h200.md from what bench/attention.py and bench/matmul.py measured; no number is typed by hand.

python -m bench.gpu_tables
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "benchmarks-h200.md"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return [
        "| " + " | ".join(header) + " |",
        "|" + " --- |" * len(header),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def span(entry: Mapping[str, Any]) -> str:
    """Median and 95 % interval."""
    return f"{entry['time_us']:.1f} ({entry['low_us']:.1f} to {entry['high_us']:.1f})"


def differing(configuration: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """The settings in which the rows' configurations differ."""
    names = [n for n in configuration if len({str(row["ours"]["configuration"][n]) for row in rows}) > 1]
    return ", ".join(f"{name}={configuration[name]}" for name in names)


def compared(result: Mapping[str, Any], rate: float | None) -> list[str]:
    """One line a size."""
    rows = result["rows"]
    header = ["size", "ours, us (95 %)", "TFLOPS", "fastest library", "its us (95 %)", "ratio", "relative error"]
    header += ["of the matmul rate"] if rate else []
    lines = []
    for row in rows:
        best = row["libraries"][row["fastest"]]
        line = [row["name"], span(row["ours"]), f"{row['tflops']:.0f}", row["fastest"], span(best)]
        line += [f"{row['ratio']:.3f}", f"{row['ours']['error']:.1e}"]
        lines.append(line + ([f"{row['tflops'] / rate:.0%}"] if rate else []))
    return table(header, lines)


def libraries(result: Mapping[str, Any]) -> list[str]:
    """Every library's time at every size, in microseconds."""
    names = sorted({name for row in result["rows"] for name in row["libraries"]})
    lines = [
        [row["name"], *(f"{row['libraries'][n]['time_us']:.1f}" if n in row["libraries"] else "-" for n in names)]
        for row in result["rows"]
    ]
    return table(["size", *names], lines)


def evolved(result: Mapping[str, Any]) -> list[str]:
    """Every version at every size it exists for."""
    lines = [
        [size, name, span(entry), f"{entry['tflops']:.0f}", f"{versions['naive']['time_us'] / entry['time_us']:.1f}"]
        for size, versions in result["evolution"].items()
        for name, entry in versions.items()
        if name != "refused"
    ]
    return table(["size", "version", "us (95 %)", "TFLOPS", "faster than naive"], lines)


def first_maxima(result: Mapping[str, Any]) -> list[str]:
    """What the first key tile's maximum saves where it serves, and costs where it does not."""
    lines = [
        [size, span(x["first"]), span(x["running"]), span(x["again"]), f"{x['again_error']:.1e}"]
        for size, x in result["first_maximum"].items()
    ]
    return table(["size", "chosen, us (95 %)", "running maximum", "every tile twice", "relative error then"], lines)


def machine(result: Mapping[str, Any]) -> list[str]:
    """How it was measured."""
    m = result["machine"]
    low, high = m["sm_clock_mhz"] or (0, 0)
    return [
        f"{m['device']}, {m['sms']} SMs, torch {m['torch']}; SM clock {low:.0f} to {high:.0f} MHz, throttled: {m['throttled']}.",
        f"L2: {m['l2']}.",
        f"Timer: {m['timer']}; {m['final']['rounds']} interleaved rounds.",
        f"Seed of inputs and order: {result['seed']}.",
    ]


def chosen(result: Mapping[str, Any]) -> list[str]:
    """The configuration behind each row."""
    rows = result["rows"]
    return table(
        ["size", "candidates", "chosen, where the sizes differ"],
        [[row["name"], str(row["candidates"]), differing(row["ours"]["configuration"], rows)] for row in rows],
    )


def page(attention: Mapping[str, Any], matmul: Mapping[str, Any]) -> str:
    """The whole page."""
    rate = attention["bf16_matmul_tflops"]
    parts = [
        ["# Measured on an H200"],
        ["Written by `python -m bench.gpu_tables` from `bench/results/*.json`.", "Do not edit."],
        ["## Attention forward"],
        [
            "Ratio: time of the fastest library over ours, above 1 is faster.",
            "FLOPs: only pairs that the mask lets through.",
            f"Geometric mean {attention['geometric_mean']:.3f}, worst {attention['worst']:.3f}.",
            f"This machine's bf16 matrix product of 8192 cubed, measured in the same run: {rate:.0f} TFLOPS.",
        ],
        compared(attention, rate),
        ["Every library, in microseconds:"],
        libraries(attention),
        ["What was chosen:"],
        chosen(attention),
        [
            "`running_max=False` takes a row's maximum from its first key tile, and computes a query tile again where that overflows.",
            "Standard normal inputs, as above, never do; keys that are 30 times longer after the first tile always do.",
            "So this is what is won on inputs like the first, and lost on inputs like the second:",
        ],
        first_maxima(attention),
        machine(attention),
        ["## From naive to tuned"],
        ["One size, all versions interleaved; v1 has no mask, so it has no causal row."],
        evolved(attention),
        ["## Matrix product, bf16"],
        [f"Geometric mean {matmul['geometric_mean']:.3f} of cuBLAS, worst {matmul['worst']:.3f}."],
        compared(matmul, None),
        ["What was chosen:"],
        chosen(matmul),
        evolved(matmul),
        machine(matmul),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def main() -> int:
    """Write the page."""
    results = [json.loads((RESULTS / f"{name}-h200.json").read_text()) for name in ("attention", "matmul")]
    PAGE.write_text(page(*results))
    print(PAGE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
