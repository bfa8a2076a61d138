"""Mining finds what is there, says it as generally as it is true, and finds nothing in noise."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spak.kg.evidence.table import from_runs
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.avoid import NegativeLaw
from spak.kg.law.kinds.indifferent import IndifferentLaw
from spak.kg.law.kinds.prefer import PositiveLaw
from spak.kg.model.law import Law
from spak.kg.model.run import Measurement, Trial
from spak.tuner.learn.mining.candidates import Topic, mine, mine_compiled
from spak.tuner.learn.mining.negative import MIN_SLOWDOWN, slow_regions
from spak.tuner.learn.mining.predicates import literals
from spak.tuner.learn.mining.significance import log_chance_of_avoiding
from tests.tuner.landscapes import VALUES, configurations, noise_only, planted, spill, sweep

SUBJECT = Topic("sm_90", "fmha", "FMHA", (), "synthetic", "tileiras >=13.4,<14", tiles=("tile_m", "tile_n"))


def test_the_planted_spill_law_is_found_as_one_statement_about_the_spill() -> None:
    laws = mine(from_runs([sweep()]), SUBJECT)
    negative = [law for law in laws if isinstance(law, NegativeLaw)]
    assert {law.claim.avoid for law in negative} >= {"spill_bytes > 0", "occupancy == 1"}
    spills = next(law for law in negative if law.claim.avoid == "spill_bytes > 0")
    assert spills.claim.because == "register-spill"
    assert "spilled bytes" in spills.title
    assert spills.evidence[0].role == "suggested"
    assert spills.evidence[0].effect["slowdown"] > 2.5
    assert spills.status == "proposed"


def test_an_axis_that_does_nothing_is_called_indifferent_as_a_whole() -> None:
    laws = [law for law in mine(from_runs([sweep()]), SUBJECT) if isinstance(law, IndifferentLaw)]
    assert [(law.claim.over, law.claim.values) for law in laws if law.claim.over == "v_latency"] == [
        ("v_latency", VALUES["v_latency"])
    ]


def test_the_best_setting_is_preferred_with_what_leaving_it_costs() -> None:
    laws = [law for law in mine(from_runs([sweep()]), SUBJECT) if isinstance(law, PositiveLaw)]
    assert {"tile_m": 64} in [law.claim.prefer for law in laws]


def test_one_problem_size_yields_no_preferred_setting() -> None:
    assert not [law for law in mine(from_runs([sweep((1,))]), SUBJECT) if isinstance(law, PositiveLaw)]


@pytest.mark.parametrize("seed", range(12))
def test_noise_suggests_nothing(seed: int) -> None:
    laws = mine(from_runs([noise_only(seed)]), SUBJECT)
    assert not [law for law in laws if not isinstance(law, IndifferentLaw)]


@given(st.integers(0, 10_000), st.floats(0.05, 1.0))
@settings(max_examples=25, deadline=None)
def test_no_region_ever_holds_a_configuration_near_the_best(seed: int, spread: float) -> None:
    """Whatever the data, every configuration a negative law names was far from the best at every size."""
    rng = np.random.default_rng(seed)
    bumps = {name: rng.lognormal(0, spread, len(values)) for name, values in VALUES.items()}

    def time(configuration: dict[str, int], size: int) -> float:
        factors = [bumps[name][VALUES[name].index(value)] for name, value in configuration.items()]
        return float(np.prod(factors)) * size

    table = from_runs([sweep((1, 3), seed=seed, time=time)])
    low, _ = table.slowdown_bounds()
    for region in slow_regions(table, literals(table, features=("spill_bytes",))):
        assert np.nanmin(low[region.mask]) >= MIN_SLOWDOWN
        for literal in region.literals:  # minimal: without any one literal something near the best comes in
            wider = np.logical_and.reduce(
                [other.mask for other in region.literals if other is not literal] or [np.ones_like(region.mask)]
            )
            assert np.nanmin(low[wider]) < MIN_SLOWDOWN * 1.06


@pytest.mark.parametrize(("factor", "said"), [(1.3, False), (5.0, True)])
def test_few_trials_say_what_is_slow_by_far_and_not_what_is_barely_slow(factor: float, said: bool) -> None:
    """40 trials, half in the region, a quarter near the best: a slowdown that beats no more than that may be chance."""
    rng = np.random.default_rng(3)
    drawn = [int(i) for i in rng.permutation(len(configurations()))[:40]]
    spread = np.exp(rng.uniform(0, 1.2, len(configurations())))
    places = {tuple(c.values()): place for place, c in enumerate(configurations())}

    def time(configuration: dict[str, int], size: int) -> float:
        rest = float(spread[places[tuple(configuration.values())]])
        return max(rest, 1.1) * factor if configuration["v_latency"] >= 4 else rest

    run = sweep((1,), time=time)
    few = msgspec.structs.replace(run, trials=tuple(run.trials[i] for i in drawn))
    laws = [law for law in mine(from_runs([few]), SUBJECT) if isinstance(law, NegativeLaw)]
    assert ("v_latency >= 4" in [law.claim.avoid for law in laws]) == said


def test_what_never_runs_is_said_as_not_running() -> None:
    def time(configuration: dict[str, int], size: int) -> float:
        return float("inf") if configuration["tile_m"] == 256 else planted(configuration, size)

    laws = mine(from_runs([sweep(time=time)]), SUBJECT)
    law = next(law for law in laws if isinstance(law, NegativeLaw) and "failure_rate" in law.claim.effect)
    assert law.claim.avoid == "tile_m == 256"
    assert "does not run" in law.title


def test_compiled_claims_speak_of_parameters_and_never_cover_what_does_not_spill() -> None:
    table = from_runs([sweep((1, 2))])
    laws = mine_compiled(table, SUBJECT)
    assert laws
    for law in laws:
        assert "spill_bytes" not in law.claim.avoid
        assert law.claim.effect["spill_bytes"].at_least == 1
        assert law.claim.because == "register-spill"
        for configuration in law.examples.avoided:
            assert spill(configuration) > 0


def test_kinds_of_problem_split_a_law_and_sizes_do_not() -> None:
    def time(configuration: dict[str, int], size: int) -> float:
        return planted(configuration, size)

    runs = []
    for causal in (True, False):
        base = sweep((1, 2), time=time)
        trials = tuple(
            Trial(
                configuration=t.configuration,
                problem={**t.problem, "causal": causal},
                measurements=tuple(
                    Measurement(
                        name=m.name,
                        value=m.value * (4 if causal and t.configuration["tile_n"] == 32 else 1),
                        unit=m.unit,
                    )
                    for m in t.measurements
                ),
            )
            for t in base.trials
        )
        runs.append(msgspec.structs.replace(base, trials=trials))
    laws = mine(from_runs(runs), Topic("sm_90", "fmha", "FMHA", ("causal",), "r"))
    assert any("causal == True" in law.scope.when for law in laws if isinstance(law, NegativeLaw))
    assert not any("size" in law.scope.when for law in laws)


def test_a_law_says_at_which_inputs_it_was_seen_if_what_it_names_depends_on_them() -> None:
    """And only then: the same trials, mined by an op of which nothing depends on inputs, give laws that say nothing of them."""

    def mined(**depends: tuple[str, ...]) -> list[Law]:
        run = msgspec.structs.replace(sweep((1, 2), time=planted), problem={"inputs": "sink"})
        return list(mine(from_runs([run]), replace(SUBJECT, depends=depends)))

    laws = mined(tile_m=("inputs",))
    naming = [law for law in laws if "tile_m" in meaning(law).names]
    assert naming
    assert naming != laws
    assert all((law.scope.when == "inputs == 'sink'") == (law in naming) for law in laws)
    assert all(law.scope.when == "" for law in mined())


def test_the_chance_of_avoiding_is_the_hypergeometric_one() -> None:
    assert np.exp(log_chance_of_avoiding(10, 2, 3)) == pytest.approx((8 * 7 * 6) / (10 * 9 * 8))
    assert log_chance_of_avoiding(10, 8, 3) == float("-inf")


def test_products_are_of_what_the_op_calls_tiles() -> None:
    """Names say nothing: an op without roles has products of its first numbers."""
    table = from_runs([sweep((1,))])

    def products(tiles: tuple[str, ...] | None) -> set[tuple[str, ...]]:
        return {literal.names for literal in literals(table, tiles=tiles) if len(literal.names) > 1}

    assert products(("v_latency", "occupancy")) == {("occupancy", "v_latency")}
    assert products(()) == set()
    assert products(None) == {("occupancy", "tile_m"), ("occupancy", "tile_n"), ("tile_m", "tile_n")}
