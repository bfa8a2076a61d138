"""Each problem size speaks for itself; one fast configuration inside a region refutes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spak.kg.evidence.judge import judge
from spak.kg.evidence.table import TrialTable, from_runs
from spak.kg.law.kinds.avoid import AvoidClaim, NegativeLaw
from spak.kg.law.kinds.indifferent import IndifferentClaim, IndifferentLaw
from spak.kg.law.kinds.prefer import PositiveLaw, PreferClaim
from spak.kg.law.kinds.require import InvariantLaw, RequireClaim
from spak.kg.model.law import Bound, Scope
from tests.tuner.landscapes import planted, sweep


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
