"""The pairs that stand for two readings, and what is counted of them."""

import msgspec
import pytest

from bench.drift import again, halves, rates, shared, table
from spak.kg.model.run import Run, Times, Trial

EARLY, LATE = (100.0,) * 25, (103.0,) * 25


def run(name, samples, created="2026-11-21T03:00:00Z"):
    trial = Trial(configuration={"tile": 1}, times=Times(runtimes=samples))
    return Run(id=name, tier="measured", created=created, hw="h200", op="fmha", problem={"seq": 1}, trials=(trial,))


def test_one_configuration_of_two_runs_of_a_day_is_a_pair_whichever_file_comes_first():
    early, late = run("b", EARLY), run("a", LATE, "2026-11-21T04:00:00Z")
    assert list(again([late, early])) == [(EARLY, LATE)]
    assert list(again([early, run("c", LATE, "2026-11-22T04:00:00Z")])) == []
    assert list(again([early, msgspec.structs.replace(late, problem={"seq": 2})])) == []


def test_a_trial_that_left_early_has_no_halves():
    assert list(halves([run("a", EARLY), run("b", EARLY[:7])])) == [(EARLY[:12], EARLY[12:])]


def test_what_somebody_else_uses_for_half_of_the_launches_is_uneven_and_drifts_in_few():
    runs = [run(str(number), tuple(100.0 + 0.1 * (number + n) for n in range(25))) for number in range(20)]
    alone, beside = shared(runs, 0.0), shared(runs, 0.45)
    assert (alone.uneven, alone.drifted) == (0.0, 0.0)
    assert beside.trials == 20
    assert beside.uneven > 2 * beside.drifted


def test_alarms_and_what_is_found_are_shares_of_the_pairs():
    found = rates("both", [(EARLY, EARLY), (EARLY, LATE)], 0.02)
    assert list(found.found.values()) == [0.5, 0.5, 1.0, 1.0]
    assert found.pairs == 2
    assert table([found]).splitlines()[1].split() == ["both", "2.0%", "2", "50.0%", "50.0%", "100.0%", "100.0%"]
    assert rates("slow", [(EARLY, LATE)], 0.05).found["10%"] == pytest.approx(1.0)
