"""No law can blind a search: whatever it names and however it says so, it is found out and what it hid is tried."""

from __future__ import annotations

import dataclasses
import itertools
from functools import partial

import msgspec
import numpy as np
import pytest

from spak.kg.expression import parse
from spak.kg.files import fmt
from spak.kg.files.loader import load
from spak.kg.formats.nodes import HardwareName
from spak.kg.formats.recording import Recording, seen_parameters
from spak.kg.law.kinds.base import Power, SettingTest
from spak.kg.model.law import Law
from spak.kg.model.op import Parameter
from spak.kg.model.run import Measurement, Trial
from spak.kg.space.space import build
from spak.tuner.backend.base import Request
from spak.tuner.chance import stream
from spak.tuner.engine import loop
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.doubt import ALL_TRIED, MAX_ASIDE, REMOVED_BY_LAW, Doubt
from spak.tuner.engine.narrow import too_narrow
from spak.tuner.engine.searcher import Result, RunningSearch
from spak.tuner.engine.tally import LawTally, SettingTally
from spak.tuner.knowledge.restriction import Context, Restriction, restrict
from spak.tuner.replay import Replay, Replayed, replay
from spak.tuner.strategy import registry
from tests.tuner.searching import FACTS, HANGS, HARDWARE, OP, TOOLCHAIN, Formula, Laws, avoid, law, spill, store

SPACE = build(OP, {}, FACTS)
AXES = {"m": [32, 64, 128], "n": [32, 64, 128], "lat": [1, 2, 4], "fast": [False, True]}
BEST = {"m": 32, "n": 64, "lat": 4, "fast": True}


def same(axis: str) -> Law:
    """A law that calls an axis indifferent."""
    return law(f"same-{axis}", "indifferent", {"over": axis, "values": AXES[axis], "within": "2%"})


FALSE = {
    "compiled": [avoid("wrong", "spill_bytes < 1")],
    "all that is compiled": [avoid("wrong", "spill_bytes >= 0")],
    "axis": [same("lat")],
    "axes": [same(axis) for axis in AXES],
    "everything": [avoid("wrong", "m >= 1")],
    "pair": [avoid("one", "m == 32"), avoid("other", "m != 32")],
    "invariant about time": [
        law("wrong", "invariant", {"require": "m > 32", "otherwise": "slow", "effect": {"slowdown": {"at_least": 2}}})
    ],
    "several that hide the same": [avoid("one", "m == 32"), avoid("two", "n == 64"), avoid("three", "lat == 4")],
}


def under(*laws: Law) -> Restriction:
    return restrict(SPACE, store(*laws), Context("card", TOOLCHAIN))


def searched(*laws: Law, trials=None, seed=0, audit=0.05, strategy="random", backend=None) -> Result:
    search = RunningSearch(under(*laws), lambda: registry.make(strategy), Budget(trials, None, audit), seed)
    return loop.run_search(search, backend or Formula(batch_size=1), quiet())


def quiet() -> loop.Hooks:
    ticks = itertools.count()
    return loop.Hooks(lambda: float(next(ticks)), lambda _: None, lambda *_: None)


@pytest.mark.parametrize("strategy", ["random", "genetic", "transfer", "exhaustive"])
@pytest.mark.parametrize("what", FALSE)
def test_every_false_law_is_found_out_and_all_it_hid_is_tried(what, strategy):
    """Each of them once ended the search early, or was followed to its end."""
    result = searched(*FALSE[what], strategy=strategy)
    assert result.restriction.contested == {one.id for one in FALSE[what]}
    assert len({tuple(trial.configuration.items()) for trial in result.trials}) == len(SPACE)
    assert all(trial.failure is None for trial in result.trials)


@pytest.fixture
def replayed(tmp_path):
    """A function: replays a record of the toy op under laws."""
    asked = [Request(SPACE.config(i), SPACE.setting.problem, "sweep", i) for i in range(len(SPACE))]
    trials = tuple(trial for _, trial in Formula().evaluate(asked))
    recording = Recording("run", seen_parameters(trials), declared=False, trials=trials, problem=SPACE.setting.problem)
    for name, (kind, model) in {**{n.id: ("hardware", n) for n in HARDWARE.values()}, "toy": ("op", OP)}.items():
        path = tmp_path / ("ops" if kind == "op" else kind) / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(fmt.new_text(msgspec.to_builtins(model), kind, path.name))
    root = load(tmp_path)

    def replaying(*laws: Law, **changes) -> Replayed:
        contents = msgspec.structs.replace(root.contents, laws={one.id: _anywhere(one) for one in laws})
        known = dataclasses.replace(root, contents=contents)
        return replay(recording, Replay(HardwareName("card"), "toy", known, **changes))

    return replaying


