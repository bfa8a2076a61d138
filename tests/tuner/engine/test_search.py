"""The loop: what is tried, in which order, under which laws, and what becomes of an interrupted search."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kg.evidence.judge import MIN_REFERENCES
from spak.kg.expression import parse
from spak.kg.model.run import Measurement, Trial
from spak.kg.space.space import Space, build
from spak.tuner.chance import Purpose, stream
from spak.tuner.engine import loop
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.doubt import REMOVED_BY_LAW
from spak.tuner.engine.searcher import RunningSearch
from spak.tuner.engine.tally import BestSoFar, LawTally, headroom, judge_trial
from spak.tuner.errors import TunerError
from spak.tuner.knowledge.restriction import Context, Restriction, restrict
from spak.tuner.strategy import registry
from spak.tuner.strategy.base import SpaceView
from spak.tuner.strategy.random import Random
from tests.tuner.searching import FACTS, HANGS, OP, TOOLCHAIN, Formula, avoid, law, spill, store, time_us

SPACE = build(OP, {}, FACTS)


def search(*laws, trials=None, seconds=None, audit=0.0, strategy="exhaustive", seed=0, order=None):
    restriction = restrict(SPACE, store(*laws), Context("card", TOOLCHAIN)) if laws else Restriction(SPACE)
    return RunningSearch(restriction, lambda: registry.make(strategy), Budget(trials, seconds, audit), seed, order)


def hooks(recorded=None, clock=None):
    ticks = itertools.count()
    return loop.Hooks(
        clock or (lambda: float(next(ticks))), (recorded if recorded is not None else []).append, lambda *_: None
    )


def indices(result):
    return [SPACE.index(trial.configuration) for trial in result.trials]


def test_an_exhaustive_search_tries_everything_once():
    """Without a budget every configuration is tried, none twice, the default first."""
    result = loop.run_search(search(), Formula(), hooks())
    assert sorted(indices(result)) == list(range(len(SPACE)))
    assert result.trials[0].origin == "default"
    assert result.trials[0].configuration == {"m": 64, "n": 64, "lat": 2, "fast": True}
    assert not result.interrupted


def test_the_budget_is_kept():
    """Exactly as many trials as allowed; and when the time is up, no further batch begins."""
    assert len(loop.run_search(search(trials=10), Formula(), hooks()).trials) == 10
    backend = Formula()
    slow = iter(range(0, 10_000, 10))
    result = loop.run_search(search(seconds=25), backend, hooks(clock=lambda: float(next(slow))))
    assert len(result.trials) == backend.batch_size


@pytest.mark.parametrize("strategy", sorted(registry.STRATEGIES))
def test_same_seed_same_trials(strategy):
    """A search repeats exactly: laws, audit and strategy all draw from the seed."""
    laws = (avoid("slow", "m * n > 4096"), avoid("perhaps", "lat == 1", status="proposed"))
    runs = [
        indices(loop.run_search(search(*laws, trials=20, audit=0.2, strategy=strategy, seed=s), Formula(), hooks()))
        for s in (3, 3)
    ]
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 20


def test_removed_configurations_come_when_all_else_was_tried_but_the_default_always_does():
    """A hard law keeps the search out of what it names, except for the default, until nothing else is left."""
    result = loop.run_search(search(avoid("slow", "m >= 64", at_least=1.05)), Formula(), hooks())
    named = [t.configuration["m"] >= 64 for t in result.trials]
    kept = int(SPACE.holds(parse("m < 64")).sum())
    assert named == [True] + [False] * kept + [True] * (len(SPACE) - kept - 1)
    assert result.trials[0].origin == "default"
    few = loop.run_search(search(avoid("slow", "m >= 64", at_least=1.05), trials=kept), Formula(), hooks())
    assert [t.origin for t in few.trials if t.configuration["m"] >= 64] == ["default"]


def test_postponed_configurations_come_last_but_come():
    """A soft law changes the order and nothing else."""
    result = loop.run_search(search(avoid("later", "m >= 128", status="proposed")), Formula(), hooks())
    late = [trial.configuration["m"] >= 128 for trial in result.trials]
    assert len(late) == len(SPACE)
    assert late == sorted(late)


def test_the_audit_looks_where_the_laws_say_not_to_early():
    """The audit's share is spent in the first half, on what laws name and would cost most."""
    result = loop.run_search(search(avoid("slow", "m * n > 4096"), trials=20, audit=0.2), Formula(), hooks())
    audited = [place for place, trial in enumerate(result.trials) if trial.origin == "audit"]
    assert len(audited) == result.audited == 4
    assert max(audited) < 10 + Formula.batch_size
    assert all(spill(result.trials[place].configuration) for place in audited)
    assert {(f.law, f.outcome) for f in result.findings} == {("slow", "agrees")}


