"""A difference between two sets of laws that fits a screen: what to look at first, then what each change does."""

from __future__ import annotations

from collections.abc import Sequence

from spak.cli.render.screenful import LINES, fitting
from spak.cli.render.text import Pen, wrap
from spak.kg.diff import words
from spak.kg.diff.report import Difference, Item
from spak.kg.model.figures import counted

_TOLD = ("ALERT", "now", "effect")
"""Labels of what is told of each law; the whole is `--all`."""

_NODES = 3
"""Spaces, and other files, that are named."""


def short_diff(difference: Difference, pen: Pen) -> str:
    """At most `LINES` lines of 80 columns; of a change that is too much, the headline and what is most pressing."""
    head = [pen(line, "bold") for line in wrap(words.headline(difference))]
    if not difference:
        return "\n".join([*head, ""])
    tail = [line for space in difference.spaces[:_NODES] for line in wrap(words.space_line(space), indent=2)]
    tail += [f"  {name}: {what}" for name, what in list(difference.nodes.items())[:_NODES]]
    runs = [("! " if flag else "  ") + said for flag, said in words.run_lines(difference)]
    tail += [line for said in runs[:_NODES] for line in wrap(said)]
    told = [_item(item, pen) for item in difference.items]
    shown: Sequence[Sequence[str]] = fitting((("", lines) for lines in told), LINES - len(head) - len(tail) - 3).get(
        "", []
    )
    more = [counted(len(told) - len(shown), "more law")] if len(told) > len(shown) else []
    more += [counted(left, "more space")] if (left := len(difference.spaces) - _NODES) > 0 else []
    more += [counted(left, "more file")] if (left := len(difference.nodes) - _NODES) > 0 else []
    more += [counted(left, "more line about runs", "more lines about runs")] if (left := len(runs) - _NODES) > 0 else []
    rest = pen(f"{', '.join(more)}{': ' if more else ''}--all has claims, evidence and effects whole", "dim")
    return "\n".join(
        [*head, *(line for lines in shown for line in lines), *([""] if tail else []), *tail, "", rest, ""]
    )


def _item(item: Item, pen: Pen) -> list[str]:
    """A law: what changed of it, what it says if that changed, and what a search does differently."""
    lines = ["", pen("! " if item.red_flag else "  ", "bold", "red") + pen(item.change.id, "bold")]
    lines += wrap(words.aspects(item), indent=2)
    for label, said in words.lines(item):
        if label in _TOLD:
            lines += [pen(line, *(("bold", "red") if label == "ALERT" else ())) for line in wrap(said, indent=4)]
    return lines