def _anywhere(one: Law) -> Law:
    """`one` with evidence that may remove whatever the toolchain, which a replay does not know."""
    return msgspec.structs.replace(one, evidence=tuple(msgspec.structs.replace(e, toolchain="") for e in one.evidence))


@pytest.mark.parametrize("strategy", ["random", "transfer"])
@pytest.mark.parametrize("what", FALSE)
def test_a_replay_finds_out_the_same(what, strategy, replayed):
    """It goes through the same loop, with no rescue of its own."""
    result = replayed(*FALSE[what], strategy=strategy)
    assert any(rule.power is Power.REMOVE for rule in result.restriction.rules)
    assert result.restriction.contested == {one.id for one in FALSE[what]}
    assert len(result.trials) == len(SPACE)
    assert result.best.configuration == BEST


def test_laws_that_leave_too_little_are_named_and_the_search_goes_on_as_without_them():
    """Alone, as a pair of which nobody knows which is wrong, or together: as few as suffice."""
    assert too_narrow(under(avoid("all", "m >= 1"))) == {"all": "it leaves 0 of 48 configurations"}
    pair = too_narrow(under(avoid("a", "m == 32"), avoid("b", "m != 32"), avoid("c", "n == 128 and lat == 1")))
    together = "together they leave 0 of 48 configurations"
    assert pair == {"a": f"it contradicts b: {together}", "b": f"it contradicts a: {together}"}
    axes = [same(axis) for axis in AXES]
    found = too_narrow(under(*axes))
    assert 0 < len(found) < len(axes)
    left = (~under(*axes).suspend(found).removed).sum()
    assert left >= 8
    assert too_narrow(under(avoid("some", "m == 128"))) == {}


def test_safety_is_never_suspended_and_what_it_removes_is_not_counted_as_hidden():
    safe = law("safe", "invariant", {"require": "m == 32", "otherwise": "it hangs", "effect": HANGS})
    assert too_narrow(under(safe)) == {}
    assert set(too_narrow(under(safe, avoid("rest", "m == 32")))) == {"rest"}


def test_a_search_that_only_safety_ends_says_so_and_tries_none_of_it():
    """Not even the default, if that is what hangs."""
    safe = law("safe", "invariant", {"require": "m == 32", "otherwise": "it hangs", "effect": HANGS})
    result = searched(safe, avoid("slow", "lat == 1", at_least=1.01))
    assert {trial.configuration["m"] for trial in result.trials} == {32}
    unsafe = int(np.sum(SPACE.holds(parse("m != 32"))))
    assert len(result.trials) == len(SPACE) - unsafe
    assert result.num_unsafe == unsafe
    assert searched(safe, trials=5).num_unsafe == 0


def test_what_safety_says_of_compiled_code_is_never_run_not_by_an_audit_either():
    safe = law("safe", "invariant", {"require": "spill_bytes < 1", "otherwise": "it hangs", "effect": HANGS})
    result = searched(safe, avoid("slow", "n == 32"), audit=0.5)
    assert not any(spill(trial.configuration) for trial in result.trials if trial.failure is None)
    cut = [trial for trial in result.trials if trial.failure is not None]
    assert cut
    assert all(trial.failure.type == REMOVED_BY_LAW for trial in cut)
    assert result.num_unsafe == len(cut)


def test_all_that_true_laws_leave_is_tried_before_what_they_hide():
    """They are suspended only then, and not contested."""
    slow = avoid("slow", "m * n > 4096", at_least=1.5)
    result = searched(slow, audit=0.0)
    assert result.restriction.suspended == {"slow": ALL_TRIED}
    assert not result.restriction.contested
    hidden = [spill(trial.configuration) > 0 for trial in result.trials]
    assert hidden == sorted(hidden)


def test_a_law_about_features_that_drops_one_after_the_other_is_suspended_by_name():
    """Compiling is no trial, but it is not free either."""
    wide = msgspec.structs.replace(OP, parameters={**OP.parameters, "more": _parameter(8)})
    space = build(wide, {}, FACTS)
    root = Laws({"wrong": avoid("wrong", "spill_bytes >= 0")}, ops={"toy": wide})
    search = RunningSearch(
        restrict(space, root, Context("card", TOOLCHAIN)), lambda: registry.make("random"), Budget(20, None, 0.05)
    )
    result = loop.run_search(search, Formula(batch_size=1), quiet())
    assert result.restriction.suspended == {"wrong": f"it names {MAX_ASIDE} of the last {MAX_ASIDE} that were compiled"}
    assert len(result.trials) == 20


