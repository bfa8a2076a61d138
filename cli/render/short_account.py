"""An answer of `kg why` that fits a screen: what a search does with the configuration, and the surest of each side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spak.cli.render.explain import STANCE_TITLES
from spak.cli.render.query import condition_text, how_short
from spak.cli.render.screenful import LINES, fitting, in_turn
from spak.cli.render.text import STATUS_STYLES, WIDTH, Pen, joined, with_right, wrap
from spak.kg.answers.certainty import doubt, strongest_tier
from spak.kg.answers.why import Account, Opinion
from spak.kg.expression.assignment import show_assignments
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import STANCES, Stance
from spak.kg.law.statement import elsewhere_text
from spak.kg.model.cohort import supports_of
from spak.kg.model.figures import counted
from spak.kg.model.store import Store

_COUNTS: dict[Stance, str] = {
    "against": "against it",
    "for": "for it",
    "indifferent": "to which it is all the same",
    "undecided": "undecided",
    "silent": "about something else",
}

_END = 4
"""Lines kept for what ends an answer."""


def short_account(found: Account, store: Store, pen: Pen) -> str:
    """The account as at most `LINES` lines of 80 columns; the whole is `--all`."""
    title = f"{show_assignments(found.configuration) or 'any configuration'} of {store.ops[found.op].title}"
    head = [pen(line, "bold") for line in wrap(f"{title} on {store.hardware[found.hw].title}")]
    speaking = list(_in_turn(found.opinions))
    texts = (_counts(found), ruling(found)) if found.opinions else ("No law speaks about it.",)
    head += [line for text in texts for line in wrap(text)]
    entries = ((opinion.verdict.stance, _entry(opinion, pen)) for opinion in speaking)
    shown = fitting(entries, LINES - len(head) - _END)
    body = [line for stance in STANCES if stance in shown for line in _block(stance, shown[stance], pen)]
    return "\n".join([*head, *body, *_rest(found, len(speaking) - sum(map(len, shown.values())), pen), ""])


def ruling(found: Account) -> str:
    """What a search under laws does with the configuration, in a sentence."""
    removing = [o for o in found.opinions if o.permission.removes and o.verdict.stance in {"against", "undecided"}]
    sure = [o.law.id for o in removing if o.verdict.stance == "against" and not o.match.condition]
    if sure:
        return f"A search leaves it out: {', '.join(sure)}."
    names = sorted({name for opinion in removing for name in opinion.verdict.needs})
    names += ["the problem size (--problem)"] if any(opinion.match.condition for opinion in removing) else []
    if names:
        return f"Whether a search leaves it out depends on {', '.join(names)}."
    return "No law keeps a search from trying it."


def _in_turn(opinions: Sequence[Opinion]) -> Iterator[Opinion]:
    """Those that speak, a stance's surest in turn; among them first what may remove it."""
    surest = sorted(opinions, key=lambda o: (not o.permission.removes, _doubt(o)))
    return in_turn([[o for o in surest if o.verdict.stance == stance] for stance in STANCES if stance != "silent"])


def _doubt(opinion: Opinion) -> tuple[object, ...]:
    law = opinion.law
    return (*doubt(law.status, supports_of(law), opinion.match), law.id)


def _counts(found: Account) -> str:
    numbers = {stance: sum(o.verdict.stance == stance for o in found.opinions) for stance in STANCES}
    told = ", ".join(f"{number} {_COUNTS[stance]}" for stance, number in numbers.items() if number)
    return f"{counted(len(found.opinions), 'law')}: {told}"


def _block(stance: Stance, entries: Sequence[Sequence[str]], pen: Pen) -> Iterator[str]:
    heading, style = STANCE_TITLES[stance]
    yield ""
    yield pen(heading, "bold", style)
    for lines in entries:
        yield from lines


def _entry(opinion: Opinion, pen: Pen) -> list[str]:
    """What it says and how sure it is; below it the id, whole, from where, and whether it may remove anything."""
    law, verdict = opinion.law, opinion.verdict
    right = ", ".join(filter(None, (law.status, strongest_tier(law))))
    said = verdict.reason if verdict.stance == "undecided" else f"{meaning(law).verb} {meaning(law).text}"
    scope = condition_text(opinion.match)
    if " if " in said:  # both its own condition and that of its scope
        scope = [f"and {condition.removeprefix('if ')}" for condition in scope]
    text = " ".join([said, *scope])
    lines = with_right(pen, wrap(text, indent=2, width=WIDTH - len(right) - 2), right, *STATUS_STYLES[law.status])
    power = "may remove it" if opinion.permission.removes else ""
    return lines + [
        pen(line, "dim")
        for line in wrap(joined([law.id, power, how_short(opinion.match), elsewhere_text(law.evidence)]), indent=4)
    ]


def _rest(found: Account, left: int, pen: Pen) -> list[str]:
    """How many laws that speak are not shown."""
    if not found.opinions:
        return []
    words = f"{counted(left, 'more law')}: " if left else ""
    return ["", pen(f"{words}--all has every law with its evidence", "dim")]
