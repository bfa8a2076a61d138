"""One search of many targets: who gets the next trials, what each hears of the others, and what the budget bounds."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kg.model.run import Measurement, Run, Trial
from spak.kg.space.space import build
from spak.tuner.engine import loop
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.searcher import RunningSearch, Searcher
from spak.tuner.engine.targets import SearchOfTargets, TargetSearch, turn
from spak.tuner.knowledge.gather import Gathering, SearchTarget
from spak.tuner.knowledge.restriction import Context, Restriction, restrict
from spak.tuner.knowledge.source import by_place, whereabouts
from spak.tuner.strategy import registry
from tests.tuner.searching import FACTS, OP, TOOLCHAIN, Formula, avoid, store, time_us

SIZES = {"small": {"size": 512, "dim": 64}, "usual": {"size": 1024, "dim": 64}}
CARDS = ("card", "sm_2")


@dataclass
class Begun:
    """A search of many targets, and every trial in the order of its end, with its target's name."""

    search: SearchOfTargets
    backends: dict = field(default_factory=dict)
    watch: loop.SearchWatch = None
    trials: list = field(default_factory=list)

    def run(self, **how):
        return self.search.run(self.backends, self.watch, **how)

    def results(self, **how):
        return self.search.results(1.0, **how)

    def of(self, name):
        return [trial for whose, trial in self.trials if whose == name]


def begin(*, budget=None, flows=True, strategy="transfer", times=None, **backend):
    """A search of `SIZES` on `CARDS`; `times` has the formula of a card, `backend` what all cards have besides."""
    made, found = [], Begun(None)
    ticks = itertools.count()
    found.watch = loop.SearchWatch(lambda: float(next(ticks)), lambda *_: None)
    found.backends = {hw: Formula(time=(times or {}).get(hw, time_us), **{"batch_size": 1, **backend}) for hw in CARDS}
    for number, (hw, (name, problem)) in enumerate(itertools.product(CARDS, SIZES.items())):
        space = build(OP, problem, FACTS)
        searching = RunningSearch(Restriction(space), lambda: registry.make(strategy), Budget(audit=0.0), number)
        target = f"{hw} {name}"

        def keep(trial, target=target):
            found.trials.append((target, trial))

        gathering = Gathering(store(), space, SearchTarget(hw, "other-problems", problem), {}) if flows else None
        searcher = Searcher(searching, "time")
        made.append(TargetSearch(target, whereabouts(hw, problem), 1.0, searcher, keep, gathering))
    found.search = SearchOfTargets(made, budget or Budget(audit=0.0))
    return found


def test_turns_are_equal_shares_and_every_target_begins_with_its_default():
    begun = begin(budget=Budget(40, audit=0.0))
    begun.run()
    assert [trial.origin for _, trial in begun.trials[:4]] == ["default"] * 4
    counts = [len(result.trials) for result in begun.results()]
    assert counts == [10, 10, 10, 10]
    assert sum(counts) == len(begun.trials) == 40


def test_a_target_that_ends_leaves_its_trials_to_the_others():
    """Without a budget every configuration of every target is tried once."""
    begun = begin(strategy="random", flows=False)
    interrupted, seconds = begun.run()
    assert not interrupted
    assert seconds > 0
    for target in begun.search.targets:
        assert sorted(target.searcher.indices) == list(range(len(target.searcher.space)))


def test_same_seed_same_trials():
    found = []
    for _ in range(2):
        begun = begin(budget=Budget(60, audit=0.0))
        begun.run()
        found.append(begun.trials)
    assert found[0] == found[1]


def test_what_one_target_finds_is_tried_at_the_others_and_says_whose_it_is():
    """The best configuration is the same everywhere: heard of, it is found at all in fewer trials than alone."""
    best = {"m": 32, "n": 64, "lat": 4, "fast": True}

    def spent(*, flows):
        begun = begin(budget=Budget(120, audit=0.0), flows=flows)
        begun.run()
        found = {}
        for number, (name, trial) in enumerate(begun.trials, 1):
            if trial.configuration == best:
                found.setdefault(name, number)
        assert len(found) == 4
        return max(found.values()), begun

    (alone, _), (together, begun) = spent(flows=False), spent(flows=True)
    assert together < alone
    whose = {label for _, trial in begun.trials for label in trial.whose}
    assert whose == {f"{hw} at dim=64,size={size}" for hw in CARDS for size in (512, 1024)}
    for hw, (name, problem) in itertools.product(CARDS, SIZES.items()):
        own = f"{hw} at dim=64,size={problem['size']}"
        assert all(own not in trial.whose for trial in begun.of(f"{hw} {name}")), "no target advises itself"


