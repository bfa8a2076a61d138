"""`kg diff` as text, Markdown for a pull request, JSON, and annotations for a workflow log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import msgspec

from spak.cli import workflow
from spak.cli.render.text import Pen, wrap
from spak.kg.diff import words
from spak.kg.diff.effect import Effect
from spak.kg.diff.report import Difference, Item
from spak.kg.law.kinds.base import Power
from spak.kg.model.figures import counted
from spak.kg.visible import as_markdown, line

MARKER = "<!-- kg diff -->"
"""First line of the Markdown: by it the one comment of a pull request is found and updated."""

MAX_COMMENT = 60_000
"""Characters of Markdown; a comment on GitHub holds 65,536."""

FULL_LIST = 40
"""Changed laws whose details are shown in Markdown besides the flagged ones; all are in the table."""

OPEN_ROWS = 25
"""Rows of the table that are not folded, besides those of flagged laws."""

_LABEL = 10


def diff_text(difference: Difference, pen: Pen) -> str:
    """For a terminal: one block for each law, those to look at first."""
    out = [pen(line, "bold") for line in wrap(words.headline(difference))]
    for item in difference.items:
        out += ["", pen("! " if item.red_flag else "  ", "bold", "red") + pen(item.change.id, "bold")]
        out += [f"  {line}" for line in wrap(words.aspects(item), width=76)]
        for label, said in words.lines(item):
            body = wrap(said, indent=2 + _LABEL)
            style = ("bold", "red") if label == "ALERT" else ("dim",)
            first = f"  {pen(label.ljust(_LABEL), *style)}{body[0].lstrip()}"
            out += [first, *body[1:]]
    if difference.nodes:
        out += ["", *(f"  {name}: {what}" for name, what in difference.nodes.items())]
    if difference.spaces:
        out += ["", *(line for space in difference.spaces for line in wrap(words.space_line(space), indent=2))]
    if difference.runs:
        told = (f"{'! ' if flag else ''}{said}" for flag, said in words.run_lines(difference))
        out += ["", *(line for said in told for line in wrap(said, indent=2))]
    return "\n".join(out) + "\n"


def diff_markdown(difference: Difference) -> str:
    """For a pull request's comment: verdict table, then details folded, flagged laws open."""
    out = [MARKER, f"### Laws: {words.headline(difference)}", ""]
    if difference.items:
        out += _table(difference.items)
    if difference.spaces:
        out += ["", "**Spaces**", "", *(f"- {as_markdown(words.space_line(space))}" for space in difference.spaces)]
    if difference.nodes:
        out += [
            "",
            "**Other files**",
            "",
            *(f"- `{name}` {as_markdown(what)}" for name, what in difference.nodes.items()),
        ]
    if difference.runs:
        told = [f"{'🔴 ' if flag else ''}{as_markdown(said)}" for flag, said in words.run_lines(difference)]
        hidden = [f"- and {len(told) - FULL_LIST} more"] if len(told) > FULL_LIST else []
        out += ["", "**Runs**", "", *(f"- {said}" for said in told[:FULL_LIST]), *hidden]
    size = sum(map(len, out)) + len(out)
    shown = 0
    for place, item in enumerate(difference.items):
        if place >= FULL_LIST and not item.red_flag:
            continue
        block = _details(item)
        if size + len(block) > MAX_COMMENT:
            break
        out.append(block)
        size += len(block)
        shown += 1
    if shown < len(difference.items):
        out += ["", f"Details of {len(difference.items) - shown} more laws: `kg diff --all` prints them."]
    return "\n".join(out)[: MAX_COMMENT + 4000] + "\n"


