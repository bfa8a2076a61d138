"""A search of many targets for people: one line each, then what to use, in 80 columns and a screen."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, chain
from pathlib import Path

import msgspec

from spak.cli.render.screenful import LINES
from spak.cli.render.text import Pen, as_dictionary, wrap
from spak.kg.expression.assignment import show_scalar
from spak.kg.model.base import Scalar
from spak.kg.model.figures import counted
from spak.tuner.learn.writeback import diff
from spak.tuner.many import TargetResult, TargetsResult

TARGET_ROWS = 14
"""Targets shown, and lines of what to use; `--verbose` has all."""

GROUP_NAMES = 6
"""Targets of one best configuration that are named; where all of a device share it, that is one name."""

_NAME, _HELPED = 30, 25


def targets_json(found: TargetsResult) -> str:
    """Every target's report, and what was learned across them, as indented JSON with a final newline."""
    report = {
        "op": found.op,
        "seconds": found.seconds,
        "interrupted": found.interrupted,
        "targets": [
            {
                "target": one.name,
                "hw": one.hw,
                "problem": one.problem_name,
                "weight": one.weight,
                "gain": one.gain,
                "helped": dict(one.helped),
                "report": one.result.report,
            }
            for one in found.targets
        ],
        "laws": [{"law": change.law, "change": change.words} for change in found.changes],
    }
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"


def target_table(found: TargetsResult, pen: Pen, here: Path, *, verbose: bool = False) -> str:
    """The same as text with a final newline; `verbose` has every target, and its whole configuration to paste."""
    measured = any(one.result.report.objective == "time" for one in found.targets)
    tried = sum(one.result.report.counts.tried for one in found.targets)
    word = "measured" if measured else "predicted"
    title = (
        f"{found.op}: {counted(len(found.targets), 'target')}, {tried} trials in {found.seconds:.1f} s, {word} times"
    )
    header = f"{'target':{_NAME}} {'best us':>10} {'gain':>5} {'tried':>5}  helped by"
    rows = found.targets if verbose else found.targets[:TARGET_ROWS]
    lines = [pen(title, "bold"), pen(header, "dim"), *map(_line, rows)]
    more = len(found.targets) - len(rows)
    lines += [pen(f"{more} more with --verbose", "dim")] if more else []
    lines += ["", pen("Use", "bold"), *(_whole(found.targets) if verbose else _short(found.targets))]
    lines += ["", pen("What it learned", "bold")]
    lines += _learned(found, here, LINES - len(lines), verbose=verbose)
    return "\n".join([*lines, ""])


def _line(one: TargetResult) -> str:
    report = one.result.report
    best = f"{report.ranked[0].value:.1f}" if report.ranked else "-"
    gain = f"{one.gain:.2f}" if one.gain is not None else "-"
    names = ", ".join(f"{name} {count}x" for name, count in one.helped[:2]) or "-"
    return f"{_cut(one.name, _NAME):{_NAME}} {best:>10} {gain:>5} {report.counts.tried:5}  {_cut(names, _HELPED)}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "~"


def _short(targets: Sequence[TargetResult]) -> Iterator[str]:
    """What differs from the default, those that are the best of several targets once; as many lines as fit."""
    groups: dict[str, list[TargetResult]] = {}
    for one in targets:
        if one.result.report.ranked:
            groups.setdefault(_changed(one), []).append(one)
    sizes = Counter(one.hw for one in targets)
    lines: list[str] = []
    left = 0
    for number, (changed, group) in enumerate(sorted(groups.items(), key=lambda item: -len(item[1]))):
        block = [*wrap(", ".join(_named(group, sizes))), *wrap(changed, indent=2)]
        if number and len(lines) + len(block) > TARGET_ROWS:
            left += len(group)
            continue
        lines += block
    yield from lines
    if left:
        yield f"{counted(left, 'target')} more with --verbose"


def _named(group: Sequence[TargetResult], sizes: Mapping[str, int]) -> Iterator[str]:
    """Names of targets, a device once where it is there with all its `sizes`; no more than fit."""
    here = Counter(one.hw for one in group)
    names: dict[str, int] = {}
    for one in group:
        whole = here[one.hw] == sizes[one.hw] > 1
        names[f"all {sizes[one.hw]} sizes of {one.hw}" if whole else one.name] = here[one.hw] if whole else 1
    yield from list(names)[:GROUP_NAMES]
    if len(names) > GROUP_NAMES:
        yield f"{counted(sum(list(names.values())[GROUP_NAMES:]), 'target')} more"


def _changed(one: TargetResult) -> str:
    report = one.result.report
    best = report.ranked[0].configuration
    default: Mapping[str, Scalar] = report.default.configuration if report.default is not None else {}
    changed = {name: value for name, value in best.items() if name not in default or default[name] != value}
    return ", ".join(f"{name}={show_scalar(value)}" for name, value in changed.items()) or "the default"


def _laws(found: TargetsResult, rows: float) -> Iterator[str]:
    """Changes of laws, as many as fit if the last row says how many do not."""
    blocks = [wrap(f"law: {change.law}: {change.words}") for change in found.changes]
    if sum(map(len, blocks)) > rows:
        ends = list(accumulate(map(len, blocks)))
        blocks = blocks[: sum(end < rows for end in ends)]
    yield from chain.from_iterable(blocks)
    if len(blocks) < len(found.changes):
        yield f"{counted(len(found.changes) - len(blocks), 'law')} more with --verbose"


def _whole(targets: Sequence[TargetResult]) -> Iterator[str]:
    for one in targets:
        if one.result.report.ranked:
            yield one.name
            yield from as_dictionary("configuration", one.result.report.ranked[0].configuration)


def _learned(found: TargetsResult, here: Path, rows: int, *, verbose: bool) -> Iterator[str]:
    """Laws that changed or would, and where everything is, in as many `rows`."""
    if found.interrupted:
        yield f"interrupted; go on with: tune --resume {found.journal}" if found.journal else "interrupted"
        return
    if found.learned is not None and found.learned.suggesting:
        across = found.learned
        outcomes = ", ".join(
            f"{count} {name}"
            for name in ("confirmed", "refuted", "inconclusive")
            if (count := sum(candidate.outcome == name for candidate in across.candidates))
        )
        tests = sum(len(run.trials) for run in across.tests)
        said = wrap(
            f"{counted(len(across.suggesting), 'target')} suggested; the others tested, with {counted(tests, 'trial')} "
            f"besides: {outcomes or 'nothing suggested'}."
        )
        rows -= len(said)
        yield from said
    yield from _laws(found, math.inf if verbose else rows - 1)
    files = [one.result.run_file for one in found.targets if one.result.run_file is not None]
    if not found.journal:
        yield "nothing was written" + ("; --verbose shows the laws as they would change" if found.changes else "")
        yield from diff(found.changes).splitlines() if verbose else ()
    elif files:
        folder = files[0].parent
        shown_folder = folder.relative_to(here) if folder.is_relative_to(here) else folder
        yield f"run files: {len(files)} in {shown_folder}"
