"""Trials are believed before what was drawn from them, and near hardware before far."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spak.kg.law.kinds.base import Power
from spak.kg.space.space import build
from spak.tuner.engine import loop
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.doubt import Doubt
from spak.tuner.engine.searcher import RunningSearch
from spak.tuner.knowledge.gather import TELLING, SearchTarget, advice, outranked
from spak.tuner.knowledge.restriction import Context, Restriction, restrict
from spak.tuner.knowledge.source import Source
from spak.tuner.strategy import registry
from tests.tuner.searching import FACTS, HARDWARE, OP, TOOLCHAIN, Formula, Laws, avoid, node, store

SPACE = build(OP, {}, FACTS)
CARDS = {**HARDWARE, "twin": node("twin", "device", "sm_1"), "cousin": node("cousin", "device", "sm_2")}
FAR = avoid("far", "m == 32", scope={"hw": "sm_2"})
OWN = avoid("own", "n == 32", "spill_bytes", 1)


def laws(*found) -> Laws:
    return replace(store(*found), hardware=CARDS)


def known(*found) -> Restriction:
    return restrict(SPACE, laws(*found), Context("card", TOOLCHAIN))


def runs_on(hw, count=TELLING) -> Source:
    return Source(hw, {}, np.arange(count), np.zeros(count))


def powers(restriction) -> dict[str, Power]:
    return {rule.id: rule.power for rule in restriction.rules}


@pytest.mark.parametrize(
    ("runs", "is_heard"),
    [
        ([], True),
        ([runs_on("twin")], False),
        ([runs_on("twin", TELLING - 1)], True),
        ([runs_on("cousin")], True),
        ([runs_on("cousin"), runs_on("twin")], False),
    ],
)
def test_laws_of_a_farther_relative_are_left_aside_where_a_nearer_one_has_runs(runs, is_heard):
    """A twin's trials say how it is on this architecture; the other architecture's laws only guess."""
    found = outranked(laws(FAR, OWN), known(FAR, OWN), runs, SearchTarget("card"))
    assert powers(known(FAR, OWN)) == {"own": Power.POSTPONE, "far": Power.POSTPONE}
    assert powers(found) == {"own": Power.POSTPONE, "far": Power.POSTPONE if is_heard else Power.NOTHING}
    assert is_heard or "twin is nearer" in next(rule.reason for rule in found.rules if rule.id == "far")


def test_what_runs_have_tried_no_law_postpones():
    """The law still speaks of the rest."""
    column = advice(known(OWN), [runs_on("twin", 10)])["law own"].slower
    bare = advice(known(OWN))["law own"].slower
    assert not column[:10].any()
    assert bare[:10].any()
    np.testing.assert_array_equal(column[10:], bare[10:])


def after_falling(*found):
    """A search under `found` of a formula whose best configurations have m == 32."""
    plan = RunningSearch(known(*found), lambda: registry.make("random"), Budget(40, None, 0.05))
    ticks = iter(range(1000))
    return loop.run_search(plan, Formula(), loop.Hooks(lambda: float(next(ticks)), lambda _: None, lambda *_: None))


def test_the_fall_of_a_relatives_law_casts_no_doubt_on_those_beside_it():
    """Nobody claimed that it holds here; of the same law stated for this hardware the fall adds audits."""
    true = avoid("true", "m * n > 4096")
    far, own = after_falling(FAR, true), after_falling(avoid("own", "m == 32"), true)
    assert far.restriction.contested == {"far"}
    assert own.restriction.contested == {"own"}
    assert far.audited == 2 < own.audited


def test_what_a_fallen_law_of_a_relative_had_named_is_no_lead():
    """It was only moved back; what a confirmed law had hidden is where to look first."""
    for law, leads in ((FAR, False), (avoid("own", "m == 32"), True)):
        doubt = Doubt(known(law), "time", lambda *_: np.random.default_rng(0))
        doubt.restriction = doubt.restriction.contest([law.id])
        doubt._free()
        row = next(i for i in range(len(SPACE)) if SPACE.config(i)["m"] == 32)
        doubt.lead.note(1.0, row)
        assert doubt.lead.is_open is leads
