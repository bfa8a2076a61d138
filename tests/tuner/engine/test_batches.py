"""What a search asks for where several compile at once: something for each of them, and at its end the longest first."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kg.model.run import Times
from spak.kg.space.space import build
from spak.tuner.engine import loop
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.searcher import RunningSearch, Searcher
from spak.tuner.engine.targets import LEAST_OF_A_TARGET, SearchOfTargets, TargetSearch
from spak.tuner.knowledge.restriction import Restriction
from spak.tuner.knowledge.source import whereabouts
from spak.tuner.strategy import registry
from tests.tuner.searching import FACTS, OP, Formula

PROBLEM = {"size": 1024, "dim": 64}
SPACE = build(OP, PROBLEM, FACTS)


@dataclass
class Compilers(Formula):
    """Large tiles compile long. `at_once` are evaluated, the rest is late; `begun` is what was asked for, in order."""

    at_once: int = 4
    begun: list = field(default_factory=list)

    def late(self, requests, patience):
        self.begun += [one for one in requests if one not in self.begun]
        return range(self.at_once, len(requests))

    def _trial(self, request):
        return msgspec.structs.replace(super()._trial(request), times=Times(compilation=request.configuration["m"]))


def searched(backend, budget):
    searching = RunningSearch(Restriction(SPACE), lambda: registry.make("random"), Budget(audit=0.0))
    searcher, journal, ticks = Searcher(searching, "time"), [], itertools.count()
    watch = loop.SearchWatch(lambda: float(next(ticks)), lambda *_: None)
    running = loop.Running(loop.Alone(searcher, budget, journal.append), backend, watch, 0.0)
    while running.step():
        pass
    return journal


def tiles(requests):
    return [request.configuration["m"] for request in requests]


def asked_as_usual(budget, **sizes):
    backend = Compilers(**sizes)
    searched(backend, budget)
    return tiles(backend.begun)


@pytest.mark.parametrize("budget", [Budget(audit=0.0), Budget(trials=len(SPACE), audit=0.0)])
@pytest.mark.parametrize(("compilers", "sizes"), [(len(SPACE) // 8, {}), (1, {"batch_size": len(SPACE) // 4})])
def test_at_the_end_of_a_whole_space_what_compiles_longest_comes_first(budget, compilers, sizes):
    """Also where a batch is more than what is left when the end could begin."""
    backend = Compilers(num_compilers=compilers, **sizes)
    journal = searched(backend, budget)
    counts = Counter(tuple(sorted(trial.configuration.items())) for trial in journal)
    assert len(counts) == len(SPACE) == len(journal), "each once"
    usual, found = asked_as_usual(budget, **sizes), tiles(backend.begun)
    ends = next(place for place, pair in enumerate(zip(usual, found, strict=True)) if pair[0] != pair[1])
    rest = found[ends:]
    assert rest == sorted(rest, reverse=True)
    assert len(set(rest)) > 1


@pytest.mark.parametrize("budget", [Budget(trials=len(SPACE) - 1, audit=0.0), Budget(seconds=1e9, audit=0.0)])
def test_where_not_everything_will_be_tried_nothing_is_put_off(budget):
    backend = Compilers(num_compilers=len(SPACE) // 8, batch_size=len(SPACE) // 4)
    usual = Compilers(batch_size=len(SPACE) // 4)
    searched(backend, budget)
    searched(usual, budget)
    assert tiles(backend.begun) == tiles(usual.begun)


@given(compilers=st.integers(0, 40), batch=st.integers(1, 60), at_once=st.integers(1, 20), trials=st.integers(1, 80))
def test_a_budget_is_kept_and_nothing_is_asked_for_twice_whoever_compiles(compilers, batch, at_once, trials):
    backend = Compilers(num_compilers=compilers, batch_size=batch, at_once=at_once)
    journal = searched(backend, Budget(trials=trials, audit=0.0))
    counts = Counter(tuple(sorted(trial.configuration.items())) for trial in journal)
    assert set(counts.values()) == {1}
    assert len(journal) == min(trials, len(SPACE))


def test_a_search_of_many_targets_begins_with_something_for_each_who_compiles():
    """Alone it begins with few of each, to hear of the others before it asks for more."""
    begun = {}
    for compilers in (0, 20):
        targets = []
        for number in range(2):
            searching = RunningSearch(Restriction(SPACE), lambda: registry.make("random"), Budget(audit=0.0), number)
            place = whereabouts("card", {**PROBLEM, "size": 512 * (number + 1)})
            targets.append(TargetSearch(str(number), place, 1.0, Searcher(searching, "time"), lambda _: None))
        backend = Compilers(num_compilers=compilers, batch_size=64)
        lane = SearchOfTargets(targets, Budget(trials=70, audit=0.0)).lane("card")
        loop.Running(lane, backend, loop.SearchWatch(lambda: 0.0, lambda *_: None), 0.0).step()
        begun[compilers] = len(backend.begun)
    assert begun[0] == 2 * LEAST_OF_A_TARGET
    assert loop.AHEAD * 20 <= begun[20] <= 64
