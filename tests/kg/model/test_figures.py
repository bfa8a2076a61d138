"""Numbers as people read them."""

from __future__ import annotations

import pytest

from spak.kg.model.figures import counted, digits, extent


@pytest.mark.parametrize(
    ("value", "count", "text"),
    [(0.0, 3, "0"), (1234.5, 3, "1234"), (60.061, 4, "60.06"), (0.0066712, 3, "0.00667"), (float("nan"), 3, "nan")],
)
def test_digits_are_significant_and_plain(value: float, count: int, text: str):
    """As many digits as asked for, all before the point kept, never an exponent."""
    assert digits(value, count) == text


def test_an_extent_is_one_number_where_both_ends_read_the_same():
    """`3 to 5 %`, `3.00 %`."""
    assert extent([3.001, 2.999], " %") == "3.00 %"
    assert extent([5.0, 3.0, 4.0], "x", 2) == "3.0 to 5.0x"


def test_what_is_counted_has_its_plural_and_its_thousands():
    """One law, two laws; a plural that is no added s is given."""
    assert [counted(1, "law"), counted(0, "law"), counted(1200, "law")] == ["1 law", "0 laws", "1,200 laws"]
    assert counted(2, "launch", "launches") == "2 launches"
