"""An answer of `kg explain` that fits a screen: the claim, how sure it is, its evidence, and two trials that show it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from spak.cli.render.explain import SIDE_TITLES, SIGNS
from spak.cli.render.screenful import LINES, fitting
from spak.cli.render.text import STATUS_STYLES, WIDTH, Pen, joined, with_right, wrap
from spak.kg.answers.certainty import TIERS
from spak.kg.answers.explain import Explanation, Side, Witness, objective
from spak.kg.expression.assignment import show_assignments
from spak.kg.law.statement import evidence_text
from spak.kg.law.status import standing
from spak.kg.model.figures import counted, number_text
from spak.kg.model.law import Evidence

_VERDICTS = ("refutes", "supports", "inconclusive")
"""What speaks against a claim first: no law hides its counter-evidence."""

_EVIDENCE = "Evidence (+ supports, - refutes, ~ inconclusive; 95 % intervals)"


def short_explanation(found: Explanation, pen: Pen) -> str:
    """The law as at most `LINES` lines of 80 columns but for an id that is longer; the whole is `--all`."""
    law = found.law
    lines = with_right(pen, wrap(law.id, width=66), law.status, *STATUS_STYLES[law.status])
    lines += [pen(line, "bold") for line in wrap(law.title)]
    lines += ["", *wrap(found.sentence), "", *wrap(f"Why {law.status}: {_why(found)}")]
    lines += wrap(f"Found {law.origin}") if law.origin else []
    trials, end = list(_trials(found, pen)), list(_end(found, pen))
    witnesses = sorted(found.witnesses, key=_order)
    entries = [(_EVIDENCE, _entry(witness, pen)) for witness in witnesses]
    shown = fitting(entries, LINES - len(lines) - len(trials) - len(end) - 1).get(_EVIDENCE, [])
    if shown:
        lines += ["", pen(_EVIDENCE, "bold"), *(line for entry in shown for line in entry)]
    left = len(witnesses) - len(shown)
    lines += [f"  ... and {left} more"] if left else []
    return "\n".join([*lines, *trials, *end, ""])


def _why(found: Explanation) -> str:
    """What its status rests on; the names of the runs stand below."""
    law = found.law
    reason = standing(law).reason
    return reason if law.status in {"proposed", "withdrawn"} else evidence_text(law.evidence)


def _order(witness: Witness) -> tuple[int, int, bool, str]:
    entry = witness.evidence
    return _VERDICTS.index(entry.verdict), TIERS.index(entry.tier), entry.role == "suggested", entry.run


def _entry(witness: Witness, pen: Pen) -> list[str]:
    """What was observed and where; below it the run, whole."""
    entry, run = witness.evidence, witness.run
    sizes = counted(len(entry.problems), "size") if entry.problems else ""
    texts = [*_observed(entry), sizes, run.hw if run else "no run file here"]
    right = f"{entry.tier}, {entry.role}"
    sign, style = SIGNS[entry.verdict]
    first, *more = with_right(pen, wrap(joined(texts), indent=2, width=WIDTH - len(right) - 2), right)
    name = (pen(line, "dim") for line in wrap(entry.run, indent=4))
    return [pen(sign, "bold", style) + first[1:], *more, *name]


def _observed(entry: Evidence) -> Iterator[str]:
    """Each effect and its 95 % interval: `slowdown 5.241 (5.2124 to 5.3239)`."""
    for name, value in entry.effect.items():
        interval = entry.interval.get(name)
        spread = f" ({number_text(interval[0])} to {number_text(interval[1])})" if interval else ""
        yield f"{name} {number_text(value)}{spread}"


def _trials(found: Explanation, pen: Pen) -> Iterator[str]:
    """The best trial of each side of the claim, of the surest run that holds both at one problem size."""
    witness = next((w for w in sorted(found.witnesses, key=_order) if _compares(w)), None)
    if witness is None or witness.run is None:
        return
    yield ""
    yield pen("Two of the trials, by the settings in which they differ", "bold")
    yield from wrap(joined([witness.run.id, show_assignments(witness.run.problem)]), indent=2)
    tried = [dict(side.trials[0].configuration) for side in witness.sides]
    same = [name for name, value in tried[0].items() if all(one.get(name) == value for one in tried)]
    for side in witness.sides:
        yield from _best(side, same, pen)


def _compares(witness: Witness) -> bool:
    timed = [side for side in witness.sides if side.trials and objective(side.trials[0]) is not None]
    return len(timed) > 1 and witness.run is not None and not any(trial.problem for trial in witness.run.trials)


def _best(side: Side, same: Collection[str], pen: Pen) -> Sequence[str]:
    trial = side.trials[0]
    value = objective(trial)
    time = trial.invalidity if value is None else f"{number_text(value)} us"
    title = f"{SIDE_TITLES[side.stance]}, best of {side.count}"
    lines = with_right(pen, wrap(title, indent=2), time)
    settings = {name: value for name, value in trial.configuration.items() if name not in same}
    return lines + [pen(line, "dim") for line in wrap(show_assignments(settings), indent=4)]


def _end(found: Explanation, pen: Pen) -> Iterator[str]:
    """How it relates to others, and what to do next."""
    yield ""
    related = [f"{link.type.replace('-', ' ')} {link.id}" for link in found.law.related]
    related += [f"{other} {kind.replace('-', ' ')} this" for other, kind in found.referred_by.items()]
    for text in related[:_LINKS]:
        yield from (pen(line, "dim") for line in wrap(text))
    yield pen("Every entry, its trials and how to repeat it: --all", "dim")


_LINKS = 3
"""Other laws named."""
