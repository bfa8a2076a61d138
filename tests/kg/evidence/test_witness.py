"""What a run says of a law is worked out from its trials, whoever says what about it."""

from __future__ import annotations

import msgspec
import pytest

from spak.kg.evidence.witness import RunWitness
from tests.tuner.searching import avoid, law, store
from tests.tuner.spilling import SPILLS, few, flat, measured


def test_a_measured_run_supports_a_law_it_covers_with_effect_and_interval():
    entry = RunWitness(measured(), store()).entry(SPILLS)
    assert (entry.verdict, entry.tier, entry.role) == ("supports", "measured", "independent")
    assert entry.toolchain == "tileiras 13.4.92"
    assert entry.problems == ("dim=64,size=512",)
    low, high = entry.interval["slowdown"]
    assert 1.5 < low <= entry.effect["slowdown"] <= high


def test_a_run_in_which_nothing_spills_slowly_refutes_it():
    assert RunWitness(measured(time=flat), store()).entry(SPILLS).verdict == "refutes"


@pytest.mark.parametrize(
    "scope",
    [{"hw": "sm_2"}, {"toolchain": "tileiras >=14,<15"}, {"when": "size > 9000"}, {"when": "nobody_knows > 1"}],
)
def test_a_run_outside_the_scope_says_nothing(scope):
    outside = avoid("outside", "spill_bytes > 0", scope=scope)
    assert RunWitness(measured(), store()).entry(outside) is None


def test_a_law_of_the_architecture_is_covered_and_a_law_of_a_device_beside_it_is_not():
    run = measured(hw="sm_1")
    assert RunWitness(run, store()).covers(avoid("wide", "m > 64", scope={"hw": "arch"}))
    assert not RunWitness(run, store()).covers(avoid("narrow", "m > 64", scope={"hw": "card"}))


@pytest.mark.parametrize("change", [{"hw": "strange"}, {"op": "strange"}, {"tier": "reported"}, {"trials": ()}])
def test_a_run_that_is_not_about_known_things_or_has_no_trials_says_nothing(change):
    run = msgspec.structs.replace(measured(), **change)
    assert RunWitness(run, store()).entry(SPILLS) is None
    assert not RunWitness(run, store()).covers(law("rule", "invariant", {"require": "m > 0", "otherwise": "x"}))


def test_a_law_with_a_toolchain_needs_a_run_that_says_its_own():
    needs = avoid("needs", "spill_bytes > 0", at_least=1.5, scope={"toolchain": "tileiras >=13,<14"})
    assert RunWitness(measured(), store()).entry(needs)
    assert not RunWitness(measured(toolchain={}), store()).entry(needs)


def test_a_refutation_beside_few_others_does_not_count_unless_the_trials_were_chosen_for_it():
    """The best of few is not the best there is; a confirmation has the best known ones beside it by design."""
    slow = measured(time=flat)
    assert RunWitness(few(slow, 4, 7), store()).entry(SPILLS) is None
    assert RunWitness(few(slow, 4, 8), store()).entry(SPILLS).verdict == "refutes"
    assert RunWitness(few(slow, 4, 3, "confirm"), store()).entry(SPILLS).verdict == "refutes"


def test_a_preference_is_refuted_only_if_enough_with_it_were_tried():
    prefer = law("prefer-slow", "positive", {"prefer": {"lat": 1}, "effect": {"cost": {"at_most": 0.01}}})
    run = measured()
    assert RunWitness(run, store()).entry(prefer).verdict == "refutes"
    with_it = [t for t in run.trials if t.configuration["lat"] == 1][:4]
    others = [t for t in run.trials if t.configuration["lat"] == 4]
    assert RunWitness(msgspec.structs.replace(run, trials=(*with_it, *others)), store()).entry(prefer) is None


def test_compiled_claims_refute_on_one_configuration_and_failures_need_no_neighbours():
    none = avoid("never", "m >= 64", "spill_bytes", 1)
    assert RunWitness(few(measured(), 0, 40), store()).entry(none).verdict == "refutes"
    fails = avoid("fails", "spill_bytes > 0", "failure_rate", 1)
    assert RunWitness(measured(), store()).entry(fails).verdict == "refutes"
