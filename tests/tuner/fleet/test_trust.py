"""Whose measurements count: failures are charged to the configuration unless the GPU no longer runs what ran well."""

from __future__ import annotations

import threading

import pytest

from spak.kg.model.run import UNSTEADY_TIME, Failure, Measurement
from spak.tuner.backend.base import Request
from spak.tuner.fleet.trust import FleetTrust, LaneBatch

FAST, SLOW = {"clock": (100.0,) * 8}, {"clock": (110.0,) * 8}
CRASH = Failure(type="WorkerDied", message="killed by SIGSEGV")


def request(number):
    return Request({"n": number}, {"seq": 64}, "sweep")


def ran(number, name="time"):
    asked = request(number)
    return asked, asked.trial(invalidity="correct", measurements=(Measurement(name=name, value=5.0, unit="us"),))


def fell(number, invalidity="runtime"):
    asked = request(number)
    return asked, asked.trial(invalidity=invalidity, failure=CRASH)


def batch(*pairs, device="a", reading=FAST, again=None, alone=False):
    """`again`: whether it runs what ran well, in the process there is and in a new one; one value for both."""

    def asked_again(one, afresh):
        assert again is not None, "nothing is known to run well"
        runs = again if isinstance(again, bool) else again[afresh]
        return (ran if runs else fell)(one.configuration["n"])[1]

    return LaneBatch(device, pairs, reading, asked_again, alone)


def numbers(pairs):
    return [asked.configuration["n"] for asked, _ in pairs]


def test_a_failure_beside_a_success_is_the_configurations():
    trust = FleetTrust()
    assert numbers(trust.taken(batch(fell(1), ran(2)))) == [1, 2]
    assert numbers(trust.taken(batch(fell(3), fell(4), device="b", again=True))) == [3, 4]
    assert trust.health.out == {}


def test_a_gpu_that_fails_with_what_ran_well_charges_the_first_alone():
    """What did not compile is nobody's fault but its own."""
    trust = FleetTrust()
    trust.taken(batch(ran(1)))
    taken = trust.taken(batch(fell(2), fell(3), fell(4, "compile"), device="b", again=False))
    assert numbers(taken) == [2, 4]
    assert trust.health.out == {
        "b": "after a failure it fails with what ran well before: WorkerDied: killed by SIGSEGV"
    }


def test_a_gpu_whose_context_alone_was_poisoned_charges_the_first_and_stays():
    trust = FleetTrust()
    trust.taken(batch(ran(1), device="b"))
    for number in (2, 4, 6):
        assert numbers(trust.taken(batch(fell(number), fell(number + 1), device="b", again=(False, True)))) == [number]
    assert trust.health.out == {}


@pytest.mark.parametrize(("alone", "taken", "out"), [(False, [1, 2, 3], ["b"]), (True, [1, 2, 3, 4], [])])
def test_where_nothing_has_run_well_three_failures_take_a_gpu_out_if_another_can_take_over(alone, taken, out):
    trust = FleetTrust()
    found = trust.taken(batch(*map(fell, range(1, 5)), device="b", alone=alone))
    assert (numbers(found), list(trust.health.out)) == (taken, out)


@pytest.mark.parametrize("alone", [False, True])
def test_three_marked_batches_take_a_gpu_out_if_another_can_take_over(alone):
    trust = FleetTrust()
    for number in range(3):
        assert trust.health.out == {}
        assert numbers(trust.taken(batch(ran(number, UNSTEADY_TIME), alone=alone))) == [number]
    assert bool(trust.health.out) is not alone


def judged_together(trust, batches):
    """What each GPU's thread is told, all having begun."""
    trust.begin([one.device for one in batches])
    told = {}
    threads = [
        threading.Thread(target=lambda one=one: told.update({one.device: trust.taken(one)}), daemon=True)
        for one in batches
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return {device: numbers(pairs) for device, pairs in told.items()}


@pytest.mark.parametrize("order", [1, -1])
def test_gpus_that_disagree_are_two_devices_and_the_larger_group_stays(order):
    """Whoever is read first; of two groups of one size the faster one."""
    batches = [batch(ran(1), device="a", reading=SLOW), batch(ran(2), device="b", reading=SLOW)]
    batches = [*batches, batch(ran(3), device="c")][::order]
    trust = FleetTrust()
    assert judged_together(trust, batches) == {"a": [1], "b": [2], "c": []}
    assert trust.health.out["c"].startswith("the reference kernel 'clock' takes 9.1 % less than on a: they are two")
    pair = FleetTrust()
    assert judged_together(pair, batches[1:] if order == 1 else batches[:2]) == {"b": [], "c": [3]}
    assert "takes 10.0 % longer than on c" in pair.health.out["b"]


def test_a_gpu_that_has_not_timed_anything_holds_nobody_up_once_it_leaves():
    trust = FleetTrust()
    trust.begin(["a", "b"])
    trust.leave("b")
    assert numbers(trust.taken(batch(fell(1, "compile"), reading={}))) == [1]
    assert numbers(trust.taken(batch(ran(2)))) == [2]
    trust.begin(["a", "b"])
    assert numbers(trust.taken(batch(ran(3)))) == [3], "it is known what the search is about"
