"""Tables of what bench.attention_sitting measured; rows are those of `bench.attention_judging.Judged`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.attention_judging import (
    BOTH_PASSES,
    DETERMINISTIC,
    NORMAL,
    ON_NORMAL,
    OURS,
    geometric_mean,
    policies,
    told,
    under,
)
from spak.kernels.attention.inputs import DISTRIBUTIONS

Row = Mapping[str, Any]
TRAINED = "model-"
"""What the names of a trained model's inputs begin with."""


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


def of_kind(rows: Sequence[Row], kind: str) -> list[Row]:
    """Rows of one kind of inputs."""
    return [row for row in rows if row["inputs"] == kind]


def kinds(rows: Sequence[Row]) -> list[str]:
    """Kinds of inputs in the order they were judged."""
    return list(dict.fromkeys(row["inputs"] for row in rows))


def number(value: float | None, digits: int = 3) -> str:
    """A dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def told_line(what: str, numbers: Mapping[str, Any]) -> str:
    """One line: geometric mean, worst, rows."""
    return f"{what}: geometric mean {number(numbers['geometric_mean'])}, worst {number(numbers['worst'])}, of {numbers['rows']}."


def sizes_on(rows: Sequence[Row], kind: str, rate: float | None) -> list[str]:
    """One line a size: ours, the fastest library, their ratio; and the share of the matrix rate if `rate` is given."""
    header = ["size", "ours, us (95 %)", "TFLOPS", "fastest library", "its us (95 %)", "ratio", "relative error"]
    lines = []
    for row in of_kind(rows, kind):
        ours, tflops = row["contestants"][OURS], row["flops"] / row["contestants"][OURS]["time_us"] / 1e6
        best = row["contestants"][row["fastest"]] if row["fastest"] else None
        line = [row["size"], span(ours), f"{tflops:.0f}", row["fastest"] or "-", span(best) if best else "-"]
        line += [number(row["ratio"]), " ".join(f"{error:.1e}" for error in ours["errors"])]
        lines.append([*line, f"{tflops / rate:.0%}"] if rate else line)
    return table([*header, "of the matmul rate"] if rate else header, lines)


def every_library(rows: Sequence[Row], kind: str) -> list[str]:
    """Every contestant's time at every size, in microseconds; why one is missing."""
    chosen = of_kind(rows, kind)
    names = sorted({name for row in chosen for name in [*row["contestants"], *row["refused"]] if name != ON_NORMAL})
    lines = [[row["size"], *(_time_or_reason(row, name) for name in names)] for row in chosen]
    return table(["size", *names], lines)


def _time_or_reason(row: Row, name: str) -> str:
    if name in row["contestants"]:
        return f"{row['contestants'][name]['time_us']:.1f}"
    return row["refused"].get(name, "-").replace("|", "/")[:60]


def by_inputs(rows: Sequence[Row]) -> list[str]:
    """One line a kind of inputs: ratios over all sizes, what is kept of the own speed, errors, how often the policy acts."""
    lines = []
    for kind in kinds(rows):
        chosen = of_kind(rows, kind)
        ratios = told([row["ratio"] for row in chosen if row["ratio"]])
        kept = [keeps(row) for row in chosen if ON_NORMAL in row["contestants"]]
        errors = [error for row in chosen for error in row["contestants"][OURS]["errors"]]
        line = [kind, str(len(chosen)), number(ratios["geometric_mean"]), number(ratios["worst"])]
        line += [number(min(kept), 2) if kept else "-", f"{max(errors):.1e}" if errors else "-"]
        lines.append([*line, *(spread([found[name] for found in _scores(chosen)]) for name in ("fallback", "raised"))])
    header = ["inputs", "rows", "geometric mean", "worst", "least of own speed kept", "largest error"]
    return table([*header, "query tiles twice with a first maximum", "key tiles that raise by 2^8"], lines)


def _scores(rows: Sequence[Row]) -> list[Mapping[str, float]]:
    """Rates of `OURS`'s tiles."""
    found = [row["scores"][OURS] for row in rows if row.get("scores")]
    return [{"fallback": each["fallback"], "raised": each["raised"]["8"]} for each in found]


