"""The surest of what `query` finds, and how many laws that is of: of a hundred thousand few are looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import chain, islice
from operator import itemgetter

from spak.kg.answers.certainty import SURE, doubt
from spak.kg.answers.query import Ask, governed_names, is_wanted, names_one, resolved_question
from spak.kg.expression.assignment import check_names
from spak.kg.law.conflict import Dispute, Hit, disputed, may_dispute, with_losers
from spak.kg.law.kinds import KINDS
from spak.kg.law.scope import Match, Matcher
from spak.kg.law.superseding import silenced
from spak.kg.model.cohort import Cohort
from spak.kg.model.law import Law, Status
from spak.kg.model.recorded import RecordedSize
from spak.kg.model.store import Store, SupersededLaw

MOST_OF_A_VERB = 40
"""Laws of a verb that somebody may want to see: no screen shows more."""


@dataclass(frozen=True)
class Brief:
    """An `Answer` without most of its laws; what has the same name is the same.

    Attributes:
        counts: How many of the answer's laws have each status.
        surest: Verb -> the surest of those laws that somebody may follow, surest first.
    """

    hw: str
    op: str
    counts: Mapping[Status, int]
    surest: Mapping[str, tuple[Hit, ...]]
    conflicts: tuple[Dispute, ...]
    num_withdrawn: int
    toolchain: str
    superseded: tuple[SupersededLaw, ...] = ()
    recorded: tuple[RecordedSize, ...] = ()


@dataclass(frozen=True)
class _Part:
    """Laws of a cohort that match alike and are asked for: the `places` of their ids, ascending."""

    cohort: Cohort
    match: Match
    places: Sequence[int]


def brief(store: Store, ask: Ask, most: int) -> Brief:
    """What is known about `ask.op` on `ask.hw`, of each verb the `most` surest laws.

    Raises:
        UnknownNameError: If the hardware, the op, a problem parameter or a filtered name is unknown.
    """
    question = resolved_question(store, ask)
    matcher = Matcher(store, question)
    matched = ((cohort, matcher.match_all(cohort.traits)) for cohort in store.cohorts(matcher.ops))
    found = [(cohort, match) for cohort, match in matched if match is not None]
    if ask.params:
        names = governed_names(store, question.op, (law for cohort, _ in found for law in cohort.laws))
        check_names(sorted(ask.params), names, kind="parameter")
    here = list(_disputing(store, found, list(matcher.ops)))
    disputes = disputed(store, matcher.known, here)
    losers = {hit.law.id: hit.match for hit in with_losers(here, disputes) if hit.match.overridden_by is not None}
    parts = [part for cohort, match in found for part in _parts(cohort, match, ask, losers)]
    shown = {part.cohort.ids[place] for part in parts if _may_dispute(part.cohort, part.match) for place in part.places}
    withdrawn = sum(len(cohort) for cohort, _ in found if cohort.traits.status == "withdrawn")
    return Brief(
        hw=question.hw,
        op=question.op,
        counts=_counts(parts),
        surest={verb: tuple(_surest(store, own, most)) for verb, own in _by_verb(parts).items()},
        conflicts=tuple(one for one in disputes if shown.intersection(one.laws)),
        num_withdrawn=0 if "withdrawn" in ask.statuses else withdrawn,
        toolchain=ask.toolchain,
        superseded=silenced(store, question),
    )


def _disputing(store: Store, found: Iterable[tuple[Cohort, Match]], ops: Sequence[str]) -> Iterator[Hit]:
    """The laws that may contradict each other, in the order in which a store has them."""
    placed: list[tuple[int, int, Law, Match]] = []
    for cohort, match in found:
        if _may_dispute(cohort, match):
            op = ops.index(cohort.traits.scope.op)
            placed += [(op, place, law, match) for place, law in zip(cohort.places, cohort.laws, strict=True)]
    for _, _, law, match in sorted(placed, key=itemgetter(0, 1)):
        yield Hit(law, match, store.layer_of(law.id))


def _may_dispute(cohort: Cohort, match: Match) -> bool:
    return may_dispute(match, cohort.traits.status)


def _parts(cohort: Cohort, match: Match, ask: Ask, losers: Mapping[str, Match]) -> Iterator[_Part]:
    """What is asked for of a cohort; each law apart that another overrides."""
    if not is_wanted(cohort.traits.status, cohort.traits.kind, ask):
        return
    places: Sequence[int] = range(len(cohort))
    if ask.params:
        places = [place for place in places if names_one(cohort.laws[place], ask)]
    if losers and _may_dispute(cohort, match):
        lost = [place for place in places if cohort.ids[place] in losers]
        yield from (_Part(cohort, losers[cohort.ids[place]], [place]) for place in lost)
        places = [place for place in places if place not in lost] if lost else places
    if places:
        yield _Part(cohort, match, places)


def _counts(parts: Iterable[_Part]) -> Mapping[Status, int]:
    counts: Counter[Status] = Counter()
    for part in parts:
        counts[part.cohort.traits.status] += len(part.places)
    return counts


def _by_verb(parts: Iterable[_Part]) -> dict[str, list[_Part]]:
    """What somebody may follow, by what it tells a person to do."""
    found: dict[str, list[_Part]] = {}
    for part in parts:
        if part.cohort.traits.status in SURE:
            found.setdefault(KINDS[part.cohort.traits.kind].verb, []).append(part)
    return found


def _surest(store: Store, parts: Iterable[_Part], most: int) -> Iterator[Hit]:
    """The `most` laws least in doubt; of those in the same doubt the first by id, whose cohorts alone are decoded."""
    by_doubt: dict[tuple[bool, int, bool, int, int], list[_Part]] = {}
    for part in parts:
        traits = part.cohort.traits
        by_doubt.setdefault(doubt(traits.status, traits.supports, part.match), []).append(part)
    ordered = (merge(*map(_named, by_doubt[key]), key=itemgetter(0)) for key in sorted(by_doubt))
    for name, part, place in islice(chain.from_iterable(ordered), most):
        yield Hit(part.cohort.laws[place], part.match, store.layer_of(name))


def _named(part: _Part) -> Iterator[tuple[str, _Part, int]]:
    return ((part.cohort.ids[place], part, place) for place in part.places)
