"""A candidate is confirmed only by what it was not found on; one fast configuration inside refutes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from spak.kg.evidence.judge import judge
from spak.kg.evidence.table import TrialTable, from_runs
from spak.kg.law.kinds.indifferent import IndifferentLaw
from spak.kg.law.kinds.prefer import PositiveLaw
from spak.kg.space.space import Setting, Space
from spak.tuner.learn.confirm.plan import HeldOut, plan
from spak.tuner.learn.mining.candidates import Topic, mine, mine_compiled
from tests.kg.evidence.test_judge import avoid, ranking
from tests.tuner.landscapes import configurations, noise_only, planted, spill, sweep

SUBJECT = Topic("sm_90", "fmha", "FMHA", (), "found", tiles=("tile_m", "tile_n"))


def table(time: Callable[[Mapping[str, int], int], float] = planted, *, sizes: tuple[int, ...] = (8, 16)) -> TrialTable:
    return from_runs([sweep(sizes, seed=5, time=time)])


def test_every_law_mined_from_some_sizes_holds_at_others_of_the_same_landscape() -> None:
    laws = mine(from_runs([sweep((1, 2, 4))]), SUBJECT)
    assert {judge(law, table()).verdict for law in laws} == {"supports"}


def test_compiled_laws_hold_on_other_variants_of_the_same_code() -> None:
    for law in mine_compiled(from_runs([sweep((1, 2))]), SUBJECT):
        assert judge(law, table()).verdict == "supports"


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
