"""An answer of `kg query` that fits a screen: what is surest first, in few words; the whole is `--all`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from spak.cli.render.query import condition_text, footer, heading, how_short, recorded_lines, status_text
from spak.cli.render.text import STATUS_STYLES, VERB_STYLES, WIDTH, Pen, joined, with_right, wrap
from spak.kg.answers.query import Answer
from spak.kg.law.conflict import Hit
from spak.kg.law.kinds import meaning
from spak.kg.model.figures import counted
from spak.kg.model.law import Status, Tier
from spak.kg.model.store import Store

LINES = 40
"""Most lines of an answer."""

_VERBS = {
    "use": "Use",
    "never": "Never",
    "avoid": "Avoid",
    "ignore": "Does not matter",
    "rewrite": "Rewrite",
}
"""What laws tell a person to do, in the order shown, and its heading."""

_SURE: tuple[Status, ...] = ("confirmed", "proposed", "contested")
"""What is shown, surest first; refuted claims are counted."""

_TIERS: tuple[Tier, ...] = ("measured", "computed", "compiled", "reported")


def short_table(answer: Answer, store: Store, pen: Pen) -> str:
    """The answer as at most `LINES` lines of 80 columns: the surest of each verb, then how many more there are."""
    head = [*heading(answer, store, pen), *recorded_lines(answer, store, most=1)]
    shown: dict[str, list[list[str]]] = {}
    left = LINES - len(head) - _END
    candidates = _in_turn([hit for hit in answer.hits if hit.law.status in _SURE])
    told: list[Hit] = []
    for hit in candidates:
        lines = _entry(hit, pen)
        verb = meaning(hit.law).verb
        cost = len(lines) + (0 if verb in shown else 2)
        if cost > left:
            break
        left -= cost
        told.append(hit)
        shown.setdefault(verb, []).append(lines)
    body = [line for verb in _in_order(shown) for line in _block(verb, shown[verb], pen)]
    return "\n".join([*head, *body, *_rest(answer, len(told), pen), *footer(answer, told, pen), ""])


_END = 5
"""Lines kept for what ends an answer."""


def _in_order(verbs: Iterable[str]) -> list[str]:
    """Each of `verbs` once; those of kinds of laws that were added come last."""
    own = list(_VERBS)
    return sorted(set(verbs), key=lambda verb: (own.index(verb) if verb in _VERBS else len(own), verb))


def _in_turn(hits: Sequence[Hit]) -> Iterator[Hit]:
    """The surest of each verb in turn, so that no verb fills the screen."""
    verbs = _in_order(meaning(hit.law).verb for hit in hits)
    queues = {verb: sorted((h for h in hits if meaning(h.law).verb == verb), key=_doubt) for verb in verbs}
    for place in range(max(map(len, queues.values()), default=0)):
        yield from (queue[place] for queue in queues.values() if place < len(queue))


def _doubt(hit: Hit) -> tuple[bool, int, bool, int, int, str]:
    """Least for what is surest: confirmed, stated for this hardware, measured, by many runs."""
    law = hit.law
    tiers = [_TIERS.index(entry.tier) for entry in law.evidence if entry.verdict == "supports"]
    return (
        hit.match.stale or hit.match.overridden_by is not None,
        _SURE.index(law.status),
        hit.match.hw == "transferred",
        min(tiers, default=len(_TIERS)),
        -len(tiers),
        law.id,
    )


def _block(verb: str, entries: Sequence[Sequence[str]], pen: Pen) -> Iterator[str]:
    yield ""
    yield pen(_VERBS.get(verb, verb.capitalize()), *VERB_STYLES.get(verb, ("bold",)))
    for lines in entries:
        yield from lines


def _entry(hit: Hit, pen: Pen) -> list[str]:
    """Claim with its condition and how sure it is; below it the id, whole, and from where."""
    law = hit.law
    tiers = {entry.tier for entry in law.evidence if entry.verdict == "supports"}
    best = next((tier for tier in _TIERS if tier in tiers), "")
    right = ", ".join(filter(None, (status_text(hit), best)))
    text = " ".join([meaning(law).text, *condition_text(hit.match)])
    lines = with_right(pen, wrap(text, indent=2, width=WIDTH - len(right) - 2), right, *STATUS_STYLES[law.status])
    origin = joined([law.id, law.claim.because, how_short(hit.match)])
    return lines + [pen(line, "dim") for line in wrap(origin, indent=4)]


def _rest(answer: Answer, shown: int, pen: Pen) -> list[str]:
    """How many laws are not shown, and what they are."""
    left = len(answer.hits) - shown
    if not left:
        return []
    refuted = Counter(hit.law.status for hit in answer.hits)["refuted"]
    words = counted(left, "more law") + (f", {refuted} of them refuted" if refuted else "")
    conflicts = f"; {counted(len(answer.conflicts), 'conflict')}" if answer.conflicts else ""
    return ["", *(pen(line, "dim") for line in wrap(f"{words}{conflicts}: --all has every law with its evidence"))]
