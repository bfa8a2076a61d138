"""What a law is about decides whether it may be tried: time and failure may, wrong numbers and hangs may not."""

from __future__ import annotations

import pytest

from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import EffectTest
from spak.kg.law.kinds.require import InvariantLaw, RequireClaim
from spak.kg.law.power import SearchPlace, bearing
from spak.kg.model.law import Bound, Scope
from tests.kg.small import ROOT, negative


def invariant(**effect: Bound) -> InvariantLaw:
    return InvariantLaw(
        id="keep",
        title="Keep tile_m small",
        scope=Scope(hw="sm_120", op="fmha"),
        status="proposed",
        claim=RequireClaim(require="tile_m <= 64", otherwise="it breaks", effect=effect),
    )


SLOW = Bound(at_least=1.2)
ONE = Bound(at_least=1)


@pytest.mark.parametrize(
    ("law", "is_safety"),
    [
        (invariant(slowdown=SLOW), False),
        (invariant(nan_rows=Bound(at_most=0)), True),
        (invariant(nan_rows_otherwise=ONE), True),
        (invariant(failure_rate=ONE), True),
        (invariant(slowdown=SLOW, nan_rows_otherwise=ONE), True),
        (invariant(), True),
        (negative("slow"), False),
        (negative("fails", effect={"failure_rate": ONE}), False),
    ],
)
def test_safety_is_what_the_effects_are_about_not_the_kind(law, is_safety):
    """A failed launch costs a trial, so that a negative law about it is tried; an invariant speaks of worse."""
    assert meaning(law).is_safety == is_safety


def test_an_invariant_about_time_is_judged_by_what_violates_it():
    """It removes what violates it, so that is where its slowdown must show."""
    test = meaning(invariant(slowdown=SLOW)).test
    assert isinstance(test, EffectTest)
    assert test.region.holds({"tile_m": 128})
    assert not test.region.holds({"tile_m": 64})
    assert meaning(invariant(nan_rows_otherwise=ONE)).test is None


def test_a_lower_occupancy_is_not_a_longer_time():
    """It is read from compiled code like any feature, so it removes nothing."""
    law = negative("law", effect={"occupancy_ratio": Bound(at_most=0.5)})
    found = bearing(law, SearchPlace(ROOT, "rtx5070", "tileiras 13.4.92"))
    assert not found.removes
    assert found.reason == "it is about compiled code (occupancy_ratio), not about time, failure or numbers"
