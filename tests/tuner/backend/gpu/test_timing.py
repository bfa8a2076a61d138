"""Interleaving, with a sampler that records its calls instead of a GPU."""

import random

import pytest

from spak.tuner.backend.gpu.timing import Plan, interleave

TRUE_US = {"fast": 10.0, "close": 25.0, "slow": 31.0}


class Sampler:
    def __init__(self):
        self.calls = []

    def __call__(self, key):
        self.calls.append(key)
        return TRUE_US[key]


def test_every_contestant_is_timed_once_in_each_round():
    sampler = Sampler()
    samples = interleave(list(TRUE_US), sampler, Plan(rounds=9, slow_rounds=9), random.Random(0))
    assert {key: len(times) for key, times in samples.items()} == dict.fromkeys(TRUE_US, 9)
    rounds = [sampler.calls[i : i + 3] for i in range(0, 27, 3)]
    assert all(sorted(calls) == sorted(TRUE_US) for calls in rounds)
    assert len({tuple(calls) for calls in rounds}) > 1, "the order is drawn anew"


def test_what_is_slow_by_then_leaves_with_enough_samples_for_an_interval():
    samples = interleave(list(TRUE_US), Sampler(), Plan(rounds=20, slow_rounds=7), random.Random(0))
    assert {key: len(times) for key, times in samples.items()} == {"fast": 20, "close": 20, "slow": 7}


def test_the_best_of_earlier_batches_counts_too():
    samples = interleave(["close"], Sampler(), Plan(rounds=20, slow_rounds=7), random.Random(0), best_us=5.0)
    assert len(samples["close"]) == 7


def test_the_same_seed_gives_the_same_order():
    first, second = Sampler(), Sampler()
    interleave(list(TRUE_US), first, Plan(), random.Random(3))
    interleave(list(TRUE_US), second, Plan(), random.Random(3))
    assert first.calls == second.calls


@pytest.mark.parametrize(("rounds", "slow_rounds"), [(25, 5), (6, 7)])
def test_a_plan_without_an_interval_is_refused(rounds, slow_rounds):
    with pytest.raises(ValueError, match="interval"):
        Plan(rounds=rounds, slow_rounds=slow_rounds)
