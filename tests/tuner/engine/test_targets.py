"""One search of many targets: who gets the next trials, what each hears of the others, and what the budget bounds."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kg.model.run import Measurement, Run, Trial
from spak.kg.space.space import build
from spak.tuner.engine import loop
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.shares import Sharing, TargetClaim
from spak.tuner.engine.targets import SearchOfTargets, TargetSearch
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
    trials: list = field(default_factory=list)

    def of(self, name):
        return [trial for whose, trial in self.trials if whose == name]


def begin(*, budget=None, how="turns", flows=True, strategy="transfer", times=None, **backend):
    """A search of `SIZES` on `CARDS`; `times` has the formula of a card, `backend` what all cards have besides."""
    made, found = [], Begun(None)
    ticks = itertools.count()
    backends = {hw: Formula(time=(times or {}).get(hw, time_us), batch_size=1, **backend) for hw in CARDS}
    for number, (hw, (name, problem)) in enumerate(itertools.product(CARDS, SIZES.items())):
        space = build(OP, problem, FACTS)
        searching = loop.RunningSearch(Restriction(space), lambda: registry.make(strategy), Budget(audit=0.0), number)
        target = f"{hw} {name}"
        hooks = loop.Hooks(
            lambda: float(next(ticks)),
            lambda trial, target=target: found.trials.append((target, trial)),
            lambda *_: None,
        )
        gathering = Gathering(store(), space, SearchTarget(hw, "other-problems", problem), {}) if flows else None
        running = loop.Running(loop.Searcher(searching, "time"), backends[hw], hooks, 0.0)
        made.append(TargetSearch(target, whereabouts(hw, problem), 1.0, running, gathering))
    found.search = SearchOfTargets(made, Sharing(how), budget or Budget(audit=0.0))
    return found


def test_turns_are_equal_shares_and_every_target_begins_with_its_default():
    begun = begin(budget=Budget(40, audit=0.0))
    begun.search.run()
    assert [trial.origin for _, trial in begun.trials[:4]] == ["default"] * 4
    counts = [len(result.trials) for result in begun.search.results()]
    assert counts == [10, 10, 10, 10]
    assert sum(counts) == len(begun.trials) == 40


def test_a_target_that_ends_leaves_its_trials_to_the_others():
    """Without a budget every configuration of every target is tried once."""
    begun = begin(strategy="random", flows=False)
    interrupted, seconds = begun.search.run()
    assert not interrupted
    assert seconds > 0
    for target in begun.search.targets:
        assert sorted(target.searcher.indices) == list(range(len(target.searcher.space)))


def test_same_seed_same_trials():
    found = []
    for _ in range(2):
        begun = begin(budget=Budget(60, audit=0.0), how="worth")
        begun.search.run()
        found.append(begun.trials)
    assert found[0] == found[1]


def test_what_one_target_finds_is_tried_at_the_others_and_says_whose_it_is():
    """The best configuration is the same everywhere: heard of, it is found at all in fewer trials than alone."""
    best = {"m": 32, "n": 64, "lat": 4, "fast": True}

    def spent(*, flows):
        begun = begin(budget=Budget(120, audit=0.0), flows=flows)
        begun.search.run()
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
    begun.search.run()
    assert not any(trial.whose for _, trial in begun.trials)


def test_only_guesses_name_whose_knowledge_they_are():
    """Defaults and what chance drew owe nothing to anybody, and are half of a search at least without earned ones."""
    begun = begin(budget=Budget(80, audit=0.0))
    begun.search.run()
    assert all(not trial.whose for _, trial in begun.trials if trial.origin == "default")
    assert any(not trial.whose for _, trial in begun.trials if trial.origin == "strategy")


def test_hearing_more_keeps_every_trial_and_never_asks_twice():
    """The belief begins again with what was tried; the space still ends after each configuration once."""
    begun = begin(how="worth")
    begun.search.run()
    for target in begun.search.targets:
        assert sorted(target.searcher.indices) == list(range(len(target.searcher.space)))
        assert target.num_heard > 0


def test_a_strategy_that_starts_from_nothing_hears_nothing_and_promises_nothing():
    begun = begin(budget=Budget(24, audit=0.0), how="worth", strategy="random")
    begun.search.run()
    assert [len(result.trials) for result in begun.search.results()] == [6, 6, 6, 6]
    assert all(target.claim().promise is None for target in begun.search.targets)


def test_a_target_where_everything_fails_does_not_take_the_others_trials():
    begun = begin(budget=Budget(80, audit=0.0), how="worth")
    broken = begun.search.targets[0].running.backend
    broken.fails = lambda _: True
    begun.search.run()
    counts = {target.name: len(target.searcher.trials) for target in begun.search.targets}
    assert min(counts["sm_2 small"], counts["sm_2 usual"]) >= 80 // 2 // 4
    assert sum(counts.values()) == 80


def test_an_interrupted_search_keeps_what_all_targets_found():
    begun = begin(budget=Budget(100, audit=0.0), stop_after=9)
    interrupted, _ = begun.search.run()
    assert interrupted
    results = begun.search.results(interrupted=True)
    assert 9 < sum(len(result.trials) for result in results) == len(begun.trials) < 20
    assert all(result.interrupted for result in results)


def test_what_waits_for_its_compilation_counts_against_the_budget_of_all():
    """Requests that a target left waiting are trials of the budget, whoever gets the next slot."""
    begun = begin(budget=Budget(30, audit=0.0), strategy="random", flows=False, is_late=lambda c: c["lat"] == 1)
    for target in begun.search.targets:
        target.running.backend.batch_size = 4
    begun.search.run()
    assert len(begun.trials) == 30


def test_when_the_time_is_up_nothing_new_begins():
    begun = begin(budget=Budget(None, 60.0, audit=0.0))
    begun.search.run()
    assert 0 < len(begun.trials) < 60


@pytest.mark.parametrize("flows", [False, True])
def test_devices_at_once_keep_the_budget_and_their_own_targets(flows):
    begun = begin(budget=Budget(50, audit=0.0), how="worth", flows=flows)
    assert begun.search.run(at_once=True)[0] is False
    assert len(begun.trials) == 50
    for target in begun.search.targets:
        asked = target.running.backend.asked
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
    begun.search.run(at_once=True)
    assert first == set(CARDS)
    assert len(begun.trials) == 20


def test_an_error_on_one_device_ends_the_search_on_all_and_is_raised():
    def broken(_):
        raise ValueError("the card is gone")

    begun = begin(times={"card": broken}, strategy="random")
    with pytest.raises(ValueError, match="the card is gone"):
        begun.search.run(at_once=True)
    with pytest.raises(KeyboardInterrupt):
        begun.search.check_stopped()


def test_an_interrupt_on_one_device_ends_the_search_on_all():
    begun = begin(stop_after=5, strategy="random")
    begun.search.check_stopped()
    assert begun.search.run(at_once=True)[0] is True


@given(
    promises=st.lists(st.one_of(st.none(), st.floats(0, 10), st.just(np.inf)), min_size=2, max_size=6),
    weights=st.lists(st.floats(0.1, 10), min_size=6, max_size=6),
    rounds=st.integers(1, 60),
)
def test_whatever_is_promised_every_target_gets_half_of_its_equal_share(promises, weights, rounds):
    sharing, spent = Sharing(), [1] * len(promises)
    share = np.array(weights[: len(promises)]) / sum(weights[: len(promises)])
    for _ in range(rounds):
        claims = [TargetClaim(str(k), spent[k], weights[k], promise) for k, promise in enumerate(promises)]
        spent[int(sharing.choose(claims).name)] += 1
    assert all(count - 1 >= share[k] * (rounds // 2) - 1 - 1e-9 for k, count in enumerate(spent))


def test_what_promises_most_of_the_time_of_all_gets_every_other_trial():
    claims = [TargetClaim("short", 5, 0.1, 0.5), TargetClaim("long", 5, 0.9, 0.1), TargetClaim("none", 5, 1.0, 0.0)]
    sharing = Sharing()
    chosen = [sharing.choose(claims).name for _ in range(40)]
    assert chosen.count("long") >= 20
    assert Sharing("turns").choose(claims).name in {"short", "long", "none"}
    assert [Sharing("turns").choose([TargetClaim("a", 0, 1, None), TargetClaim("b", 0, 1, None)]).name] == ["a"]


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
    begun = loop.RunningSearch(restriction, lambda: registry.make("transfer"), Budget(audit=0.2))
    searcher = loop.Searcher(begun, "time")
    gathering = Gathering(laws, space, SearchTarget("card", "other-problems", SIZES["small"]), {})
    more = {whereabouts("sm_2", SIZES["small"]): [_trial(value=4.0), _trial(value=8.0, lat=4)]}
    searcher.hear(gathering.known(restriction, more)[1])
    before = searcher.strategy
    backend = Formula()
    hooks = loop.Hooks(lambda: 0.0, lambda _: None, lambda *_: None)
    running = loop.Running(searcher, backend, hooks, 0.0)
    while not searcher.restriction.contested:
        assert running.step(4, 1.0)
    assert searcher.strategy is not before
    for _ in range(4):
        running.step(4, 1.0)
    whose = {label for trial in searcher.trials[-16:] for label in trial.whose}
    assert "sm_2 at dim=64,size=512" in whose
