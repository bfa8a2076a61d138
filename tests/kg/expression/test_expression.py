"""The expression language: what it reads, what it refuses and where, and that all its evaluators agree."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spak.kg.expression import ExpressionError, parse
from spak.kg.expression.columns import Column
from spak.kg.expression.scalar import truth

NAMES = ("tile_m", "tile_n", "order", "causal", "hw.num_sms")
VALUES = {
    "tile_m": st.sampled_from([0, 16, 64, 128]),
    "tile_n": st.sampled_from([-1, 0, 2.5, 64]),
    "order": st.sampled_from(["heavy", "plain", ""]),
    "causal": st.booleans(),
    "hw.num_sms": st.sampled_from([48, 132]),
}


def _numbers() -> st.SearchStrategy[str]:
    leaves = st.sampled_from(["tile_m", "tile_n", "hw.num_sms", "0", "1", "2.5", "64", "-3", "causal"])
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner),
            st.builds("{}({}, {})".format, st.sampled_from(["min", "max", "ceil_div"]), inner, inner),
            st.builds("{}({})".format, st.sampled_from(["abs", "log2", "-"]), inner),
            st.builds("{} ** {}".format, st.builds("({})".format, inner), st.sampled_from(["2", "-1", "0.5"])),
        ),
        max_leaves=6,
    )


def _predicates() -> st.SearchStrategy[str]:
    signs = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
    leaves = st.one_of(
        st.builds("{} {} {}".format, _numbers(), signs, _numbers()),
        st.builds("order {} {!r}".format, signs, st.sampled_from(["heavy", "x"])),
        st.builds("tile_m {} [16, {}]".format, st.sampled_from(["in", "not in"]), _numbers()),
        st.builds("order in ['heavy', {}]".format, _numbers()),
        st.builds("{} < {} <= {}".format, _numbers(), _numbers(), _numbers()),
        st.sampled_from(["causal", "True", "order", "order == 3", "order < 3"]),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds("({} and {})".format, inner, inner),
            st.builds("({} or {})".format, inner, inner),
            st.builds("not ({})".format, inner),
        ),
        max_leaves=5,
    )


ROWS = st.fixed_dictionaries(VALUES)


@given(_predicates(), st.lists(ROWS, min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_columns_and_single_configurations_agree(text: str, rows: list[dict[str, object]]) -> None:
    """Plain arrays, dictionary-encoded columns (direct and through the grid) and scalars give one answer."""
    expression = parse(text)
    wanted = [expression.holds(row) for row in rows]
    arrays = {name: np.array([row[name] for row in rows], dtype=object if name == "order" else None) for name in NAMES}
    assert [truth(value) for value in expression.evaluate_columns(arrays, len(rows))] == wanted
    for repeats in (1, 400):
        encoded = {}
        for name in NAMES:
            values = tuple(dict.fromkeys(row[name] for row in rows))
            codes = np.array([values.index(row[name]) for row in rows] * repeats, dtype=np.int16)
            encoded[name] = Column(values, codes)
        found = expression.evaluate_columns(encoded, len(rows) * repeats)
        assert [truth(value) for value in found] == wanted * repeats


@given(_predicates())
@settings(max_examples=100, deadline=None)
def test_canonical_text_is_a_fixed_point(text: str) -> None:
    once = parse(text)
    assert parse(once.text) == once
    assert parse(once.text).text == once.text


@given(_predicates(), ROWS)
@settings(max_examples=100, deadline=None)
def test_negation_is_true_exactly_where_the_expression_is_not(text: str, row: dict[str, object]) -> None:
    expression = parse(text)
    assert expression.negate().holds(row) is not expression.holds(row)


@given(_predicates(), ROWS, st.sets(st.sampled_from(NAMES)))
@settings(max_examples=100, deadline=None)
def test_partial_evaluation_in_two_steps_is_evaluation(text: str, row: dict[str, object], first: set[str]) -> None:
    expression = parse(text)
    rest = expression.partial({name: row[name] for name in first})
    found = rest if isinstance(rest, bool) else rest.holds(row)
    assert found is expression.holds(row)
    if not isinstance(rest, bool):
        assert not rest.all_names & first


def test_what_is_known_can_settle_a_condition_early() -> None:
    assert parse("causal and head_dim == 64").partial({"causal": False}) is False
    rest = parse("causal and head_dim == 64").partial({"causal": True})
    assert not isinstance(rest, bool)
    assert rest.text == "head_dim == 64"


def test_names_and_facts_are_told_apart() -> None:
    expression = parse("smem_bytes * 2 <= hw.smem_per_sm and tile_m in [64, 128]")
    assert expression.names == {"smem_bytes", "tile_m"}
    assert expression.all_names - expression.names == {"hw.smem_per_sm"}


def test_whole_results_come_back_as_integers() -> None:
    assert parse("4 * tile_m // 2").evaluate({"tile_m": 64}) == 128
    assert isinstance(parse("tile_m / 2").evaluate({"tile_m": 64}), int)
    assert parse("tile_m / 0").holds({"tile_m": 1}) is False


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "got nothing"),
        ("tile_m >", 9, "not an expression"),
        ("__import__('os')", 1, "is not a function"),
        ("a.b > 1", 1, "hw.<fact>"),
        ("hw.x.y > 1", 1, "hw.<fact>"),
        ("tile_m[0] == 1", 1, "an index"),
        ("x == 1 and (lambda: 1)", 13, "a lambda"),
        ("1 if a else 2", 1, "a conditional"),
        ("tile_m is 64", 11, "`is`"),
        ("tile_m in 64", 11, "needs a list"),
        ("tile_m in []", 11, "needs a list"),
        ("[1, 2]", 1, "right of `in`"),
        ("a in [1] in [2]", 6, "does not chain"),
        ("'a' + tile_m", 1, "text"),
        ("2 ** tile_m", 1, "exponent"),
        ("2 ** 100", 1, "exponent"),
        ("min(1)", 1, "2 to 8 arguments"),
        ("abs(1, 2)", 1, "takes 1 arguments"),
        ("max(*tile_m)", 1, "plain arguments"),
        ("abs(x=1)", 1, "plain arguments"),
        ("1e999 > tile_m", 1, "too large"),
        ("None", 1, "not a number"),
        ("x := 1", 3, "not an expression"),
        ("~tile_m", 1, "not part"),
        ("a & b", 1, "not part"),
        ("a\n== 1", 2, "one line"),
        ("(" * 300 + "1" + ")" * 300, 0, ""),
        ("-" * 90 + "x", 0, "deeply"),
        ("x" * 1001, 1000, "at most 1000"),
        ("9" * 400, 1, "too large"),
    ],
)
def test_what_is_outside_the_grammar_is_refused_with_its_column(text: str, column: int, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert words in caught.value.message
    if column:
        assert caught.value.column == column


def test_a_missing_value_is_named() -> None:
    with pytest.raises(ExpressionError, match="no value for tile_n"):
        parse("tile_m > tile_n").evaluate({"tile_m": 1})
    with pytest.raises(ExpressionError, match="no column for tile_n"):
        parse("tile_m > tile_n").evaluate_columns({"tile_m": np.array([1])}, 1)


@given(st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    with contextlib.suppress(ExpressionError):
        assert parse(text).text
