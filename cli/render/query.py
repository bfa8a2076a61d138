"""An answer of `kg query` for people: one section for each knob, then what relatives say, what was refuted, conflicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from spak.cli.render.text import (
    STATUS_STYLES,
    VERB_STYLES,
    WIDTH,
    Pen,
    as_dictionary,
    column_width,
    joined,
    side_by_side,
    with_right,
    wrap,
)
from spak.kg.answers.brief import Brief
from spak.kg.answers.query import Answer, answer_document
from spak.kg.expression.assignment import show_assignments
from spak.kg.law.conflict import Dispute, Hit
from spak.kg.law.kinds import meaning
from spak.kg.law.scope import Match, op_relations
from spak.kg.law.statement import evidence_text, observed_text
from spak.kg.model.figures import counted
from spak.kg.model.law import Law, Status
from spak.kg.model.store import Store, SupersededLaw
from spak.kg.model.taxonomy import Taxonomy

_VERB_WIDTH = 10
_STATUS_ORDER: tuple[Status, ...] = ("confirmed", "contested", "proposed", "refuted", "withdrawn")
MAX_SIZES = 3
"""Problem sizes of which a table shows the best recorded configuration."""

MAX_SUPERSEDED = 3
"""Superseded laws named one by one where an answer has to fit a screen."""

_TIMES = " × "  # noqa: RUF001 - the sign for a product is meant
_SYSTEMS = "from one system to the next"


def table(answer: Answer, store: Store, pen: Pen) -> str:
    """Every law of the answer as text of 80 columns, each with its title, its evidence and how it matched."""
    here = [hit for hit in answer.hits if hit.match.hw != "transferred" and hit.law.status != "refuted"]
    relatives = [hit for hit in answer.hits if hit.match.hw == "transferred" and hit.law.status != "refuted"]
    refuted = [hit for hit in answer.hits if hit.law.status == "refuted"]
    lines = [*heading(answer, store, pen), *recorded_lines(answer, store)]
    for knob, hits in group(here, parameter_order(store, answer.op)):
        lines += ["", pen(knob, "bold"), *(line for hit in hits for line in _law(hit, store, pen))]
    lines += _section("From relatives: may order a search, removes nothing", relatives, answer, store, pen)
    lines += _section("Claimed and refuted", refuted, answer, store, pen)
    for conflict in answer.conflicts:
        lines += _conflict(conflict, store, pen)
    return "\n".join([*lines, *footer(answer, answer.hits, pen), ""])


def heading(answer: Answer | Brief, store: Store, pen: Pen) -> list[str]:
    """What was asked about, what it is a kind of, and how many laws speak of it."""
    hw, op = store.hardware[answer.hw], store.ops[answer.op]
    chain = list(Taxonomy("hardware", store.hardware).ancestors(answer.hw))
    counts = answer.counts
    statuses = ", ".join(f"{counts[status]} {status}" for status in _STATUS_ORDER if counts.get(status))
    lines = wrap(f"{op.title} on {hw.title}")
    lines = [pen(line, "bold") for line in lines] + [pen(line, "dim") for line in wrap(" → ".join(chain))]
    summary = counted(sum(counts.values()), "law") + (f": {statuses}" if statuses else "")
    return lines + wrap(joined([summary, f"toolchain {answer.toolchain}" if answer.toolchain else ""]))


def recorded_lines(answer: Answer | Brief, store: Store, *, most: int = MAX_SIZES) -> list[str]:
    """How much was timed, and the best of the `most` problem sizes nearest to the question, ready to paste."""
    if not answer.recorded:
        return []
    trials, failed = (sum(getattr(size, name) for size in answer.recorded) for name in ("trials", "failures"))
    sizes = f" at {len(answer.recorded)} problem sizes" if len(answer.recorded) > 1 else ""
    named = f"{trials:,} recorded trials on {store.hardware[answer.hw].title}{sizes}"
    lines = ["", *wrap(joined([named, f"{failed:,} failed" if failed else ""]))]
    for size in answer.recorded[:most]:
        about = [size.op] if size.op != answer.op else []
        about += [size.hw] if size.hw != answer.hw else []
        about += [show_assignments(size.problem)] if size.problem else []
        words = f"best {_time(size.best_us or 0.0)}{'' if size.tier == 'measured' else ', reported'}"
        lines += wrap(joined([words, *about]), indent=2)
        lines += as_dictionary("best", size.best)
    if len(answer.recorded) > most:
        left = len(answer.recorded) - most
        lines += wrap(f"... and {counted(left, 'more problem size')}: --format json has them", indent=2)
    return lines


def _time(microseconds: float) -> str:
    return f"{microseconds:.4g} us" if microseconds < 1000 else f"{microseconds / 1000:.4g} ms"  # noqa: PLR2004 - us in ms


def parameter_order(store: Store, op: str) -> list[str]:
    """The tunable parameters of every op an answer for `op` is about, in file order, the op with the most first."""
    related = [store.ops[name] for name in op_relations(store, op) if name in store.ops]
    related.sort(key=lambda node: -len(node.parameters))
    return list(dict.fromkeys(name for node in related for name in node.parameters))


def group(hits: Iterable[Hit], parameters: Sequence[str]) -> list[tuple[str, list[Hit]]]:
    """Hits by what their claims are about, in the order of the op's parameters; what is no parameter comes last."""
    groups: dict[tuple[str, ...], list[Hit]] = {}
    for hit in hits:
        groups.setdefault(_knobs(hit.law, parameters), []).append(hit)
    position = {name: number for number, name in enumerate(parameters)}
    last = len(position)
    ordered = sorted(groups, key=lambda names: ([position.get(name, last) for name in names] or [last + 1], names))
    return [(_TIMES.join(names) or _SYSTEMS, sorted(groups[names], key=_rank)) for names in ordered]