def test_what_would_keep_a_batch_waiting_is_tried_with_the_next():
    """Nothing is lost, doubled or overspent by it, audits included, and the search proposes the same."""
    law = avoid("slow", "m * n > 4096")
    prompt, slow = Formula(), Formula(is_late=lambda c: c["lat"] == 1)
    usual = loop.run_search(search(law, trials=20, audit=0.2), prompt, hooks())
    result = loop.run_search(search(law, trials=20, audit=0.2), slow, hooks())
    assert sorted(indices(result)) == sorted(indices(usual))
    assert result.audited == usual.audited
    assert slow.delayed
    places = [slow.asked.index(request) for request in slow.delayed]
    assert all(place >= 3 for place in places), "not in the batch that it was asked with"
    assert len(set(indices(result))) == len(result.trials) == 20


def test_the_last_batch_waits_for_all():
    """When the time is up, what was asked for before is still tried: the default among it."""
    seconds = iter([0.0, 0.0, *[100.0] * 50])
    slow = Formula(is_late=lambda c: c == {"m": 64, "n": 64, "lat": 2, "fast": True})
    timed = loop.Hooks(lambda: next(seconds), lambda _: None, lambda *_: None)
    result = loop.run_search(search(seconds=10.0), slow, timed)
    assert slow.delayed
    assert [trial.origin for trial in result.trials].count("default") == 1
    assert len(result.trials) == slow.batch_size


@pytest.mark.parametrize("strategy", ["exhaustive", "random", "genetic"])
def test_what_would_run_anyway_is_tried_after_the_default_and_once(strategy):
    """Unless a law about safety forbids it; the default is not tried twice."""
    place = len(SPACE) - 1
    seeking = replace(search(trials=len(SPACE), strategy=strategy), incumbent=place)
    tried = indices(loop.run_search(seeking, Formula(), hooks()))
    assert tried[1] == place
    assert len(tried) == len(set(tried))
    same = replace(search(trials=6), incumbent=SPACE.default_index)
    assert indices(loop.run_search(same, Formula(), hooks())) == indices(
        loop.run_search(search(trials=6), Formula(), hooks())
    )


def test_what_would_run_anyway_is_not_tried_where_it_is_unsafe():
    hangs = law("safe", "invariant", {"require": "lat <= 2", "otherwise": "hangs the machine", "effect": HANGS})
    restricted = search(hangs, trials=8)
    unsafe = int(np.flatnonzero(restricted.restriction.unsafe.flat)[0])
    tried = indices(loop.run_search(replace(restricted, incumbent=unsafe), Formula(), hooks()))
    assert unsafe not in tried


def test_safety_is_never_audited():
    """An invariant says what hangs or lies; nobody tries that out."""
    unsafe = law("safe", "invariant", {"require": "lat <= 2", "otherwise": "hangs the machine", "effect": HANGS})
    result = loop.run_search(search(unsafe, avoid("slow", "m >= 128"), trials=30, audit=0.5), Formula(), hooks())
    assert result.audited > 0
    assert all(trial.configuration["lat"] <= 2 for trial in result.trials)


def test_a_law_the_audit_contradicts_stops_removing_in_the_same_search():
    """A wrong law is found out by its first audit trials, falls, and what it hid is searched: the best is found."""
    wrong = avoid("wrong", "m == 32")  # the best configurations of the formula have m == 32
    result = loop.run_search(search(wrong, audit=0.05), Formula(), hooks())
    assert result.restriction.contested == {"wrong"}
    best = min((t for t in result.trials), key=lambda t: t.value("time"))
    assert best.configuration == {"m": 32, "n": 64, "lat": 4, "fast": True}
    assert len(result.trials) == len(SPACE)
    assert any(f.outcome == "contradicts" and f.effect["slowdown"] < 2 for f in result.findings)


def test_a_compiled_claim_falls_by_one_configuration_without_the_effect():
    """A law that says `spills` is contradicted by code that does not spill, even where times are only predicted."""
    wrong = avoid("spills", "m >= 64", "spill_bytes", 1, status="proposed")
    result = loop.run_search(search(wrong, trials=12, audit=0.1), Formula(objective="predicted_time"), hooks())
    assert result.restriction.contested == {"spills"}


def test_a_prediction_never_contradicts_a_law_about_time():
    """Only a measured time may speak against a claim about time."""
    result = loop.run_search(
        search(avoid("wrong", "m == 32"), trials=30, audit=0.3), Formula(objective="predicted_time"), hooks()
    )
    assert result.audited
    assert {finding.outcome for finding in result.findings} == {"open"}
    assert not result.restriction.contested


