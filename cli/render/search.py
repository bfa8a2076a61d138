"""A search's report for people: ranked table, what each law did, what the audit saw, and the answer, in 80 columns."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from spak.cli.render.text import WIDTH, Pen, as_dictionary, wrap
from spak.kg.expression.assignment import show_scalar
from spak.kg.model.base import Scalar
from spak.kg.model.figures import counted
from spak.tuner.engine.summary import LawEffect, RankedRow, SearchReport
from spak.tuner.learn.writeback import diff
from spak.tuner.search import SearchResult

ROWS = 5
"""Ranked rows shown; all of them are in the run file and in the JSON form."""

ROWS_VERBOSE = 10

SHORT = {"registers": "regs", "spill_bytes": "spill_bytes", "ctas_per_sm": "ctas_/SM"}
"""Features shown in a row, and their headings; the JSON form has all of them."""

MAX_FLAG_COLUMNS = 4
"""With more flags than this that differ, they share one column, a letter each."""

_TIME = 1
"""Column of the times: its heading says whether they were measured, so it is never cut."""

MARKS = {"d": "d: the default", "a": "a: audit", "*": "*: a law speaks against it"}


def from_here(found: SearchResult, here: Path) -> SearchResult:
    """`found` with its run file, and a kernel's own, as seen from the folder `here`, if it lies below it."""
    launch = found.report.launch.replace(f'"{here}{os.sep}', '"')
    found = replace(found, report=msgspec.structs.replace(found.report, launch=launch))
    if found.run_file is None or not found.run_file.is_relative_to(here):
        return found
    path = found.run_file.relative_to(here)
    return replace(found, run_file=path, report=msgspec.structs.replace(found.report, run=str(path)))


def json_text(found: SearchResult) -> str:
    """The report as indented JSON with a final newline."""
    return msgspec.json.format(msgspec.json.encode(found.report), indent=2).decode() + "\n"


def trial_table(found: SearchResult, pen: Pen, *, verbose: bool = False) -> str:
    """The report as text with a final newline; `verbose` has more rows, and what each law did."""
    report = found.report
    blocks = [_ranking(report, pen, ROWS_VERBOSE if verbose else ROWS)]
    if verbose:
        blocks += [_laws(report, pen), _audit(report, pen)]
    blocks += [_budget(report, pen, verbose=verbose), _best(report, pen), _learned(found, pen)]
    return "\n\n".join("\n".join(lines) for lines in map(list, blocks) if lines) + "\n"


def _ranking(report: SearchReport, pen: Pen, most: int) -> Iterator[str]:
    word = "measured" if report.objective == "time" else "predicted"
    title = f"{report.op} on {report.hw}, {report.counts.tried} configurations, ranked by {word} time"
    yield from (pen(line, "bold") for line in wrap(title))
    rows = report.ranked[:most]
    if not rows:
        yield "nothing worked" if report.counts.failed == report.counts.tried else "no time is known of any"
        return
    constant, varying = _split([row.configuration for row in rows])
    if constant:
        yield from wrap("all with " + ", ".join(f"{name}={_value(value)}" for name, value in constant.items()))
    flags = _letters([name for name in varying if isinstance(rows[0].configuration[name], bool)])
    flags = flags if len(flags) > MAX_FLAG_COLUMNS else {}
    varying = [name for name in varying if name not in flags]
    together = ["flags"] if flags else []
    header = ["#", f"{word}_us", *varying, *together, *(SHORT[name] for name in SHORT if name in rows[0].features), ""]
    yield from _columns(header, [_cells(row, varying, flags) for row in rows], pen)
    marks = {mark for row in rows for mark in _marks(row)}
    legend = ["flags: " + ", ".join(f"{letter} {name}" for name, letter in flags.items())] if flags else []
    legend += [words for mark, words in MARKS.items() if mark in marks]
    more = len(report.ranked) - len(rows)
    legend += [f"{more} more in the run file"] if more else []
    if legend:
        yield from (pen(line, "dim") for line in wrap("; ".join(legend)))


def _letters(names: Sequence[str]) -> dict[str, str]:
    """A letter for each flag: the first of its name that no flag before it has, else a digit."""
    letters: dict[str, str] = {}
    for name in names:
        free = (c for c in (*name, *"0123456789") if c != "_" and c not in letters.values())
        letters[name] = next(free, "?")
    return letters


def _cells(row: RankedRow, varying: Sequence[str], flags: Mapping[str, str]) -> list[str]:
    time = f"{row.value:.1f}"
    if row.low is not None and row.high is not None:
        time += f"~{(row.high - row.low) / 2:.1f}"
    features = [f"{row.features[name]:.0f}" for name in SHORT if name in row.features]
    settings = [_value(row.configuration[name]) for name in varying]
    if flags:
        settings.append("".join(letter if row.configuration[name] else "-" for name, letter in flags.items()))
    return [str(row.rank), time, *settings, *features, _marks(row)]


def _marks(row: RankedRow) -> str:
    origin = {"default": "d", "audit": "a"}.get(row.origin, "")
    return origin + ("*" if row.laws else "")


def _value(value: Scalar) -> str:
    """Flags as one word of three letters at most: a table of ten parameters has no room for more."""
    return ("yes" if value else "no") if isinstance(value, bool) else show_scalar(value)