def _knobs(law: Law, parameters: Sequence[str]) -> tuple[str, ...]:
    """The parameters a claim is about; if there is none, the other names in it."""
    names = meaning(law).names
    return tuple(name for name in parameters if name in names) or tuple(sorted(names))


def _rank(hit: Hit) -> tuple[int, int, tuple[bool, int, int], str]:
    return meaning(hit.law).rank, _STATUS_ORDER.index(hit.law.status), hit.match.distance, hit.law.id


def _law(hit: Hit, store: Store, pen: Pen) -> list[str]:
    """One law: verb, claim and status; condition; title; evidence; id and how it matched."""
    law, match = hit.law, hit.match
    verb, status = meaning(law).verb, status_text(hit)
    claim = wrap(meaning(law).text, indent=_VERB_WIDTH, width=WIDTH - len(status) - 2)
    lines = with_right(pen, claim, status, *STATUS_STYLES[law.status])
    lines[0] = "  " + pen(verb, *VERB_STYLES.get(verb, ("bold",))) + lines[0][2 + len(verb) :]
    details = [*condition_text(match), law.title, _evidence(law)]
    lines += [line for text in details for line in wrap(text, indent=_VERB_WIDTH)]
    origin = joined([law.id, *how(match, store), hit.layer])
    return lines + [pen(line, "dim") for line in wrap(origin, indent=_VERB_WIDTH)]


def status_text(hit: Hit) -> str:
    """The status with what weakens it."""
    notes = ["stale"] * hit.match.stale + ["overridden"] * (hit.match.overridden_by is not None)
    return ", ".join([hit.law.status, *notes])


def condition_text(match: Match) -> list[str]:
    """What must still hold for the law to apply, as at most one text."""
    parts = [match.when] if match.when else []
    if match.dtype:
        parts.append(f"dtype is {' or '.join(match.dtype)}")
    return [f"if {' and '.join(parts)}"] if parts else []


def _evidence(law: Law) -> str:
    observed = observed_text(law.evidence)
    return evidence_text(law.evidence) + (f": {observed}" if observed else "")


def how(match: Match, store: Store) -> list[str]:
    """How a law matched, in words: the hardware side, then the op side unless it is exact."""
    end = match.via[-1]
    if match.hw == "transferred":
        hardware = f"{end}, transferred via {_top(match.via, store)}"
    else:
        hardware = end if match.hw == "exact" else f"{end}, inherited"
    words = {"exact": "", "child": "{0}, a kind of {1}", "inherited": "{0}, which {1} is", "part": "{0}, a part of {1}"}
    return [hardware, words[match.op].format(match.op_via[-1], match.op_via[0])]


def how_short(match: Match) -> str:
    """How a law matched in a word or two; empty where it was stated for what was asked."""
    hardware = {"exact": "", "inherited": "", "transferred": f"from {match.via[-1]}"}[match.hw]
    op = "" if match.op == "exact" else f"of {match.op_via[-1]}"
    return " ".join(filter(None, (op, hardware)))


