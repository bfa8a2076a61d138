"""Where a search under laws looks to find out that one is wrong, and what it does once one is."""

from __future__ import annotations

import numpy as np

from spak.kg.space.space import build
from spak.tuner.engine.audit import Audits
from spak.tuner.engine.lead import Lead
from spak.tuner.engine.tally import tally
from spak.tuner.knowledge.restriction import Context, Restriction, restrict
from tests.tuner.searching import FACTS, HANGS, OP, TOOLCHAIN, avoid, law, store

SPACE = build(OP, {}, FACTS)


def restriction(*laws) -> Restriction:
    return restrict(SPACE, store(*laws), Context("card", TOOLCHAIN))


def audits_of(found: Restriction) -> Audits:
    tallies = {rule.id: tally(rule, "time", ~found.unsafe) for rule in found.rules if rule.is_audited}
    return Audits(found, tallies, lambda rows: int(rows[0]), np.random.default_rng(0))


def distance(first: int, second: int) -> int:
    return int((SPACE.codes[first] != SPACE.codes[second]).sum())


def where(**wanted) -> int:
    """The first configuration with these values."""
    return next(i for i in range(len(SPACE)) if wanted.items() <= SPACE.config(i).items())


def test_audits_take_turns_near_the_best_trial_near_the_default_and_where_it_is_promising():
    """Only the law stands between such a configuration and a trial, so that it tells most."""
    wrong = restriction(avoid("wrong", "m == 32"))
    audits, best = audits_of(wrong), where(m=64, n=128, lat=1)
    default = SPACE.default_index
    named = [i for i in range(len(SPACE)) if SPACE.config(i)["m"] == 32]
    first = audits.next((), best, {})
    assert distance(first, best) == min(distance(i, best) for i in named)
    second = audits.next((first,), best, {})
    assert distance(second, default) == min(distance(i, default) for i in named if i != first)
    assert audits.next((first, second), best, {}) == min(set(named) - {first, second})


def test_laws_are_audited_in_turn_and_nothing_twice_until_all_is_taken():
    laws = restriction(avoid("one", "m == 32"), avoid("two", "n == 128"))
    audits = audits_of(laws)
    taken: list[int] = []
    while (index := audits.next(taken, where(m=64), {})) is not None:
        assert index not in taken
        taken.append(index)
    named = [i for i in range(len(SPACE)) if SPACE.config(i)["m"] == 32 or SPACE.config(i)["n"] == 128]
    assert sorted(taken) == named
    firsts = [SPACE.config(i) for i in taken[:2]]
    assert {c["m"] == 32 for c in firsts} == {c["n"] == 128 for c in firsts} == {True, False}


def test_audits_keep_away_from_what_is_unsafe():
    unsafe = law("safe", "invariant", {"require": "lat <= 2", "otherwise": "hangs the machine", "effect": HANGS})
    audits = audits_of(restriction(unsafe, avoid("one", "m == 32")))
    taken: list[int] = []
    while (index := audits.next(taken, None, {})) is not None:
        taken.append(index)
    assert taken
    assert all(SPACE.config(i)["lat"] <= 2 for i in taken)


FREED = np.array([SPACE.config(i)["m"] == 32 for i in range(len(SPACE))])


def test_there_is_no_lead_before_a_law_fell_nor_without_a_trial_of_what_it_hid():
    lead = Lead(SPACE, np.random.default_rng(0))
    lead.note(1.0, where(m=64))
    assert lead.next(()) is None
    lead.free(FREED)
    assert not lead.is_open
    lead.note(5.0, where(m=32))
    assert lead.is_open


def test_a_lead_looks_near_the_best_hidden_trial_where_effects_add_up_and_near_the_default():
    """Of trials in which n = 128 and lat = 4 are fastest, the model expects them to be so together."""
    lead, rng = Lead(SPACE, np.random.default_rng(0)), np.random.default_rng(1)
    start = where(m=32, n=64, lat=1)
    others = [i for i in rng.permutation(np.flatnonzero(~FREED)) if SPACE.default_index != i][:24]
    for index in [*others, start]:
        c = SPACE.config(int(index))
        lead.note(
            10.0 * (1 if c["n"] == 128 else 2) * (1 if c["lat"] == 4 else 2) * (1 if c["fast"] else 1.5), int(index)
        )
    lead.free(FREED)
    taken = {int(i) for i in others} | {start}
    proposed = [lead.next(taken) for _ in range(3)]
    assert all(FREED[i] for i in proposed)
    modelled, near_default, near_best = proposed
    assert SPACE.config(modelled) == {"m": 32, "n": 128, "lat": 4, "fast": True}
    assert distance(near_default, SPACE.default_index) == 1
    assert distance(near_best, start) == 1


def test_a_lead_ends_when_all_that_was_hidden_is_taken_and_repeats_nothing():
    lead, start = Lead(SPACE, np.random.default_rng(0)), where(m=32)
    lead.note(1.0, start)
    lead.free(FREED)
    taken = {start}
    while (index := lead.next(taken)) is not None:
        assert FREED[index]
        assert index not in taken
        taken.add(index)
        lead.note(float(index + 2), index)
    assert taken == set(np.flatnonzero(FREED))
    assert not lead.is_open