def _split(configurations: Sequence[Mapping[str, Scalar]]) -> tuple[dict[str, Scalar], list[str]]:
    """What all share, and the names of what differs: the table needs only that."""
    first = configurations[0]
    varying = [name for name in first if any(other[name] != first[name] for other in configurations)]
    return {name: value for name, value in first.items() if name not in varying}, varying


def _columns(header: Sequence[str], rows: Sequence[Sequence[str]], pen: Pen) -> Iterator[str]:
    """Right-aligned columns in `WIDTH`; headings break at underscores, and all but the time's are cut to fit."""
    cells = [max(len(row[i]) for row in rows) for i in range(len(header))]
    words = [name.split("_") for name in header]
    widths = cells
    for longest in range(max(len(word) for parts in words for word in parts), 1, -1):
        cut = [max(min(len(word), longest if i != _TIME else len(word)) for word in p) for i, p in enumerate(words)]
        widths = [max(pair) for pair in zip(cells, cut, strict=True)]
        if sum(widths) + len(widths) - 1 <= WIDTH:
            break
    height = max(map(len, words))
    for level in range(height):
        line = [
            parts[level - height + len(parts)][:width] if level >= height - len(parts) else ""
            for parts, width in zip(words, widths, strict=True)
        ]
        yield pen(" ".join(word.rjust(width) for word, width in zip(line, widths, strict=True)).rstrip(), "dim")
    for row in rows:
        yield " ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _laws(report: SearchReport, pen: Pen) -> Iterator[str]:
    if not report.laws:
        return
    yield pen("What each law did", "bold")
    acting = [law for law in report.laws if law.power != "no effect"]
    for law in acting:
        place = f"{law.match}, {law.layer}" if law.layer else law.match
        yield from wrap(f"{law.id}: {_did(law)}; {law.status}, {place}; {law.reason}; {law.evidence}")
    rest = len(report.laws) - len(acting)
    if rest:
        yield from wrap(f"{rest} more laws speak of {report.op} on {report.hw} but had no effect here.")


def _did(law: LawEffect) -> str:
    of = f"{law.named} configurations" if law.named is not None else f"{law.compiled} compiled configurations"
    return f"{law.power} {of}"


def _audit(report: SearchReport, pen: Pen) -> Iterator[str]:
    seen = [law for law in report.laws if law.tried]
    if not seen and not report.counts.audited:
        return
    yield pen(f"What the audit saw ({report.counts.audited} trials where the laws say not to look)", "bold")
    for law in seen:
        open_ = law.tried - law.agreed - law.contradicted
        words = [
            f"{count} {word}"
            for count, word in ((law.agreed, "agree"), (law.contradicted, "CONTRADICT"), (open_, "cannot tell"))
            if count
        ]
        yield from wrap(f"{law.id}: {law.tried} tried, {', '.join(words)}")
    if not seen:
        yield "nothing that speaks of a law"


def _best(report: SearchReport, pen: Pen) -> Iterator[str]:
    """The configuration as it can be pasted, then how it compares."""
    if report.ranked:
        yield from (pen(line, "bold") for line in as_dictionary("best", report.ranked[0].configuration))
        yield from report.launch.splitlines()
    for sentence in report.answer[1 if report.ranked else 0 :]:
        yield from wrap(sentence)


def _learned(found: SearchResult, pen: Pen) -> Iterator[str]:
    """The laws that changed or would, and where the trials are."""
    report = found.report
    yield pen("What it learned", "bold")
    if found.journal is None:
        yield (
            "nothing was written; the laws would change like this:" if found.changes else "no law; nothing was written"
        )
        yield from diff(found.changes).splitlines()
        return
    if report.interrupted:
        yield f"interrupted; go on with: tune --resume {found.journal.stem}"
    if found.run_file is not None:
        yield from (f"law: {change.law}: {change.words}" for change in found.changes)
        yield from () if found.changes else ("no law",)
        yield f"run file: {found.run_file}"


def _budget(report: SearchReport, pen: Pen, *, verbose: bool) -> Iterator[str]:
    """What the trials were spent on, and what the laws had to do with it, in a few lines."""
    counts = report.counts
    yield pen(f"{counts.tried} trials ({counts.failed} failed) in {report.seconds:.1f} s", "bold")
    if counts.unsteady:
        yield from wrap(
            f"{counted(counts.unsteady, 'time')} of them do not count: the GPU was not as fast as when the search began."
        )
    if counts.kept:
        yield from wrap(f"{counts.kept} more of the budget were kept for testing what they suggest (--confirm).")
    acting = [law for law in report.laws if law.power != "no effect"]
    if acting:
        audit = f"the audit tried {counts.audited} where they say not to look and contradicts"
        yield from wrap(f"{counted(len(acting), 'law')} had a say; {audit} {', '.join(report.contradicted) or 'none'}.")
    beneath = Counter(law.layer for law in acting if law.layer)
    if beneath:
        yield from wrap("of them " + ", ".join(f"{count} in {layer}" for layer, count in beneath.items()) + ".")
    for words in report.superseded:
        yield from wrap(f"{words}.")
    if report.laws and not verbose:
        yield "Law by law: --verbose"
