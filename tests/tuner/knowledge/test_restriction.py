"""Laws as restrictions: what may remove, what only reorders, and that nothing named is ever admitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spak.kg.expression import parse
from spak.kg.law.kinds.base import Power
from spak.kg.model.hardware import hardware_facts
from spak.kg.space.space import build
from spak.tuner.knowledge.restriction import Context, Restriction, restrict
from tests.shipped import LAWS
from tests.tuner.searching import FACTS, HANGS, OP, TOOLCHAIN, Laws, avoid, law, store

ROOT = Path(__file__).parents[3]
SPACE = build(OP, {}, FACTS)


def on(laws: Laws, hw: str = "card", toolchain: str = TOOLCHAIN, *, transfer: bool = True):
    return restrict(SPACE, laws, Context(hw, toolchain, transfer))


def only(laws: Laws, **kwargs):
    (rule,) = on(laws, **kwargs).rules
    return rule


def test_a_confirmed_law_about_time_removes_what_it_names():
    """The one case in which a law may remove: about time, confirmed on this capability with this toolchain."""
    found = on(store(avoid("slow", "m >= 128")))
    assert found.rules[0].power is Power.REMOVE
    assert np.array_equal(found.removed, SPACE.holds(parse("m >= 128")))
    assert found.removed.sum() == found.rules[0].count > 0


@pytest.mark.parametrize(
    ("bad", "toolchain", "words"),
    [
        ({"status": "proposed"}, TOOLCHAIN, "proposed"),
        ({"status": "contested"}, TOOLCHAIN, "contested"),
        ({"scope": {"hw": "arch"}}, TOOLCHAIN, "arch"),
        ({"scope": {"hw": "sm_2"}}, TOOLCHAIN, "sm_2"),
        ({"effect": "spill_bytes", "at_least": 1}, TOOLCHAIN, "compiled code"),
        ({}, "tileiras 14.0.0", "evidence"),
        ({}, "", "not known"),
    ],
    ids=["proposed", "contested", "inherited", "transferred", "compiled fact", "stale", "unknown toolchain"],
)
def test_everything_else_only_postpones(bad, toolchain, words):
    """Principle 3: whatever is not certain here reorders, and the reason says why it may do no more."""
    rule = only(store(avoid("law", "m >= 128", **bad)), toolchain=toolchain)
    assert rule.power is Power.POSTPONE
    assert words in rule.reason
    restriction = on(store(avoid("law", "m >= 128", **bad)), toolchain=toolchain)
    assert not restriction.removed.any()
    assert restriction.postponed.sum() == rule.count


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "refuted"}, "refuted"),
        ({"scope": {"when": "dim == batch_dim"}}, "batch_dim"),
        ({"scope": {"dtype": ["fp16"]}}, "dtypes"),
    ],
)
def test_a_law_that_does_not_speak_here_has_no_effect(change, words):
    """Refuted laws and laws whose condition is open are listed with the reason, and do nothing."""
    found = on(store(avoid("law", "m >= 128", **change)))
    assert found.rules[0].power is Power.NOTHING
    assert words in found.rules[0].reason
    assert not found.penalty.any()


def test_withdrawn_laws_and_false_conditions_are_not_even_listed():
    """What a person withdrew, and what is not about this problem size, is no part of the search."""
    withdrawn = {"date": "2026-01-01", "reason": "wrong"}
    gone = avoid("gone", "m > 1", status="withdrawn", withdrawn=withdrawn)
    assert on(store(gone, avoid("other", "m > 1", scope={"when": "dim == 128"}))).rules == ()


def test_no_transfer_leaves_relatives_out():
    """`--no-transfer` drops laws of related hardware and keeps the others."""
    laws = store(avoid("near", "m >= 128"), avoid("far", "n >= 128", scope={"hw": "sm_2"}))
    assert {rule.id for rule in on(laws).rules} == {"near", "far"}
    assert [rule.id for rule in on(laws, transfer=False).rules] == ["near"]


def test_a_transferred_law_counts_half():
    """A relative's word weighs less than the same word about this hardware."""
    near = only(store(avoid("x", "m >= 128", status="proposed")))
    far = only(store(avoid("x", "m >= 128", status="proposed", scope={"hw": "sm_2"})))
    assert far.weight == near.weight / 2


def test_invariants_name_what_breaks_them():
    """`require` names its opposite; over names that only the kernel's code decides it has no effect here."""
    laws = store(law("ok", "invariant", {"require": "lat <= 2", "otherwise": "hangs", "effect": HANGS}))
    rule = only(laws)
    assert rule.power is Power.REMOVE
    assert rule.is_safety
    assert np.array_equal(on(laws).removed, SPACE.holds(parse("lat > 2")))
    code = only(store(law("mask", "invariant", {"require": "mask_value == -1.0e+20", "otherwise": "NaN"})))
    assert code.power is Power.NOTHING
    assert "mask_value" in code.reason