def spread(shares: Sequence[float]) -> str:
    """Least to most, in percent."""
    return f"{min(shares):.1%} to {max(shares):.1%}" if shares else "-"


def keeps(row: Row) -> float:
    """Time on standard normal inputs over time on these, in the same rounds: 1 keeps all speed."""
    contestants = row["contestants"]
    return float(contestants[ON_NORMAL]["time_us"] / contestants[OURS]["time_us"])


def ratios_by_size(rows: Sequence[Row]) -> list[str]:
    """Ratio to the fastest library, a line a size, a column a kind of drawn inputs."""
    drawn = [row for row in rows if not row["inputs"].startswith(TRAINED)]
    return _ratios(drawn, "size", ("size", "inputs"))


def ratios_on_trained(rows: Sequence[Row]) -> list[str]:
    """Ratio to the fastest library, a line a layer and step of the trained model, a column a size."""
    trained = [row for row in rows if row["inputs"].startswith(TRAINED)]
    return _ratios(trained, "inputs", ("inputs", "size"))


def _ratios(rows: Sequence[Row], what: str, axes: tuple[str, str]) -> list[str]:
    across, down = (list(dict.fromkeys(row[axis] for row in rows)) for axis in reversed(axes))
    ratio = {(row[axes[0]], row[axes[1]]): row["ratio"] for row in rows}
    return table([what, *across], [[line, *(number(ratio.get((line, column))) for column in across)] for line in down])


def by_policy(rows: Sequence[Row]) -> list[str]:
    """Ratio to the fastest library, geometric mean over sizes, by kind of inputs: of what is judged, and of each policy alone."""
    names = policies(rows)
    lines = []
    for kind in kinds(rows):
        judged = [row for row in of_kind(rows, kind) if row["fastest"]]
        line = [kind, number(geometric_mean([row["ratio"] for row in judged]))]
        for name in names:
            pairs = [(row["contestants"][row["fastest"]], under(row, name)) for row in judged]
            line.append(number(geometric_mean([best["time_us"] / ours["time_us"] for best, ours in pairs if ours])))
        lines.append(line)
    return table(["inputs", "judged", *(f"`{name}`" for name in names)], lines) if names else []


def chosen(rows: Sequence[Row], kind: str) -> list[str]:
    """The configuration behind each row, where the sizes differ."""
    picked = of_kind(rows, kind)
    configurations = [row["contestants"][OURS]["configuration"] for row in picked]
    names = [n for n in configurations[0] if len({str(c.get(n)) for c in configurations}) > 1] if configurations else []
    lines = [
        [row["size"], row.get("policy") or "-", ", ".join(f"{n}={c.get(n)}" for n in names)]
        for row, c in zip(picked, configurations, strict=True)
    ]
    return table(["size", "policy", "chosen, where the sizes differ"], lines)


def deterministic(rows: Sequence[Row], kind: str) -> list[str]:
    """The mode without atomics beside the fast one."""
    lines = []
    for row in of_kind(rows, kind):
        entries = row["contestants"]
        if DETERMINISTIC in entries:
            fast, repeatable = entries[OURS], entries[DETERMINISTIC]
            form = fast["configuration"].get("dq_form", "-")
            lines.append(
                [row["size"], form, span(fast), span(repeatable), number(repeatable["time_us"] / fast["time_us"])]
            )
    return table(
        ["size", "fastest form", "us (95 %)", "deterministic, us (95 %)", "its time over the fast one's"], lines
    )