def test_feature_laws_set_aside_what_they_name_and_that_costs_no_trial():
    """What was never evaluated is recorded with the law that hid it, after all trials; the default is exempt."""
    recorded: list = []
    law = avoid("spilling", "spill_bytes > 0", at_least=1.05)
    result = loop.run_search(search(law, trials=20), Formula(), hooks(recorded))
    tried, cut = result.trials[:20], result.trials[20:]
    assert cut
    assert all(t.invalidity == "constraints" and t.failure.type == REMOVED_BY_LAW for t in cut)
    assert all("spilling" in t.failure.message and spill(t.configuration) for t in cut)
    assert all(t.failure is None and not spill(t.configuration) for t in tried)
    assert {SPACE.index(t.configuration) for t in recorded} == set(indices(result))
    assert len(set(indices(result))) == len(result.trials)


def test_soft_feature_laws_only_put_last_in_the_batch():
    """A law that may not remove still lets the promising part of a batch go first."""
    backend = Formula()
    result = loop.run_search(search(avoid("spilling", "spill_bytes > 0", status="proposed")), backend, hooks())
    assert len(result.trials) == len(SPACE)
    for start in range(0, len(SPACE), backend.batch_size):
        flags = [spill(trial.configuration) > 0 for trial in result.trials[start : start + backend.batch_size]]
        assert flags == sorted(flags)


def test_failures_are_data():
    """A configuration that fails is a trial, and the search goes on."""
    result = loop.run_search(
        search(avoid("spilling", "spill_bytes > 0")), Formula(fails=lambda c: c["m"] == 32), hooks()
    )
    failed = [t for t in result.trials if t.invalidity == "compile"]
    assert len(failed) == SPACE.holds(parse("m == 32")).sum()


def test_interrupting_keeps_what_finished_and_resuming_loses_nothing():
    """Ctrl-C ends with what is there; going on from the journal tries only the rest, and ends where it would have."""
    recorded: list = []
    first = loop.run_search(search(trials=20, audit=0.1), Formula(stop_after=7), hooks(recorded))
    assert first.interrupted
    assert len(recorded) == len(first.trials) == 7
    backend = Formula()
    second = loop.run_search(search(trials=20, audit=0.1), backend, hooks(), done=recorded)
    assert list(second.trials[:7]) == recorded
    assert len(second.trials) == 20
    assert len(backend.asked) == 13
    assert len(set(indices(second))) == 20


def test_resuming_remembers_that_a_law_fell():
    """A law the journal's trials contradict does not prune the rest of the search either."""
    wrong = avoid("wrong", "m == 32")
    first = loop.run_search(search(wrong, trials=12, audit=0.3), Formula(), hooks())
    assert first.restriction.contested
    second = loop.run_search(search(wrong, trials=12, audit=0.3), Formula(), hooks(), done=first.trials)
    assert second.restriction.contested == first.restriction.contested


class _Drawing(Random):
    """Remembers the permutation that each start would draw."""

    def __init__(self, drawn):
        super().__init__()
        self._drawn = drawn

    def start(self, space, rng):
        self._drawn.append(rng.permutation(512).tolist())
        super().start(space, rng)


def test_a_strategy_begun_again_draws_what_nothing_else_draws():
    """After one contested law the strategy once drew the permutation that the challengers' pool is drawn with."""
    drawn = []
    plan = replace(search(avoid("wrong", "m == 32"), trials=12, audit=0.3, seed=5), strategy=lambda: _Drawing(drawn))
    assert loop.run_search(plan, Formula(), hooks()).restriction.contested
    pool = stream(5, Purpose.CHALLENGERS).permutation(512).tolist()
    assert len(drawn) == 2
    assert drawn[0] != drawn[1]
    assert pool not in drawn
    assert np.random.default_rng([5, 1]).permutation(512).tolist() not in drawn


class _WithoutLookups(Space):
    """A space in which nothing but the default is found by its values."""

    def index(self, configuration):
        assert configuration == self.default
        return super().index(configuration)


def test_a_request_carries_the_place_of_its_configuration():
    """Nobody looks a configuration up that was asked for, not even when a law falls."""
    space = _WithoutLookups(**{field.name: getattr(SPACE, field.name) for field in fields(SPACE)})
    restriction = restrict(space, store(avoid("wrong", "m == 32")), Context("card", TOOLCHAIN))
    backend = Formula()
    plan = replace(search(trials=20, audit=0.3), restriction=restriction)
    result = loop.run_search(plan, backend, hooks())
    assert result.restriction.contested
    assert [SPACE.config(index) for index in result.indices] == [trial.configuration for trial in result.trials]
    assert [SPACE.config(request.index) for request in backend.asked] == [r.configuration for r in backend.asked]


def test_trials_of_another_space_do_not_stop_a_resume():
    """A journal line whose configuration the space no longer has is left out."""
    alien = loop.run_search(search(trials=1), Formula(), hooks()).trials[0]
    alien.configuration["m"] = 48
    assert len(loop.run_search(search(trials=3), Formula(), hooks(), done=[alien]).trials) == 3


