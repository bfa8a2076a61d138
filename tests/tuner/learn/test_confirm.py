"""A candidate is confirmed only by what it was not found on; one fast configuration inside refutes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from spak.kg.law.kinds.avoid import AvoidClaim, NegativeLaw
from spak.kg.law.kinds.indifferent import IndifferentClaim, IndifferentLaw
from spak.kg.law.kinds.prefer import PositiveLaw, PreferClaim
from spak.kg.law.kinds.require import InvariantLaw, RequireClaim
from spak.kg.model.law import Bound, Scope
from spak.kg.space.space import Setting, Space
from spak.tuner.learn.confirm.judge import judge
from spak.tuner.learn.confirm.plan import HeldOut, plan
from spak.tuner.learn.mining.candidates import Topic, mine, mine_compiled
from spak.tuner.learn.mining.table import TrialTable, from_runs
from tests.tuner.landscapes import configurations, noise_only, planted, spill, sweep

SUBJECT = Topic("sm_90", "fmha", "FMHA", (), "found", tiles=("tile_m", "tile_n"))


def avoid(
    expression: str, *, when: str = "", dtype: tuple[str, ...] = (), effect: str = "slowdown", least: float = 1.2
):
    return NegativeLaw(
        id="law",
        title="t",
        scope=Scope(hw="sm_90", op="fmha", when=when, dtype=dtype),
        status="proposed",
        claim=AvoidClaim(avoid=expression, effect={effect: Bound(at_least=least)}),
    )


def table(time: Callable[[Mapping[str, int], int], float] = planted, *, sizes: tuple[int, ...] = (8, 16)) -> TrialTable:
    return from_runs([sweep(sizes, seed=5, time=time)])


def test_every_law_mined_from_some_sizes_holds_at_others_of_the_same_landscape() -> None:
    laws = mine(from_runs([sweep((1, 2, 4))]), SUBJECT)
    assert {judge(law, table()).verdict for law in laws} == {"supports"}


def test_one_fast_configuration_inside_a_region_refutes_it() -> None:
    def time(configuration: Mapping[str, int], size: int) -> float:
        lucky = configuration == {"tile_m": 128, "tile_n": 128, "occupancy": 2, "v_latency": 4} and size == 16
        return 10.0 * size if lucky else planted(configuration, size)

    found = judge(avoid("spill_bytes > 0"), table(time))
    assert found.verdict == "refutes"
    assert found.problems == ("size=16",)
    assert found.effect["slowdown"] == 1.0


def test_one_problem_size_is_not_enough_to_support() -> None:
    found = judge(avoid("spill_bytes > 0"), table(sizes=(8,)))
    assert found.verdict == "inconclusive"
    assert "2 are needed" in found.reason


def test_the_bound_must_lie_beyond_the_claim() -> None:
    assert judge(avoid("spill_bytes > 0", least=10.0), table()).verdict == "refutes"
    supported = judge(avoid("spill_bytes > 0", least=2.0), table())
    assert supported.verdict == "supports"
    assert supported.interval["slowdown"][0] >= 2.0


def test_a_problem_size_outside_the_scope_does_not_speak() -> None:
    assert judge(avoid("spill_bytes > 0", when="size > 100"), table()).problems == ()
    assert (
        judge(avoid("spill_bytes > 0", when="size >= hw.num_sms"), table(), {"num_sms": 16}).verdict == "inconclusive"
    )


def test_a_law_about_an_unknown_feature_stays_inconclusive() -> None:
    assert judge(avoid("registers > 255"), table()).verdict == "inconclusive"


def test_claims_about_compiled_code_are_exact() -> None:
    assert judge(avoid("tile_m * tile_n > 8192", effect="spill_bytes", least=1), table()).verdict == "supports"
    assert judge(avoid("tile_m * tile_n >= 8192", effect="spill_bytes", least=1), table()).verdict == "refutes"
    assert judge(avoid("tile_m == 32", effect="smem_bytes", least=1), table()).verdict == "inconclusive"


def test_compiled_laws_hold_on_other_variants_of_the_same_code() -> None:
    for law in mine_compiled(from_runs([sweep((1, 2))]), SUBJECT):
        assert judge(law, table()).verdict == "supports"


def test_what_ran_once_refutes_that_it_never_runs() -> None:
    def time(configuration: Mapping[str, int], size: int) -> float:
        broken = configuration["tile_m"] == 256 and not (size == 16 and configuration["tile_n"] == 32)
        return float("inf") if broken else planted(configuration, size)

    law = avoid("tile_m == 256", effect="failure_rate", least=1)
    assert judge(law, table(time)).verdict == "refutes"
    assert judge(law, table(lambda c, s: float("inf") if c["tile_m"] == 256 else planted(c, s))).verdict == "supports"


def test_a_preferred_setting_is_judged_by_the_best_with_it_and_without_it() -> None:
    def law(value: int) -> PositiveLaw:
        claim = PreferClaim(prefer={"tile_m": value}, effect={"cost": Bound(at_most=0.01)})
        return PositiveLaw(id="l", title="t", scope=Scope(hw="sm_90", op="fmha"), status="proposed", claim=claim)

    assert judge(law(64), table()).verdict == "supports"
    assert judge(law(256), table()).verdict == "refutes"
    assert judge(law(7), table()).verdict == "inconclusive"


def ranking(prefer: int, *over: int) -> PositiveLaw:
    """`tile_m=prefer` beats each of `over` by 1 % at least."""
    claim = PreferClaim(
        prefer={"tile_m": prefer},
        over=tuple({"tile_m": value} for value in over),
        effect={"cost": Bound(at_most=-0.01)},
    )
    return PositiveLaw(id="l", title="t", scope=Scope(hw="sm_90", op="fmha"), status="proposed", claim=claim)


def test_a_ranking_is_judged_by_the_settings_it_is_over_alone() -> None:
    """32 beats 256, though 64 beats both; 64 beats 256 by more than 32: which rival is meant decides verdict and cost."""
    assert judge(ranking(32), table()).verdict == "refutes"
    assert judge(ranking(32, 256), table()).verdict == "supports"
    assert judge(ranking(32, 64, 256), table()).verdict == "refutes"
    assert judge(ranking(64, 256), table()).effect["cost"] < judge(ranking(64), table()).effect["cost"] < 0


def test_a_ranking_over_what_was_not_tried_is_not_judged() -> None:
    """That others were tried says nothing of the ones it names."""
    assert judge(ranking(64), table()).verdict == "supports"
    assert judge(ranking(64, 512), table()).verdict == "inconclusive"


def test_a_plan_tries_the_settings_that_a_ranking_is_over() -> None:
    """All asked for beside the references, the fastest found, has the preferred setting or one it is said to beat."""
    found = from_runs([sweep((1, 2, 4))])
    held_out = HeldOut(({"size": 8}, {"size": 16}), 500)

    def tried(law: PositiveLaw) -> set[int]:
        asked, covered = plan([law], found, held_out, {}, np.random.default_rng(0))
        assert covered == (law,)
        return {int(str(ask.configuration["tile_m"])) for ask in asked}

    references = {64}
    assert tried(ranking(32, 256)) == references | {32, 256}
    assert 256 not in tried(ranking(32))


def test_a_tie_is_judged_in_matched_contexts() -> None:
    def law(over: str, *values: int, within: str = "2%") -> IndifferentLaw:
        claim = IndifferentClaim(over=over, values=values, within=within)
        return IndifferentLaw(id="l", title="t", scope=Scope(hw="sm_90", op="fmha"), status="proposed", claim=claim)

    assert judge(law("v_latency", 4, 5), table()).verdict == "supports"
    assert judge(law("occupancy", 1, 2), table()).verdict == "refutes"
    assert judge(law("v_latency", 4, 9), table()).verdict == "inconclusive"


def test_an_invariant_is_not_judged_from_trials() -> None:
    law = InvariantLaw(
        id="l",
        title="t",
        scope=Scope(hw="sm_90", op="fmha"),
        status="proposed",
        claim=RequireClaim(require="tile_m > 0", otherwise="NaN"),
    )
    assert judge(law, table()).verdict == "inconclusive"


def test_a_plan_is_whole_for_each_candidate_and_stays_inside_its_budget() -> None:
    found = from_runs([sweep((1, 2, 4))])
    laws = mine(found, SUBJECT)
    everything, covered = plan(laws, found, HeldOut(({"size": 8}, {"size": 16}), 10_000), {}, np.random.default_rng(0))
    assert covered == laws
    for budget in (0, 20, 60):
        asked, some = plan(laws, found, HeldOut(({"size": 8}, {"size": 16}), budget), {}, np.random.default_rng(0))
        assert len(asked) <= budget
        assert {law.id for law in some} <= {law.id for law in laws}
    assert len(everything) < 2 * len(configurations()) / 2


def test_what_a_plan_asks_for_is_enough_to_judge() -> None:
    found = from_runs([sweep((1, 2, 4))])
    laws = mine(found, SUBJECT)
    asked, covered = plan(laws, found, HeldOut(({"size": 8}, {"size": 16}), 500), {}, np.random.default_rng(0))
    wanted = {(ask.problem["size"], tuple(sorted(ask.configuration.items()))) for ask in asked}
    run = sweep((8, 16), seed=9)
    kept = tuple(t for t in run.trials if (t.problem["size"], tuple(sorted(t.configuration.items()))) in wanted)
    seen = from_runs([type(run)(**{**{n: getattr(run, n) for n in run.__struct_fields__}, "trials": kept})])
    assert covered
    for law in covered:
        assert judge(law, seen).verdict == "supports", law.id


def test_a_plan_asks_for_strangers_of_the_region_too() -> None:
    found = from_runs([sweep((1, 2, 4))])
    stranger = {"tile_m": 512, "tile_n": 128, "occupancy": 2, "v_latency": 4}
    values = tuple((value,) for _, value in sorted(stranger.items()))
    pool = Space("fmha", Setting({}), tuple(sorted(stranger)), values, {}, (np.zeros((1, 4), np.int16),))
    held_out = HeldOut(({"size": 8},), 500, pool)
    asked, _ = plan([avoid("tile_m * tile_n > 8192")], found, held_out, {}, np.random.default_rng(0))
    assert stranger in [ask.configuration for ask in asked]


@pytest.mark.parametrize("seed", range(6))
def test_what_noise_suggests_is_not_confirmed(seed: int) -> None:
    found = from_runs([noise_only(seed, spread=0.4)])
    fresh = from_runs([noise_only(seed + 1000, sizes=(16, 32), spread=0.4)])
    laws = [law for law in mine(found, SUBJECT) if not isinstance(law, IndifferentLaw)]
    assert not [law for law in laws if judge(law, fresh).verdict == "supports"]


def test_spill_in_the_landscape_is_what_the_law_says() -> None:
    assert spill({"tile_m": 128, "tile_n": 128}) > 0
    assert spill({"tile_m": 64, "tile_n": 128}) == 0