def gradient_errors(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Largest relative error of dQ, dK and dV over all sizes, by kind of inputs and contestant."""
    names = list(dict.fromkeys(name for row in found for name in row["errors"]))
    lines = []
    for kind in kinds(found):
        for name in names:
            errors = [row["errors"][name] for row in of_kind(found, kind) if name in row["errors"]]
            if errors:
                lines.append(
                    [kind, name, str(len(errors)), *(f"{max(column):.1e}" for column in zip(*errors, strict=True))]
                )
    return table(["inputs", "contestant", "sizes", "dQ", "dK", "dV"], lines)


def trained_scores(layers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Least to most over a trained model's layers, by training step and tile."""
    lines = []
    for step, tile_m, tile_n in dict.fromkeys((x["step"], x["tiles"]["tile_m"], x["tiles"]["tile_n"]) for x in layers):
        those = [x for x in layers if (x["step"], x["tiles"]["tile_m"], x["tiles"]["tile_n"]) == (step, tile_m, tile_n)]
        std = [x["std"] for x in those]
        line = [str(step), f"{tile_m} x {tile_n}", str(len(those)), f"{min(std):.1f} to {max(std):.1f}"]
        line += [spread([x["exceeding"][limit] for x in those]) for limit in ("16", "26")]
        lines.append([*line, spread([x["raised"]["8"] for x in those])])
    header = ["step", "tile", "layers", "standard deviation", "query tiles that rise by 2^16", "by 2^26"]
    return table([*header, "key tiles that raise by 2^8"], lines)


def headline(forward: Mapping[str, Any], backward: Mapping[str, Any]) -> list[str]:
    """Lines of the README's table: every input first, standard normal ones labelled."""
    rows, told_of, rate = forward["rows"], forward["summary"], forward["bf16_matmul_tflops"]
    drawn = [row for row in rows if row["inputs"] in DISTRIBUTIONS]
    inputs = f"{len({row['size'] for row in drawn})} sizes on {len(kinds(drawn))} kinds of drawn inputs"
    if len(drawn) < len(rows):
        inputs += f", and a trained model's {len(rows) - len(drawn)}"
    largest = max(of_kind(rows, NORMAL), key=lambda row: row["flops"])
    tflops = largest["flops"] / largest["contestants"][OURS]["time_us"] / 1e6
    kept = min(keeps(row) for row in rows if ON_NORMAL in row["contestants"])
    last, passes = backward["rows"], backward["summary"]
    slower = [row["contestants"] for row in of_kind(last, NORMAL) if DETERMINISTIC in row["contestants"]]
    times = max(each[DETERMINISTIC]["time_us"] / each[OURS]["time_us"] for each in slower)
    error = max(error for row in backward["errors"] for error in row["errors"].get(OURS, ()))
    lines = [
        (f"attention forward, {inputs}; one configuration a size", _mean(told_of["all"])),
        ("the same without the trained model's", _mean(told([row["ratio"] for row in drawn if row["ratio"]]))),
        ("the same on standard normal inputs alone", _mean(told_of["inputs"][NORMAL])),
        ("least it keeps of that speed on any other input", f"{100 * kept:.0f} %"),
        (
            f"largest size, {largest['size']}",
            f"{tflops:.0f} TFLOPS, {100 * tflops / rate:.0f} % of the GPU's bf16 matrix rate",
        ),
        ("attention backward, standard normal inputs", _mean(passes["inputs"][NORMAL])),
        ("the same against cuDNN alone", _mean(passes["libraries"]["sdpa-cudnn"])),
        ("forward and backward together", _mean(passes["inputs"][BOTH_PASSES])),
        ("gradients that repeat bit for bit", f"at most {times:.2f} times the time"),
        ("largest error of a gradient, fp16, on any kind of inputs, a trained model's among them", f"{error:.1e}"),
    ]
    return [f"| {what} | {result} |" for what, result in lines]


def _mean(numbers: Mapping[str, Any]) -> str:
    return f"{numbers['geometric_mean']:.3f} (worst {numbers['worst']:.2f}, {numbers['rows']} comparisons)"


def machine(result: Mapping[str, Any]) -> list[str]:
    """How it was measured."""
    m = result["machine"]
    low, high = m["sm_clock_mhz"] or (0, 0)
    package = result.get("flash_attention_4")
    rounds = sorted({row.get("rounds", m["final"]["rounds"]) for row in result["rows"]}, reverse=True)
    return [
        f"{m['device']}, {m['sms']} SMs, torch {m['torch']}; SM clock {low:.0f} to {high:.0f} MHz, throttled: {m['throttled']}.",
        *([f"flash-attn-4: {package}."] if package else []),
        f"L2: {m['l2']}.",
        f"Timer: {m['timer']}; {', at the longest sizes '.join(map(str, rounds))} interleaved rounds.",
        f"Seed of inputs and order: {result['seed']}.",
    ]
