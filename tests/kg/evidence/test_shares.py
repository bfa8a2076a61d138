"""What laws explain is counted in cells, beside what would make the count look good though it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spak.kg.evidence.shares import Explained, Sweep, explained_by
from spak.kg.evidence.table import from_runs
from spak.kg.law.kinds.avoid import AvoidClaim, NegativeLaw
from spak.kg.law.kinds.prefer import PositiveLaw, PreferClaim
from spak.kg.model.law import Bound, Law, Scope
from spak.kg.model.run import Failure, Measurement, Run, Trial

TIMES = {1: 10.0, 2: 10.4, 4: 11.5, 8: 20.0, 16: 40.0}
"""Tile -> microseconds; a tile of 32 does not run, and from 8 on the code spills."""


def sweep(size: int = 1, **facts: int) -> Sweep:
    trials = [
        Trial(
            configuration={"tile": tile},
            measurements=(
                Measurement(name="time", value=time * size, unit="us"),
                Measurement(name="spill_bytes", value=8.0 * (tile >= 8), unit="bytes"),
            ),
        )
        for tile, time in TIMES.items()
    ]
    broken = Trial(configuration={"tile": 32}, invalidity="runtime", failure=Failure(type="Error", message="no"))
    run = Run(
        id="r", tier="measured", created="2026-01-01", hw="h", op="o", problem={"size": size}, trials=(*trials, broken)
    )
    return Sweep(from_runs([run]), frozenset({("hw", "h"), ("op", "o")}), facts)


def avoid(identifier: str, region: str, *, effect: str = "slowdown", least: float = 1.2, when: str = "") -> NegativeLaw:
    claim = AvoidClaim(avoid=region, effect={effect: Bound(at_least=least)})
    return NegativeLaw(
        id=identifier, title="t", scope=Scope(hw="h", op="o", when=when), claim=claim, status="confirmed"
    )


def told(found: Explained) -> list[tuple[str, int, int, int, int]]:
    return [(law.law, law.named, law.right, law.own, law.last) for law in found.laws]


def test_laws_count_what_they_are_right_about_each_what_it_adds():
    """11.5 is more than noise and less than 1.2 times the best: to be explained, and a law that says 1.2 is wrong there."""
    laws = [avoid("narrow", "tile == 16"), avoid("wide", "tile >= 8"), avoid("loose", "tile == 4")]
    found = explained_by(laws, [sweep(), sweep(2)], "time")
    assert (found.cells, found.far, found.right, found.wrong) == (12, 8, 6, 2)
    assert told(found) == [("wide", 6, 6, 6, 4), ("loose", 2, 0, 0, 0), ("narrow", 2, 2, 0, 0)]
    assert found.share == found.by(1) == 0.75
    assert found.by(0) == 0


def test_a_law_that_names_everything_is_found_out_by_what_is_near_the_best():
    """It explains all that is slow and names every near cell, with an effect that those do not show."""
    found = explained_by([avoid("all", "tile >= 1", least=1.05)], [sweep()], "time")
    assert found.share == 1
    assert (found.near, found.near_named, found.wrong, found.laws[0].near) == (2, 2, 2, 2)


def test_chance_is_what_any_region_would_be_right_about():
    assert explained_by([avoid("one", "tile == 16")], [sweep()], "time").laws[0].chance == pytest.approx(3 / 6)


def test_outside_its_scope_a_law_explains_nothing():
    found = explained_by(
        [avoid("two", "tile >= 8", when="size == 2 and hw.most == 3")], [sweep(most=3), sweep(2)], "time"
    )
    assert found.laws == ()
    found = explained_by([avoid("two", "tile >= 8", when="size == 2 and hw.most == 3")], [sweep(2, most=3)], "time")
    assert found.laws[0].right == 3
    elsewhere = replace(sweep(2, most=3), nodes=frozenset({("hw", "other"), ("op", "o")}))
    assert explained_by([avoid("two", "tile >= 8")], [elsewhere], "time").laws == ()


def test_compiled_code_is_explained_by_laws_about_compiled_code():
    laws = [avoid("spills", "tile >= 8", effect="spill_bytes", least=1), avoid("slow", "tile >= 8")]
    found = explained_by(laws, [sweep()], "compiled code")
    assert (found.cells, found.far, told(found)) == (6, 3, [("spills", 3, 2, 2, 2)])


def test_a_failure_shows_a_failure_and_a_law_about_failures_is_about_time():
    found = explained_by([avoid("fails", "tile == 32", effect="failure_rate", least=1)], [sweep()], "time")
    assert told(found) == [("fails", 1, 1, 1, 1)]


def test_laws_that_name_no_region_explain_nothing():
    prefer: Law = PositiveLaw(
        id="p",
        title="t",
        scope=Scope(hw="h", op="o"),
        status="confirmed",
        claim=PreferClaim(prefer={"tile": 1}, effect={"cost": Bound(at_most=0.01)}),
    )
    found = explained_by([prefer], [sweep()], "time")
    assert (found.laws, found.share, found.far) == ((), 0, 4)
