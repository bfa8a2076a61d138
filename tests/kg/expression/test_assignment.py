"""Settings as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kg.errors import KgError, UnknownNameError
from spak.kg.expression.assignment import check_names, parse_assignments, show_assignments

NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=9).filter(lambda name: name[0] != "_")
VALUES = st.one_of(
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(allow_nan=False, allow_infinity=False),
    NAMES.filter(lambda word: word not in {"true", "false", "nan", "inf", "infinity"}),
)


def test_values_are_typed_by_how_they_look():
    """Booleans, integers, floats and words each keep their type."""
    found = parse_assignments("causal=true, head_dim=64,scale=0.5,dtype=fp16", what="--problem")
    assert found == {"causal": True, "head_dim": 64, "scale": 0.5, "dtype": "fp16"}
    assert [type(value) for value in found.values()] == [bool, int, float, str]
    assert parse_assignments(" ", what="--problem") == {}


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_what_is_shown_parses_back(values):
    """`parse(show(x)) == x`, types included."""
    found = parse_assignments(show_assignments(values, separator=","), what="x")
    assert found == values
    assert {name: type(v) for name, v in found.items()} == {name: type(v) for name, v in values.items()}


@pytest.mark.parametrize("text", ["tile_m", "=64", "tile_m=", "a=1,b"])
def test_a_part_that_is_no_assignment_is_named(text):
    """The message holds what was typed and how to write it."""
    with pytest.raises(KgError, match="--config: expected name=value"):
        parse_assignments(text, what="--config")


def test_a_name_set_twice_is_refused():
    """Two values for one name are a typo, not a choice."""
    with pytest.raises(KgError, match="tile_m is set twice"):
        parse_assignments("tile_m=64,tile_m=128", what="--config")


def test_an_unknown_name_gets_the_nearest():
    """A typo is answered with the names it resembles."""
    check_names(["causal"], ["causal"], kind="problem parameter")
    with pytest.raises(UnknownNameError, match=r"unknown problem parameter 'casual'; nearest: causal"):
        check_names(["casual"], ["causal", "head_dim"], kind="problem parameter")