def test_a_preference_comes_first_and_removes_nothing():
    """Preferred settings lead the order; a setting this space has not is no preference here."""
    found = on(store(law("best", "positive", {"prefer": {"m": 32, "n": 64}})))
    order = found.order(np.random.default_rng(0))
    lead = [SPACE.config(i) for i in order[: found.rules[0].count]]
    assert all(c["m"] == 32 and c["n"] == 64 for c in lead)
    assert not found.removed.any()
    for prefer in ({"m": 48}, {"mm": 1}):
        assert only(store(law("odd", "positive", {"prefer": prefer}))).power is Power.NOTHING


def test_an_indifferent_axis_keeps_one_value():
    """Of the values that do not matter the default stays, the others are out of the way; other values are untouched."""
    claim = {"over": "lat", "values": [2, 4], "within": "1%"}
    found = on(store(law("same", "indifferent", claim)))
    assert found.rules[0].power is Power.REMOVE
    assert "lat=2 stands for all" in found.rules[0].reason
    assert np.array_equal(found.removed, SPACE.holds(parse("lat == 4")))
    for other in ({"over": "lat", "values": [4, 9], "within": "1%"}, {"over": "zz", "values": [1, 2], "within": "1%"}):
        assert only(store(law("same", "indifferent", other))).power is Power.NOTHING


def test_a_transformation_has_no_effect_on_settings():
    """A rewrite is not a restriction."""
    claim = {"from": "a", "to": "b", "rewrite": "r", "check": "c"}
    assert only(store(law("t", "transformation", claim))).power is Power.NOTHING


def test_feature_laws_wait_for_the_compiler():
    """A law over compiled features names nothing before, and what it says once they are known."""
    found = on(store(avoid("spills", "spill_bytes > 0 and m > 32")))
    assert not found.removed.any()
    values = {**SPACE.setting.names, **SPACE.config(0)}
    assert found.after_compiling({**values, "m": 64, "spill_bytes": 8.0}) == list(found.rules)
    assert found.after_compiling({**values, "m": 32, "spill_bytes": 8.0}) == []
    assert found.after_compiling(values) == []


def test_a_contested_law_loses_its_effect_at_once():
    """What the search itself contradicts neither removes nor postpones any more, other laws still do."""
    found = on(store(avoid("a", "m >= 128"), avoid("b", "n >= 128")))
    less = found.contest(["a"])
    assert np.array_equal(less.removed, SPACE.holds(parse("n >= 128")))
    assert [rule.id for rule in less.live] == ["b"]
    assert [rule.id for rule in less.speaking_of(len(SPACE) - 1)] == []


NAMES = st.sampled_from(["m >= 128", "n == 32", "lat > 2", "not fast", "m * n > 4096", "m == n and fast"])


@given(st.lists(NAMES, max_size=4), st.lists(NAMES, max_size=4), st.integers(0, 2**32))
@settings(deadline=None, max_examples=40)
def test_a_restriction_never_admits_what_it_names(hard, soft, seed):
    """Removed means removed: none of it is admitted; postponed comes after everything no law speaks against."""
    laws = [avoid(f"h{i}", text) for i, text in enumerate(hard)]
    laws += [avoid(f"s{i}", text, status="proposed") for i, text in enumerate(soft)]
    found = on(store(*laws))
    for text in hard:
        assert found.removed[SPACE.holds(parse(text))].all()
    order = found.order(np.random.default_rng(seed))
    assert sorted(order) == list(range(len(SPACE)))
    group = np.select([found.removed, found.postponed], [2, 1], 0)[order]
    assert (np.diff(group) >= 0).all()


def test_of_many_laws_none_takes_a_row_for_each_configuration():
    """What laws name is kept by the factors they speak of: a thousand laws over millions cost no gigabytes."""
    space = build(LAWS.ops["fmha"], {}, hardware_facts(LAWS, "h200"))
    rules = restrict(space, LAWS, Context("h200", "tileiras 13.4.92")).rules
    kept = [rule.named.truth.size for rule in rules if rule.named is not None]
    assert kept
    assert sum(kept) < len(space) / 100


def test_thousands_of_preferences_do_not_overflow():
    """An order sorts numbers of 16 bits; more laws than these count end at the first and the last place."""
    rule = only(store(law("best", "positive", {"prefer": {"m": 32}})))
    many = Restriction(SPACE, tuple(replace(rule, power=Power.POSTPONE, weight=1.0) for _ in range(5000)))
    named = SPACE.holds(parse("m == 32"))
    assert many.penalty[named].min() > many.penalty[~named].max()


def test_same_seed_same_order():
    """Where laws say nothing, the order is the seed's."""
    found = on(store(avoid("a", "m >= 128")))
    first, again, other = (found.order(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