def _parameter(count: int) -> Parameter:
    return Parameter(values=tuple(range(count)), default=0, role="hint", description="more of the same")


def test_going_on_from_a_journal_remembers_what_was_set_aside():
    """It is not compiled again, and what was evaluated after all is one trial."""
    recorded: list = []
    plan = RunningSearch(
        under(avoid("slow", "spill_bytes > 0", at_least=1.5)), lambda: registry.make("random"), Budget(20, None, 0.1)
    )
    hooks = loop.Hooks(quiet().clock, recorded.append, lambda *_: None)
    first = loop.run_search(plan, Formula(batch_size=1, stop_after=12), hooks)
    aside = {SPACE.index(trial.configuration) for trial in recorded if trial.failure is not None}
    assert first.interrupted
    assert aside
    backend = Formula(batch_size=1)
    second = loop.run_search(plan, backend, quiet(), done=recorded)
    tried = [SPACE.index(trial.configuration) for trial in second.trials]
    assert len(set(tried)) == len(tried)
    assert sum(trial.failure is None for trial in second.trials) == 20
    assert not aside & {request.index for request in backend.asked if request.origin == "strategy"}


def prefer(name: str, setting: dict[str, object], cost: float = 0.02, **claim: object) -> Law:
    return law(name, "positive", {"prefer": setting, "effect": {"cost": {"at_most": cost}}, **claim})


@pytest.mark.parametrize("strategy", ["random", "genetic", "transfer"])
def test_a_false_preference_is_contested_once_nothing_better_can_have_it(strategy):
    """The best with m=128 takes more than the best without; what is true is never contested, nor a ranking that is."""
    false, true = prefer("false", {"m": 128}), prefer("true", {"lat": 4})
    ranking = prefer("ranking", {"m": 64}, over=[{"m": 128}])
    result = searched(false, true, ranking, strategy=strategy)
    assert result.restriction.contested == {"false"}
    assert {found.law: found.outcome for found in result.findings}["true"] == "agrees"


def test_a_preference_that_looks_hopeless_leads_the_order_no_longer_but_is_not_contested_for_it():
    """Not before enough was tried on both sides, and what is tried next may still speak for it."""
    (rule,) = under(prefer("false", {"m": 128})).rules
    tally = SettingTally(rule, "time", SettingTest({"m": 128}), 100)
    for place in range(8):
        assert not tally.is_suspect
        tally.note(timed_trial(m=128, time=1.3), is_named=True)
        tally.note(timed_trial(m=64, time=1.0 + place), is_named=False)
    assert tally.is_suspect
    assert not tally.is_contradicted()
    for _ in range(30):
        tally.note(timed_trial(m=128, time=1.3), is_named=True)
    assert tally.is_contradicted()
    tally.note(timed_trial(m=128, time=0.9), is_named=True)
    assert not tally.is_suspect


def test_a_slowdown_is_not_contradicted_while_the_best_that_is_known_is_likely_far_from_the_best_there_is():
    """1.15 times the best of ten is no less than 1.2 times the best of all; of a hundred it is, and of all there are."""
    restriction = under(avoid("slow", "m == 32", at_least=1.2))
    (rule,) = restriction.rules
    tally = LawTally(rule, "time", ~restriction.unsafe)
    tally.note(timed_trial(m=32, time=1.15), is_named=True)
    for count in range(1, 200):
        tally.note(timed_trial(m=64, time=1.0), is_named=False)
        is_known = tally.is_contradicted()
        assert tally.is_suspect == (count >= 8)
        assert is_known == (count >= min(5 / (1.2 / 1.15 - 1), (~rule.named).sum()))


def timed_trial(m: int, time: float) -> Trial:
    measured = Measurement(name="time", value=time, low=time, high=time)
    return Trial(configuration={"m": m, "n": 64, "lat": 1, "fast": True}, measurements=(measured,))


def test_what_a_law_hides_is_looked_at_before_it_falls_if_one_trial_of_it_is_fast():
    """The law is followed meanwhile: what is tried of it comes by turns."""
    doubt = Doubt(under(avoid("slow", "m == 32", at_least=1.2)), "time", partial(stream, 0))
    fast = next(i for i in range(len(SPACE)) if SPACE.config(i)["m"] == 32)
    doubt.note(fast, timed_trial(m=32, time=1.1), 1.1)
    assert doubt.lead.next((fast,)) is None
    others = [i for i in range(len(SPACE)) if SPACE.config(i)["m"] == 64][:8]
    for index in others:
        doubt.note(index, timed_trial(m=64, time=1.0), 1.0)
    assert not doubt.reconsider()
    assert doubt.restriction.removed[doubt.lead.next((fast, *others))]
