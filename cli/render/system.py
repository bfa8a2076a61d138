"""The search of a system for people: an operator a line, in the order in which they were searched, in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from spak.cli.render.text import Pen, wrap
from spak.kg.expression.assignment import show_scalar
from spak.kg.model.system import TuningSpace
from spak.tuner.learn.writeback import diff
from spak.tuner.search import SearchResult
from spak.tuner.system import OperatorSearch, SystemResult

HEADER = f"{'operator':16} {'problem':20} {'share':>6} {'tried':>6} {'laws':>5} {'best us':>10} {'gain':>6}"


def operators_json(found: SystemResult) -> str:
    """The reports of all operators as indented JSON with a final newline."""
    report = {
        "system": found.system.id,
        "gate": found.gate,
        "gain": found.gain,
        "interrupted": found.interrupted,
        "operators": [
            {
                "op": one.part.op,
                "problem": one.part.problem,
                "time_us": one.part.time_us,
                "share": one.share,
                "gain": one.gain,
                "left_out": one.left_out,
                "report": one.result.report if one.result is not None else None,
            }
            for one in found.operators
        ],
    }
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"


def operator_table(found: SystemResult, pen: Pen) -> str:
    """The same as text with a final newline."""
    searched = [one for one in found.operators if one.result is not None]
    word = "measured" if any(one.result.report.objective == "time" for one in searched if one.result) else "predicted"
    lines = [pen(line, "bold") for line in wrap(f"{found.system.id}: {len(searched)} operators, {word} times")]
    lines += [pen(HEADER, "dim"), *(line for one in found.operators for line in _line(one))]
    lines += (
        wrap(f"gate: {', '.join(found.gate)}, held")
        if found.gate
        else wrap(
            "gate: none named; every trial was compared with float64 before it was timed"
            if word == "measured"
            else "gate: none named"
        )
    )
    if found.gain is not None:
        lines += wrap(f"all operators of a known time: {found.gain:.3f} times as fast as with their defaults")
    for one in searched:
        if one.result is not None:
            lines += ["", *_answer(one.part, one.result, pen)]
    return "\n".join([*lines, ""])


def _line(one: OperatorSearch) -> Iterator[str]:
    share = f"{one.share:.0%}" if one.share is not None else "-"
    if one.result is None:
        yield from wrap(f"{one.part.op:16} {one.part.problem:20} {share:>6} {one.left_out or 'not searched'}")
        return
    report = one.result.report
    best = f"{report.ranked[0].value:.1f}" if report.ranked else "-"
    gain = f"{one.gain:.2f}" if one.gain is not None else "-"
    acting = sum(law.power != "no effect" for law in report.laws)
    yield f"{one.part.op:16} {one.part.problem:20} {share:>6} {report.counts.tried:6} {acting:5} {best:>10} {gain:>6}"


def _answer(part: TuningSpace, result: SearchResult, pen: Pen) -> Iterator[str]:
    yield pen(f"{part.op} {part.problem}".rstrip(), "bold")
    if result.report.ranked:
        best = result.report.ranked[0].configuration
        yield from wrap("use " + ", ".join(f"{name}={show_scalar(value)}" for name, value in best.items()), indent=2)
    if result.run_file is not None:
        yield f"  run file: {result.run_file}"
        yield from (f"  law: {change.law}: {change.words}" for change in result.changes)
    elif result.journal is None:
        yield from diff(result.changes).splitlines()