def test_without_flow_no_trial_names_anybody():
    begun = begin(budget=Budget(60, audit=0.0), flows=False)
    begun.run()
    assert not any(trial.whose for _, trial in begun.trials)


def test_only_guesses_name_whose_knowledge_they_are():
    """Defaults and what chance drew owe nothing to anybody, and are half of a search at least without earned ones."""
    begun = begin(budget=Budget(80, audit=0.0))
    begun.run()
    assert all(not trial.whose for _, trial in begun.trials if trial.origin == "default")
    assert any(not trial.whose for _, trial in begun.trials if trial.origin == "strategy")


def test_hearing_more_keeps_every_trial_and_never_asks_twice():
    """The belief begins again with what was tried; the space still ends after each configuration once."""
    begun = begin()
    begun.run()
    for target in begun.search.targets:
        assert sorted(target.searcher.indices) == list(range(len(target.searcher.space)))
        assert target.num_heard > 0


def test_a_strategy_that_starts_from_nothing_hears_nothing():
    begun = begin(budget=Budget(24, audit=0.0), strategy="random")
    begun.run()
    assert [len(result.trials) for result in begun.results()] == [6, 6, 6, 6]
    assert not any(trial.whose for _, trial in begun.trials)


def test_a_target_where_everything_fails_does_not_take_the_others_trials():
    begun = begin(budget=Budget(80, audit=0.0))
    begun.backends["card"].fails = lambda _: True
    begun.run()
    assert [len(result.trials) for result in begun.results()] == [20, 20, 20, 20]


def test_an_interrupted_search_keeps_what_all_targets_found():
    begun = begin(budget=Budget(100, audit=0.0), stop_after=9)
    interrupted, _ = begun.run()
    assert interrupted
    results = begun.results(interrupted=True)
    assert 9 < sum(len(result.trials) for result in results) == len(begun.trials) < 20
    assert all(result.interrupted for result in results)


def test_what_waits_for_its_compilation_counts_against_the_budget_of_all():
    """Requests that a target left waiting are trials of the budget, whoever gets the next slot."""
    late = {"is_late": lambda c: c["lat"] == 1, "batch_size": 4}
    begun = begin(budget=Budget(30, audit=0.0), strategy="random", flows=False, **late)
    begun.run()
    assert len(begun.trials) == 30


def test_when_the_time_is_up_nothing_new_begins():
    begun = begin(budget=Budget(None, 60.0, audit=0.0))
    begun.run()
    assert 0 < len(begun.trials) < 60


@pytest.mark.parametrize("flows", [False, True])
def test_devices_at_once_keep_the_budget_and_their_own_targets(flows):
    begun = begin(budget=Budget(50, audit=0.0), flows=flows)
    assert begun.run(at_once=True)[0] is False
    assert len(begun.trials) == 50
    for target in begun.search.targets:
        asked = begun.backends[target.place[0]].asked
        assert {request.problem["size"] for request in asked} == {512, 1024}
        assert len(target.searcher.trials) == len(set(target.searcher.indices))


def test_devices_work_at_the_same_time():
    """Each device's first trial ends only when the other has begun its own."""
    both = threading.Barrier(2, timeout=20)
    first = set()

    def time(configuration, hw):
        if hw not in first:
            first.add(hw)
            both.wait()
        return time_us(configuration)

    begun = begin(budget=Budget(20, audit=0.0), times={hw: (lambda c, hw=hw: time(c, hw)) for hw in CARDS})
    begun.run(at_once=True)
    assert first == set(CARDS)
    assert len(begun.trials) == 20


def test_an_error_on_one_device_ends_the_search_on_all_and_is_raised():
    def broken(_):
        raise ValueError("the card is gone")

    begun = begin(times={"card": broken}, strategy="random")
    with pytest.raises(ValueError, match="the card is gone"):
        begun.run(at_once=True)


def test_an_interrupt_on_one_device_ends_the_search_on_all():
    begun = begin(stop_after=5, strategy="random")
    assert begun.run(at_once=True)[0] is True


