"""What every strategy keeps, and what each is for."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from spak.tuner.errors import TunerError
from spak.tuner.knowledge.known import knowledge
from spak.tuner.knowledge.source import WORST, Source
from spak.tuner.strategy import registry
from spak.tuner.strategy.base import Observation, SpaceView
from spak.tuner.strategy.forest import Forest
from spak.tuner.strategy.transfer import Transfer


def view(landscape, order=None):
    return SpaceView.of(landscape.codes, landscape.cardinalities, order)


def search(strategy, space, times, seed=0, most=None, until=2.0):
    """Rows in the order proposed, one at a time, until one reaches that fraction of the best."""
    strategy.start(space, np.random.default_rng(seed))
    rows = []
    while len(rows) < (most or len(times)):
        (row,) = strategy.ask(1)
        rows.append(row)
        if np.nanmin(times) >= until * times[row]:
            break
        strategy.tell([Observation(row, None if np.isnan(times[row]) else float(times[row]))])
    return rows


def evaluations(rows, times, fraction=0.95):
    best = np.nanmin(times)
    return next(n for n, row in enumerate(rows, 1) if best >= fraction * times[row])


def known_from(landscape, *seeds, likeness=0.9, inverted=False):
    parts = []
    for seed in seeds:
        log = landscape.log_time(seed, likeness)
        slow = np.minimum(log - log.min(), WORST)
        parts.append(Source(f"gpu{seed}", {}, np.arange(len(log)), WORST - slow if inverted else slow))
    return knowledge(landscape.codes, landscape.cardinalities, parts, [1.0] * len(parts))


@pytest.mark.parametrize("name", registry.STRATEGIES)
def test_the_whole_space_is_proposed_once_each_and_the_same_for_the_same_seed(landscape, name):
    times = np.exp(landscape.log_time(3))
    times[::7] = np.nan
    one = search(registry.make(name), view(landscape), times)
    two = search(registry.make(name), view(landscape), times)
    assert sorted(one) == list(range(len(times)))
    assert one == two
    assert list(registry.make(name).name) == list(name)


@pytest.mark.parametrize("name", registry.STRATEGIES)
def test_what_was_told_without_being_asked_is_not_asked_and_batches_hold_no_repeats(landscape, name):
    strategy = registry.make(name)
    strategy.start(view(landscape), np.random.default_rng(0))
    strategy.tell([Observation(row, 1.0 + row) for row in range(20)])
    asked = [row for _ in range(5) for row in strategy.ask(7)]
    assert len(set(asked)) == len(asked)
    assert not set(asked) & set(range(20))


@pytest.mark.parametrize("name", ["genetic", "forest"])
def test_learning_strategies_beat_random_search_on_average(landscape, name):
    ratios = []
    for seed in range(6):
        times = np.exp(landscape.log_time(seed))
        good = int((times.min() >= 0.95 * times).sum())
        rows = search(registry.make(name), view(landscape), times, seed, until=0.95)
        ratios.append(evaluations(rows, times) / ((len(times) + 1) / (good + 1)))
    assert np.mean(ratios) < 0.75


@pytest.mark.parametrize("name", ["genetic", "forest", "transfer"])
def test_a_space_where_everything_fails_is_searched_to_its_end(landscape, name):
    times = np.full(len(landscape.codes), np.nan)
    assert len(search(registry.make(name), view(landscape), times)) == len(times)


@pytest.mark.parametrize("name", ["exhaustive", "forest", "genetic", "random"])
def test_a_known_order_is_tried_first_and_named_as_the_reason(landscape, name):
    times = np.exp(landscape.log_time(3))
    order = np.argsort(times)
    reasons = []
    strategy = registry.make(name, lambda codes, reason: reasons.append((codes, reason)))
    rows = search(strategy, view(landscape, order), times, most=8)
    assert len(set(rows[:8]) & set(order[:8].tolist())) >= 4
    assert [codes for codes, _ in reasons] == [tuple(landscape.codes[row]) for row in rows]
    first = [row for row, (_, reason) in zip(rows, reasons, strict=True) if reason == "known order"]
    assert first == order[: len(first)].tolist()
    assert len(first) >= 4


@pytest.mark.parametrize(("name", "reason"), [("forest", "model of"), ("genetic", "bred from"), ("random", "random")])
def test_what_comes_after_says_what_it_was_proposed_from(landscape, name, reason):
    reasons = []
    strategy = registry.make(name, lambda _, reason: reasons.append(reason))
    search(strategy, view(landscape), np.exp(landscape.log_time(3)), most=60)
    assert len(reasons) == 60
    assert any(found.startswith(reason) for found in reasons[20:])


def test_transfer_from_relatives_needs_a_few_evaluations(landscape):
    counts = []
    for seed in range(5):
        times = np.exp(landscape.log_time(seed + 50))
        counts.append(
            evaluations(search(Transfer(known_from(landscape, 1, 2, 3)), view(landscape), times, seed), times)
        )
    assert np.mean(counts) < 12


def test_knowledge_that_misleads_costs_at_most_a_factor_of_two(landscape):
    ratios = []
    for seed in range(10):
        times = np.exp(landscape.log_time(seed + 50))
        good = int((times.min() >= 0.95 * times).sum())
        rows = search(Transfer(known_from(landscape, 1, 2, inverted=True)), view(landscape), times, seed, until=0.95)
        ratios.append(evaluations(rows, times) / ((len(times) + 1) / (good + 1)))
    assert np.mean(ratios) < 2


def test_half_of_the_proposals_are_random_unless_improvements_earn_more(landscape):
    reasons = []
    times = np.ones(len(landscape.codes))  # nothing improves
    strategy = Transfer(known_from(landscape, 1), lambda row, reason: reasons.append(reason))
    search(strategy, view(landscape), times, most=100)
    assert sum(reason == "random" for reason in reasons) == 50
    assert reasons[0].startswith("gpu1 100%")
    assert "trials here" in reasons[2]


def test_transfer_searches_what_is_left_when_laws_remove_a_part(landscape):
    kept = np.flatnonzero(landscape.codes[:, 3] == 0)
    times = np.exp(landscape.log_time(3))[kept]
    noted = []
    strategy = Transfer(known_from(landscape, 3), lambda codes, _: noted.append(codes))
    rows = search(strategy, SpaceView.of(landscape.codes[kept], landscape.cardinalities), times)
    assert sorted(rows) == list(range(len(kept)))
    assert [tuple(landscape.codes[kept[row]]) for row in rows] == noted
    assert kept[rows[0]] == np.flatnonzero(landscape.log_time(3) == landscape.log_time(3)[kept].min())[0]


def test_failures_before_the_first_success_count_once_there_is_one(landscape):
    times = np.exp(landscape.log_time(3))
    known = known_from(landscape, 3)
    times[known.order()[0]] = np.nan
    assert evaluations(search(Transfer(known), view(landscape), times), times) < 40


def test_the_forest_says_what_to_install(landscape, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(TunerError, match="pip install"):
        Forest().start(view(landscape), np.random.default_rng(0))