def test_a_transferred_order_leads():
    """The seam for rank transfer: a given order replaces the laws' own."""
    order = np.argsort([time_us(SPACE.config(i)) for i in range(len(SPACE))], kind="stable")
    result = loop.run_search(search(trials=5, order=order), Formula(batch_size=1), hooks())
    assert indices(result)[1:] == [int(i) for i in order if i != SPACE.default_index][:4]


def test_random_mixes_a_known_order_with_chance():
    """Every second proposal follows the order, the others are uniform; all are asked once."""
    view = SpaceView.of(SPACE.codes, SPACE.cardinalities, np.arange(len(SPACE))[::-1])
    strategy = registry.make("random")
    strategy.start(view, np.random.default_rng(0))
    asked = list(strategy.ask(10**6))
    assert sorted(asked) == list(range(len(SPACE)))
    assert asked[0] == len(SPACE) - 1
    plain = registry.make("random")
    plain.start(SpaceView.of(SPACE.codes, SPACE.cardinalities), np.random.default_rng(0))
    assert sorted(plain.ask(10**6)) == sorted(asked)


def test_what_is_special_of_a_strategy_is_in_its_entry():
    """What it may start from, what it is called in help and by itself, and which is the default, come from one entry."""
    assert registry.default(informed=True) == "transfer"
    assert registry.default(informed=False) == "random"
    for name, entry in registry.STRATEGIES.items():
        assert f"{name} ({entry.summary})" in registry.listed()
        assert registry.make(name).name == name


def test_an_unknown_strategy_is_refused_with_the_names_there_are():
    """A typo names the strategies."""
    with pytest.raises(TunerError, match=r"unknown strategy 'genetik'; there are .*random"):
        registry.make("genetik")


@pytest.mark.parametrize(
    ("budget", "spent", "elapsed", "left"),
    [(Budget(10), 4, 1e9, 6), (Budget(10), 12, 0, 0), (Budget(None, 5), 3, 4.9, 1 << 62), (Budget(9, 5), 3, 5, 0)],
)
def test_what_is_left_of_a_budget(budget, spent, elapsed, left):
    """Trials and seconds both end a search; whichever comes first."""
    assert budget.left(spent, elapsed) == left


@pytest.mark.parametrize(
    ("trials", "spent", "due"), [(100, 0, 1), (100, 46, 5), (100, 90, 5), (None, 96, 5), (1, 0, 1)]
)
def test_audits_are_due_early(trials, spent, due):
    """5 % of the budget is due by half of it; without a limit in trials the share is kept as the search goes."""
    assert Budget(trials, None, 0.05).audits_due(spent, 4) == due
    assert Budget(trials, None, 0.0).audits_due(spent, 4) == 0


def test_each_law_that_fell_adds_as_much_audit_again_up_to_half_of_the_trials():
    """Laws come together; the share that a person asked for is a floor, and none stays none."""
    budget = Budget(100, None, 0.05)
    assert [budget.audits_due(16, 4, fallen) for fallen in (0, 1, 3, 9)] == [4, 8, 10, 10]
    assert [budget.audits_due(96, 4, fallen) for fallen in (0, 1, 3, 9, 20)] == [5, 10, 20, 50, 50]
    assert Budget(None, None, 0.05).audits_due(96, 4, 20) == 50
    assert Budget(100, None, 0.8).audits_due(96, 4, 1) == 80
    assert Budget(100, None, 0.0).audits_due(96, 4, 3) == 0


@given(st.lists(st.tuples(st.booleans(), st.floats(1, 4), st.floats(0, 0.2)), max_size=40))
def test_a_law_falls_when_judging_all_trials_after_each_would_say_so(trials):
    """What is judged once against each best is what judging everything anew after every trial finds."""
    restriction = restrict(SPACE, store(avoid("rule", "m >= 64", at_least=1.5)), Context("card", TOOLCHAIN))
    (rule,) = restriction.live
    safe = ~restriction.unsafe
    standing, fell, falls = LawTally(rule, "time", safe), False, False
    num_others = (safe & ~rule.named).sum()
    named: list[Trial] = []
    others: list[Measurement] = []
    for is_named, value, half in trials:
        time = Measurement(name="time", value=value, low=value - half, high=value + half)
        trial = Trial(configuration={}, measurements=(time,))
        standing.note(trial, is_named=is_named)
        named += [trial] if is_named else []
        others += [] if is_named else [time]
        best = min(others, key=lambda m: m.value) if len(others) >= MIN_REFERENCES else None
        reference = BestSoFar("time", best, headroom(len(others)) if len(others) < num_others else 1.0)
        falls |= any(judge_trial(rule, one, reference).outcome == "contradicts" for one in named)
        fell |= standing.is_contradicted()
        assert fell == falls
    assert len(list(standing.findings())) == len(named)