def test_a_batch_goes_to_several_targets_and_no_budget_to_the_first_alone():
    """A fleet's batch has room for more than the budget: each target gets its share of both."""
    begun = begin(budget=Budget(24, audit=0.0), strategy="random", flows=False, batch_size=64)
    begun.run()
    assert [len(result.trials) for result in begun.results()] == [6, 6, 6, 6]
    first = [request.problem["size"] for request in begun.backends["card"].asked]
    assert first == ([512] * 4 + [1024] * 4) + ([512] * 2 + [1024] * 2), (
        "what the first few taught is heard before more"
    )
    few = begin(strategy="random", flows=False, batch_size=4)
    lane = few.search.lane("card")
    sizes = [[one.request.problem["size"] for one in lane.ask(4, 0.0)] for _ in range(3)]
    assert sizes == [[512] * 4, [1024] * 4, [512] * 4], "what is prepared for a size is prepared for several"


@given(weights=st.lists(st.floats(0.1, 10), min_size=2, max_size=6), rounds=st.integers(1, 60))
def test_turns_go_by_weight(weights, rounds):
    """No target is behind its share by more than a turn of each other one."""
    targets = [SimpleNamespace(searcher=SimpleNamespace(num_asked=0), weight=one) for one in weights]
    for _ in range(rounds):
        min(targets, key=turn).searcher.num_asked += 1
    for one in targets:
        assert one.searcher.num_asked >= min(rounds // len(targets), 1)
        assert one.searcher.num_asked + 1 >= one.weight / sum(weights) * (rounds - len(targets))


def _run(hw, problem, *trials, **more):
    return Run(
        id=f"measured-{hw}", tier="measured", created="", hw=hw, op="toy", problem=problem, trials=trials, **more
    )


def _trial(name="time", value=5.0, **changes):
    configuration = {"m": 64, "n": 64, "lat": 2, "fast": True, **changes}
    return Trial(configuration=configuration, measurements=(Measurement(name=name, value=value, unit="us"),))


def test_what_was_tried_now_joins_what_is_recorded_of_the_same_and_its_times_are_compared():
    space, there = build(OP, SIZES["small"], FACTS), whereabouts("sm_2", SIZES["small"])
    recorded = by_place([_run("sm_2", SIZES["small"], _trial(value=4.0))])
    gathering = Gathering(store(), space, SearchTarget("card", "other-problems", SIZES["small"]), recorded)
    _, known = gathering.known(Restriction(space), {there: [_trial(value=8.0, lat=4)]})
    assert known.labels == ("sm_2 at dim=64,size=512",)
    slower = space.index({"m": 64, "n": 64, "lat": 4, "fast": True})
    assert known.columns[0, slower] == pytest.approx(np.log(2))
    _, before = gathering.known(Restriction(space))
    assert before.columns[0, slower] < np.log(2)


def test_no_prediction_is_heard_beside_what_was_measured():
    space, there = build(OP, SIZES["small"], FACTS), whereabouts("sm_2", SIZES["small"])
    recorded = by_place([_run("sm_2", SIZES["small"], _trial(value=4.0))])
    target = SearchTarget("card", "other-problems", SIZES["small"])
    more = {there: [_trial("predicted_time", 8.0, lat=4), _trial("predicted_time", 1.0)]}
    beside = Gathering(store(), space, target, recorded).known(Restriction(space), more, "predicted_time")[1]
    alone = Gathering(store(), space, target, {}).known(Restriction(space), more, "predicted_time")[1]
    slower = space.index({"m": 64, "n": 64, "lat": 4, "fast": True})
    assert alone.columns[0, slower] == pytest.approx(np.log(8))
    assert beside.columns[0, slower] < np.log(2)


def test_what_was_heard_outlives_a_law_that_falls():
    """The strategy begins again where a law is contradicted, with all that it heard."""
    space = build(OP, SIZES["small"], FACTS)
    laws = store(avoid("wrong", "m == 32"))
    restriction = restrict(space, laws, Context("card", TOOLCHAIN))
    begun = RunningSearch(restriction, lambda: registry.make("transfer"), Budget(audit=0.2))
    searcher = Searcher(begun, "time")
    gathering = Gathering(laws, space, SearchTarget("card", "other-problems", SIZES["small"]), {})
    more = {whereabouts("sm_2", SIZES["small"]): [_trial(value=4.0), _trial(value=8.0, lat=4)]}
    searcher.hear(gathering.known(restriction, more)[1])
    before = searcher.strategy
    backend = Formula()
    watch = loop.SearchWatch(lambda: 0.0, lambda *_: None)
    running = loop.Running(loop.Alone(searcher, Budget(), lambda _: None), backend, watch, 0.0)
    while not searcher.restriction.contested:
        assert running.step()
    assert searcher.strategy is not before
    for _ in range(4):
        running.step()
    whose = {label for trial in searcher.trials[-16:] for label in trial.whose}
    assert "sm_2 at dim=64,size=512" in whose
