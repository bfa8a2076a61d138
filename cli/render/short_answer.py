"""An answer of `kg query` that fits a screen: what is surest first, in few words; the whole is `--all`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from spak.cli.render.query import condition_text, footer, heading, how_short, recorded_lines, status_text
from spak.cli.render.screenful import LINES, fitting, in_turn
from spak.cli.render.text import STATUS_STYLES, VERB_STYLES, WIDTH, Pen, joined, with_right, wrap
from spak.kg.answers.brief import Brief
from spak.kg.answers.certainty import strongest_tier
from spak.kg.law.conflict import Hit
from spak.kg.law.kinds import meaning
from spak.kg.model.figures import counted
from spak.kg.model.store import Store

_VERBS = {
    "use": "Use",
    "never": "Never",
    "avoid": "Avoid",
    "ignore": "Does not matter",
    "rewrite": "Rewrite",
}
"""What laws tell a person to do, in the order shown, and its heading."""


def short_table(answer: Brief, store: Store, pen: Pen) -> str:
    """The answer as at most `LINES` lines of 80 columns: the surest of each verb in turn, then how many more there are."""
    head = [*heading(answer, store, pen), *recorded_lines(answer, store, most=1)]
    hits = list(in_turn([answer.surest[verb] for verb in _in_order(answer.surest)]))
    shown = fitting(((meaning(hit.law).verb, _entry(hit, pen)) for hit in hits), LINES - len(head) - _END)
    told = hits[: sum(map(len, shown.values()))]
    body = [line for verb in _in_order(shown) for line in _block(verb, shown[verb], pen)]
    return "\n".join([*head, *body, *_rest(answer, len(told), pen), *footer(answer, told, pen), ""])


_END = 5
"""Lines kept for what ends an answer."""


def _in_order(verbs: Iterable[str]) -> list[str]:
    """Each of `verbs` once; those of kinds of laws that were added come last."""
    own = list(_VERBS)
    return sorted(set(verbs), key=lambda verb: (own.index(verb) if verb in _VERBS else len(own), verb))


def _block(verb: str, entries: Sequence[Sequence[str]], pen: Pen) -> Iterator[str]:
    yield ""
    yield pen(_VERBS.get(verb, verb.capitalize()), *VERB_STYLES.get(verb, ("bold",)))
    for lines in entries:
        yield from lines


def _entry(hit: Hit, pen: Pen) -> list[str]:
    """Claim with its condition and how sure it is; below it the id, whole, and from where."""
    law = hit.law
    right = ", ".join(filter(None, (status_text(hit), strongest_tier(law))))
    text = " ".join([meaning(law).text, *condition_text(hit.match)])
    lines = with_right(pen, wrap(text, indent=2, width=WIDTH - len(right) - 2), right, *STATUS_STYLES[law.status])
    origin = joined([law.id, law.claim.because, how_short(hit.match), hit.layer])
    return lines + [pen(line, "dim") for line in wrap(origin, indent=4)]


def _rest(answer: Brief, shown: int, pen: Pen) -> list[str]:
    """How many laws are not shown, and what they are."""
    left = sum(answer.counts.values()) - shown
    if not left:
        return []
    refuted = answer.counts.get("refuted", 0)
    words = counted(left, "more law") + (f", {refuted} of them refuted" if refuted else "")
    conflicts = f"; {counted(len(answer.conflicts), 'conflict')}" if answer.conflicts else ""
    return ["", *(pen(line, "dim") for line in wrap(f"{words}{conflicts}: --all has every law with its evidence"))]
