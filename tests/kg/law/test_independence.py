"""What counts as two occasions, and what is one however often it is told."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kg.law.independence import count_occasions, grade
from spak.kg.law.power import SearchPlace, bearing
from spak.kg.model.law import Evidence
from tests.kg.small import INVARIANT, ROOT, negative
from tests.shown import shown


def timed(number: int, occasion: str) -> Evidence:
    return Evidence(
        run=f"r{number}",
        verdict="supports",
        tier="measured",
        role="independent",
        effect={"slowdown": 2.0},
        interval={"slowdown": (1.9, 2.1 + number / 100)},
        problems=(f"size={number}",),
        occasion=occasion,
    )


@pytest.mark.parametrize(
    ("occasions", "count"),
    [
        ((), 0),
        (("2026-01-01 h200",) * 3, 1),
        (("2026-01-01 h200", "2026-01-02 h200"), 2),
        (("2026-01-01 h200", "2026-01-01 h100"), 2),
        (("2026-01-01 h200 0123456789ab", "2026-01-01 h200 ba9876543210"), 2),
        (("2026-01-01 h200 0123456789ab", "2026-01-01 h200 0123456789ab"), 1),
        (("2026-01-01 h200 0123456789ab", "2026-01-01 h200"), 1),  # it may be the same machine
        (("2026-01-01 h200 0123456789ab", "2026-01-01 h200", "2026-01-01 h200 ba9876543210"), 2),
        (("2026-01-01 h200", ""), 1),  # who does not say when it was is independent of nothing
        (("", "", ""), 1),
    ],
)
def test_occasions_are_told_apart_by_day_hardware_and_known_machines(occasions, count):
    """Whoever does not know where it ran cannot say that it ran elsewhere."""
    assert count_occasions([timed(*one) for one in enumerate(occasions)]) == count


def test_the_same_numbers_are_one_occasion_whatever_they_are_called():
    """A run copied to another device, and to another day, three times: the law that cites them all gains nothing."""
    once = timed(1, "2026-01-01 h200")
    copies = [
        msgspec.structs.replace(once, run=name, occasion=occasion, problems=(f"size={name}",))
        for name, occasion in (("a", "2026-01-01 rtx4090"), ("b", "2026-01-02 rtx4090"), ("c", "2026-01-03 rtx4090"))
    ]
    assert count_occasions([once, *copies]) == 1
    law = negative("law", evidence=(once, *copies))
    assert not bearing(law, SearchPlace(ROOT, "rtx5070", "")).removes
    assert "one occasion" in bearing(law, SearchPlace(ROOT, "rtx5070", "")).reason


def test_what_follows_from_toolchain_and_inputs_needs_no_second_day():
    """A law about wrong numbers, computed once, may remove: the same inputs give the same numbers."""
    law = msgspec.structs.replace(
        INVARIANT, scope=msgspec.structs.replace(INVARIANT.scope, hw="sm_120"), evidence=(shown(INVARIANT).evidence[0],)
    )
    assert law.evidence[0].tier == "computed"
    assert "occasion" not in bearing(law, SearchPlace(ROOT, "rtx5070", "")).reason


def test_a_grade_counts_days_and_devices_only_of_what_was_measured():
    """And leaves out what nobody knows."""
    one, two = timed(1, "2026-01-01 h200"), timed(2, "2026-01-02 h100")
    told = msgspec.structs.replace(two, toolchain="tileiras 13.4", problems=("b=2,a=1", "a=1, b=2"))
    assert str(grade([one, told])) == "2 problem sizes, 2 devices, 2 days, 2 occasions, 1 toolchain"
    assert str(grade([msgspec.structs.replace(told, tier="compiled")])) == "1 problem size, 1 toolchain"
    assert str(grade([])) == ""


_OCCASIONS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.builds(
            "{}{}{}".format,
            st.sampled_from(["2026-01-01", "2026-01-02"]),
            st.sampled_from([" h100", " h200"]),
            st.sampled_from(["", " 0123456789ab", " ba9876543210"]),
        )
        | st.just(""),
    ),
    max_size=7,
)


@given(_OCCASIONS, st.randoms())
def test_the_order_of_entries_does_not_matter_and_more_of_them_are_no_fewer_occasions(told, random):
    """And never more than there are distinct numbers."""
    entries = [timed(*one) for one in told]
    shuffled = random.sample(entries, len(entries))
    assert count_occasions(entries) == count_occasions(shuffled)
    assert count_occasions(entries) <= len({number for number, _ in told})
    fresh = timed(9, "2026-01-09 h200")
    assert count_occasions([*entries, fresh]) >= count_occasions(entries)