def _top(via: tuple[str, ...], store: Store) -> str:
    """Where a path stops going up: the node whose next one is a kind of it."""
    climbs = (one for one, after in pairwise(via) if after not in store.hardware[one].is_a)
    return next(climbs, via[-1])


def _section(title: str, hits: Sequence[Hit], answer: Answer, store: Store, pen: Pen) -> list[str]:
    if not hits:
        return []
    lines = ["", pen("── " + title + " " + "─" * (WIDTH - len(title) - 4), "dim")]
    for knob, members in group(hits, parameter_order(store, answer.op)):
        lines += ["", pen(knob, "bold"), *(line for hit in members for line in _law(hit, store, pen))]
    return lines


def _conflict(conflict: Dispute, store: Store, pen: Pen) -> list[str]:
    """Two laws side by side, and which of them is nearer."""
    columns = [_column(store.laws[law]) for law in conflict.laws]
    verdict = f"{conflict.nearer} is nearer and wins" if conflict.nearer else "neither overrides the other: measure"
    heading = pen("── Conflict " + "─" * (WIDTH - 12), "red")
    return ["", heading, *side_by_side(*columns), *wrap(f"{conflict.reason}; {verdict}")]


def _column(law: Law) -> list[str]:
    width = column_width()
    texts = [
        f"{meaning(law).verb} {meaning(law).text}",
        law.title,
        f"{law.status}: {evidence_text(law.evidence)}",
        law.id,
    ]
    return [line for text in texts for line in wrap(text, width=width)]


def footer(answer: Answer | Brief, shown: Sequence[Hit], pen: Pen) -> list[str]:
    """What lies beneath and has no power here, and what to do next."""
    lines = superseded_lines(answer.superseded)
    if answer.num_withdrawn:
        lines.append(f"{counted(answer.num_withdrawn, 'withdrawn law')} not shown: --status withdrawn")
    if shown:
        commands = [f"More about one: kg explain {hit.law.id}" for hit in shown]
        lines.append(next((text for text in commands if len(text) <= WIDTH), commands[0]))  # whole, to be pasted
    elif not answer.counts and answer.recorded:
        lines.append(f"No law yet: tune learn {answer.op} looks for some in what is recorded")
    elif not answer.counts:
        lines.append("Nothing is known yet: search, and what it confirms is written as laws (tune --help)")
    return ["", *(pen(line, "dim") for text in lines for line in wrap(text))]


def superseded_lines(laws: Sequence[SupersededLaw]) -> list[str]:
    """A sentence for each law beneath that has no power here, the first `MAX_SUPERSEDED` by name; those about safety first."""
    ordered = sorted(laws, key=lambda one: not meaning(one.law).is_safety)
    said = [f"{'SAFETY: ' * meaning(one.law).is_safety}{one.words}" for one in ordered[:MAX_SUPERSEDED]]
    more = len(laws) - len(said)
    return said + [f"{counted(more, 'more law')} superseded: kg check names them"] * bool(more)


def answer_markdown(answer: Answer, store: Store) -> str:
    """The answer as a Markdown table, one row a law."""
    hw, op = store.hardware[answer.hw], store.ops[answer.op]
    rows = [
        (
            knob,
            f"**{meaning(hit.law).verb}** `{meaning(hit.law).text}`",
            " ".join(condition_text(hit.match)),
            status_text(hit),
            _evidence(hit.law),
            joined([*how(hit.match, store), hit.layer]),
            f"`{hit.law.id}`: {hit.law.title}",
        )
        for knob, hits in group(answer.hits, parameter_order(store, answer.op))
        for hit in hits
    ]
    head = ("knob", "what", "condition", "status", "evidence", "matched", "law")
    lines = [f"### {op.title} on {hw.title}", "", _row(head), _row(["---"] * len(head)), *(_row(row) for row in rows)]
    if answer.conflicts:
        lines += ["", "Conflicts:", ""]
    for c in answer.conflicts:
        verdict = f"`{c.nearer}` is nearer and wins" if c.nearer else "neither overrides the other"
        lines.append(f"- `{c.laws[0]}` and `{c.laws[1]}`: {c.reason}; {verdict}")
    if answer.superseded:
        lines += ["", "Superseded:", "", *(f"- {one.words}" for one in answer.superseded)]
    return "\n".join([*lines, ""])


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def answer_yaml(answer: Answer) -> str:
    """The JSON form as YAML."""
    import msgspec
    import yaml

    return yaml.safe_dump(
        msgspec.to_builtins(answer_document(answer)), sort_keys=False, allow_unicode=True, width=WIDTH
    )
