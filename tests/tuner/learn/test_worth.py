"""A confirmed law that adds next to nothing to what is known gets no file, and its run says so."""

from __future__ import annotations

import msgspec
import pytest

from spak.kg.model.run import Candidate
from spak.tuner.learn.worth import idle_laws, weighed
from tests.tuner.searching import OP, store
from tests.tuner.spilling import SIZES, SPILLS, measured

RUN = measured("one", SIZES)


def narrow(identifier: str = "narrow", status: str = "confirmed"):
    """Part of what spills, and it says no more of it."""
    claim = msgspec.structs.replace(SPILLS.claim, avoid=f"({SPILLS.claim.avoid}) and {first_value()}")
    return msgspec.structs.replace(SPILLS, id=identifier, claim=claim, status=status)


def first_value() -> str:
    name, parameter = next(iter(OP.parameters.items()))
    return f"{name} == {parameter.values[-1]!r}"


def confirmed(one):
    return msgspec.structs.replace(one, status="confirmed")


def test_a_part_of_what_a_confirmed_law_says_adds_nothing():
    idle = idle_laws([narrow()], store(confirmed(SPILLS)), [RUN])
    assert list(idle) == ["narrow"]
    assert idle["narrow"].startswith("adds 0 of ")


def test_the_whole_is_worth_a_file_beside_its_part():
    """A law of which what is known is only a part says more."""
    assert idle_laws([SPILLS], store(narrow()), [RUN]) == {}


@pytest.mark.parametrize("status", ["proposed", "contested", "refuted", "withdrawn"])
def test_what_is_not_confirmed_takes_nothing_from_a_new_law(status):
    known = msgspec.structs.replace(SPILLS, id="known", status=status)
    assert idle_laws([SPILLS], store(known), [RUN]) == {}


def test_of_two_new_laws_the_one_that_adds_more_is_kept():
    assert list(idle_laws([narrow(), SPILLS], store(), [RUN])) == ["narrow"]


def test_without_trials_nothing_is_weighed():
    assert idle_laws([SPILLS], store(), []) == {}
    assert idle_laws([], store(), [RUN]) == {}


def test_a_candidate_that_passed_says_why_it_has_no_file():
    passed = Candidate(law=narrow(), outcome="confirmed", reason="held")
    failed = Candidate(law=narrow(), outcome="refuted", reason="no")
    worthy = Candidate(law=SPILLS, outcome="confirmed", reason="held")
    told, new = weighed([passed, failed, worthy], [narrow(), SPILLS], store(), [RUN])
    assert [one.reason.partition("; adds 0 of ")[0] for one in told] == ["held", "no", "held"]
    assert ["; adds 0 of " in one.reason for one in told] == [True, False, False]
    assert new == (SPILLS,)