def _table(items: Sequence[Item]) -> list[str]:
    """A row for each law; those that need no look are folded where there are many."""
    head = ["| | law | what changed | what a search does |", "|---|---|---|---|"]
    flagged = sum(item.red_flag for item in items)
    shown = max(flagged, OPEN_ROWS)
    out = [*head, *(_row(item) for item in items[:shown])]
    if items[shown:]:
        folded = [*head, *(_row(item) for item in items[shown:])]
        out += [
            "",
            f"<details><summary>{counted(len(items) - shown, 'more law')}</summary>",
            "",
            *folded,
            "",
            "</details>",
        ]
    return [*out, "", "🔴 look at it · 🟡 the claim, the verdict or a search changes · ⚪ none of them does"]


def _row(item: Item) -> str:
    effects = "<br>".join(as_markdown(words.effect_text(effect)) for effect in item.effects) or "nothing"
    flags = [said for label, said in words.lines(item) if label == "ALERT"]
    if flags:
        effects += "".join(f"<br>**{as_markdown(flag)}**" for flag in flags[:2])
    return f"| {_sign(item)} | `{item.change.id}` | {as_markdown(words.aspects(item))} | {effects} |"


def _sign(item: Item) -> str:
    """Red: look; yellow: a search or a verdict changes; white: neither does."""
    if item.red_flag:
        return "🔴 look"
    told = {"wording", "renamed", "evidence"}
    same = all((effect.before, effect.power_before) == (effect.after, effect.power_after) for effect in item.effects)
    return "⚪ same" if told.issuperset(item.change.aspects) and same else "🟡 changes"


def _details(item: Item) -> str:
    rows = "\n".join(f"- **{label}** {as_markdown(said)}" for label, said in words.lines(item))
    opened = " open" if item.red_flag else ""
    return f"\n<details{opened}><summary><code>{item.change.id}</code> {escape(line(words.aspects(item)))}</summary>\n\n{rows}\n\n</details>"


def json(difference: Difference) -> str:
    """Stable keys: changes, spaces, nodes, runs, bests, conflicts."""
    document = {
        "headline": words.headline(difference),
        "changes": [_document(item) for item in difference.items],
        "spaces": difference.spaces,
        "nodes": dict(difference.nodes),
        "runs": [
            {"id": run.id, "fate": run.fate, "about": run.about, "red_flag": run.red_flag} for run in difference.runs
        ],
        "bests": msgspec.to_builtins(difference.bests),
        "conflicts": {
            "new": [list(conflict.laws) for conflict in difference.new_conflicts],
            "gone": [list(conflict.laws) for conflict in difference.gone_conflicts],
        },
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _document(item: Item) -> dict[str, object]:
    change = item.change
    return {
        "id": change.id,
        "renamed_from": change.renamed_from,
        "aspects": list(change.aspects),
        "superseded": change.note,
        "red_flag": item.red_flag,
        "before": None if change.before is None else msgspec.to_builtins(change.before),
        "after": None if change.after is None else msgspec.to_builtins(change.after),
        "evidence_gained": msgspec.to_builtins(change.gained),
        "evidence_lost": msgspec.to_builtins(change.lost),
        "effects": [_effect(effect) for effect in item.effects],
        "conflicts": [{"laws": list(c.laws), "reason": c.reason} for c in item.conflicts],
    }


def _effect(effect: Effect) -> dict[str, object]:
    removes = {
        "removes_before": effect.power_before is Power.REMOVE,
        "removes_after": effect.power_after is Power.REMOVE,
    }
    return {**msgspec.to_builtins(effect), **removes}


def github(difference: Difference, paths: Mapping[str, str]) -> str:
    """Workflow commands: an annotation on each changed law's file, a warning where a reviewer must look."""
    out = []
    for item in difference.items:
        level = "warning" if item.red_flag else "notice"
        said = [said for label, said in words.lines(item) if label in {"ALERT", "effect"}]
        message = "\n".join([words.aspects(item), *said])
        place = paths.get(item.change.id, "")
        out.append(workflow.command(level, message, file=place, title=f"law {item.change.id}"))
    gone = (said for flag, said in words.run_lines(difference) if flag)
    out += [workflow.command("warning", said, title="run") for said in gone]
    return "".join(f"{line}\n" for line in out)
