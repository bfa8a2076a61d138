"""What is planted on the recorded sweeps is false, or true, by their own trials, and has all the power that laws have."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.planted.cells import AUDIT, WITHOUT, Cell, Task, cell, planted, plants
from bench.planted.command import in_order, read
from bench.planted.plants import Garden
from bench.planted.statements import avoid
from bench.planted.sweeps import SMALLEST, store, sweep, sweep_ids
from bench.planted.table import Compared, compared, failing, markdown
from spak.kg.law.kinds.base import Power

REPOSITORY = Path(__file__).parents[3]
KINDS = {
    "region",
    "point",
    "off by one",
    "compiled",
    "band",
    "axis",
    "axes",
    "invariant",
    "pair",
    "everything",
    "preference",
    "ten",
}
SMALL = "measured-h200-fmha-d64-s16384-full"
LARGE = "measured-h200-matmul-m4096"


def test_every_recorded_sweep_of_a_hundred_configurations_takes_part():
    runs = [store().run(name) for name in store().run_ids if name.startswith("measured-")]
    assert set(sweep_ids()) == {run.id for run in runs if run.exhaustive_over and len(run.trials) >= SMALLEST}
    for name in sweep_ids():
        one = sweep(name)
        assert {one.space.index(trial.configuration) for trial in one.run.trials} == set(range(len(one.space)))


@pytest.mark.parametrize("name", [SMALL, LARGE])
def test_every_kind_of_falsehood_is_planted(name):
    assert {plant.kind for plant in plants(name, are_false=True)} == KINDS


@pytest.mark.parametrize("name", [SMALL, LARGE])
def test_what_is_planted_is_what_it_is_said_to_be(name):
    """A false law is refuted by the sweep's own trials, a true one is borne out: by the judgement of `kg verify`."""
    garden = Garden(sweep(name))
    for plant in garden.false():
        assert plant.false == {law.id for law in plant.laws if garden.verdict(law) == "refutes"}
        assert plant.false
    for plant in garden.true():
        assert {garden.verdict(law) for law in plant.laws} == {"supports"}


@pytest.mark.parametrize("name", [SMALL, LARGE])
def test_a_planted_law_hides_all_that_its_kind_can_hide(name):
    """All but preferences remove; what they remove holds the best, or the plant would cost nothing."""
    one = sweep(name)
    best = one.space.index(min(one.run.trials, key=lambda trial: trial.value("time")).configuration)
    for plant in plants(name, are_false=True):
        found = planted(one, plant.laws)
        powers = {rule.id: rule.power for rule in found.rules}
        assert {powers[law.id] for law in plant.laws} <= {Power.REMOVE, Power.PREFER}
        asked = any(rule.after is not None for rule in found.rules)
        assert found.removed[best] or asked or plant.kind == "preference", plant.what


def test_off_by_one_is_a_true_law_moved_by_one_value():
    """One value further on the same threshold is borne out."""
    garden = Garden(sweep(SMALL))
    (moved,) = (plant.what for plant in garden.false() if plant.kind == "off by one")
    assert moved == "avoid tile_n <= 64"
    assert garden.verdict(avoid("true", "fmha", "tile_n <= 32")) == "supports"


def test_a_cell_counts_what_is_evaluated():
    """Without laws nothing is compiled and dropped, contested or ended early; the goal is always reached."""
    alone = cell(Task(SMALL, is_false=True, plant=-1, strategy="random", seeds=5))
    assert (alone.kind, alone.laws, alone.false, alone.audit) == (WITHOUT, 0, 0, AUDIT)
    assert all(n is not None and 1 <= n <= alone.space for n in alone.arrived)
    assert alone.dropped == alone.contested == alone.wronged == (0,) * 5
    assert not any(alone.early)


def made(kind="region", **changed):
    """A cell of four searches."""
    fields = {
        "sweep": "one",
        "kind": kind,
        "what": "avoid m == 1",
        "strategy": "random",
        "audit": AUDIT,
        "laws": 1,
        "false": 1,
        "space": 100,
        "at_random": 10.0,
        "arrived": (10, 10, 10, 10),
        "found_out": (5, 5, 5, 5),
        "contested": (1, 1, 1, 1),
        "wronged": (0, 0, 0, 0),
        "dropped": (0, 0, 0, 0),
        "early": (False,) * 4,
    }
    return Cell(**{**fields, **changed})


ALONE = made(WITHOUT, laws=0, false=0, contested=(0,) * 4)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, []),
        ({"contested": (1, 1, 1, 0)}, ["contested in 75%"]),
        ({"arrived": (10, 10, 10, 21)}, ["in time in 75%"]),
        ({"arrived": (20, 20, 20, 21)}, ["in time in 75%", "2.0 times random (1.0 without laws)"]),
        ({"arrived": (1, 1, 1, None)}, ["in time in 75%", "2.6 times random (1.0 without laws)"]),
        ({"early": (False, False, True, False)}, ["1 ended early"]),
        ({"false": 0, "contested": (0,) * 4, "wronged": (0, 0, 1, 0)}, ["true, contested in 25%"]),
    ],
)
def test_what_a_cell_may_not_do(changed, said):
    assert list(Compared(made(**changed), ALONE).failures()) == said


def test_the_tables_name_every_kind_and_strategy_once():
    cells = [ALONE, made(), made(sweep="one", what="avoid m == 2", contested=(0,) * 4), made("true region", false=0)]
    rows = [line for line in markdown(cells) if line.startswith(("| region", "| true region"))]
    assert [row.split(" | ")[:5] for row in rows[:1]] == [["| region", "random", "2", "50.0 %", "0.0 %"]]
    assert len(rows) == 2
    assert len(compared(cells)) == 3
    assert len(list(failing(cells))) == 1


def test_the_documented_tables_are_those_of_the_recorded_run():
    """The rows in docs/benchmarks-laws.md are printed by `python -m bench.laws planted --table`."""
    text = (REPOSITORY / "docs/benchmarks-laws.md").read_text(encoding="utf-8")
    shown = text.partition("<!-- planted -->\n")[2].partition("<!-- /planted -->")[0]
    cells = read([REPOSITORY / "bench/results/laws-planted.jsonl.gz"])
    assert shown.splitlines() == list(markdown(in_order(cells)))
