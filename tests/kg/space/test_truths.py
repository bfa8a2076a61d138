"""What is remembered of comparisons changes no answer: masks, and of how much of a space an expression is true."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spak.kg.expression import ExpressionError, parse
from spak.kg.expression.columns import Column
from spak.kg.space import truths as remembering
from spak.kg.space.factors import holds
from spak.kg.space.glances import Glances
from spak.kg.space.space import build
from spak.kg.space.truths import Truths
from tests.tuner.searching import FACTS, OP

COUNT = 40
_CODES = np.arange(COUNT) % 4
COLUMNS = {
    "a": Column((1, 2, 4, 8), _CODES.astype(np.int16)),
    "b": Column((False, True), (_CODES // 2).astype(np.int16)),
    "word": Column(("no", "yes", 3), (_CODES % 3).astype(np.int16)),
    "seen": np.where(_CODES == 1, np.inf, _CODES * 10.0),
    "size": 4,
}
_ATOMS = ["a", "not a", "b", "a == 1", "a != 2.0", "a * size > 8", "a / 0 > 1", "word == 'yes'", "word in ['no', 3]"]
_ATOMS += ["word < 4", "seen >= 20", "seen > a", "a > b", "size > 3", "1 > 2", "log2(a) >= 2", "b == 1"]
_EXPRESSIONS = st.recursive(
    st.sampled_from(_ATOMS),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda three: f"({' '.join(three)})"),
        inner.map(lambda one: f"not ({one})"),
    ),
    max_leaves=4,
)


@given(st.lists(_EXPRESSIONS, min_size=1, max_size=4), st.sampled_from([0, 1 << 22]))
@settings(deadline=None, max_examples=150)
def test_an_expression_is_true_where_it_is_when_nothing_is_remembered(texts, room):
    """Whatever was asked before, with room to remember and without."""
    truths = Truths(COLUMNS, COUNT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remembering, "MAX_CELLS", room)
        for text in [*texts, *texts]:
            assert np.array_equal(truths.holds(parse(text)), holds(parse(text), COLUMNS, COUNT)), text


def test_a_name_without_a_column_is_refused():
    with pytest.raises(ExpressionError, match="no column for c"):
        Truths(COLUMNS, COUNT).holds(parse("a == 1 and c > 2"))


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_an_extent_is_what_the_whole_space_says(data):
    """Where a glance decides and where it cannot: one configuration among all, all but one, everything, nothing."""
    space = build(OP, {}, FACTS)
    index = data.draw(st.integers(0, len(space) - 1))
    only = " and ".join(f"{name} == {value!r}" for name, value in space.config(index).items())
    text = data.draw(
        st.sampled_from([only, f"not ({only})", f"({only}) or not ({only})", f"({only}) and not ({only})"])
    )
    truth = space.truth(parse(text)).flat
    expected = "everything" if truth.all() else "something" if truth.any() else "nothing"
    assert space.extent(parse(text)) == expected


_PARAMETERS = {name: parameter.values for name, parameter in OP.parameters.items()}


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_what_parts_all_spaces_at_a_glance_parts_each_of_them(data):
    """Of spaces at several problem sizes; whether an expression is of parameters, of the problem, or of both."""
    sizes = st.fixed_dictionaries({name: st.sampled_from([1, 64, 128]) for name in list(OP.problem)[:1]})
    spaces = [build(OP, problem, FACTS) for problem in data.draw(st.lists(sizes, min_size=1, max_size=3))]
    atoms = [f"{name} == {value!r}" for name, values in _PARAMETERS.items() for value in values]
    atoms += [f"{name} >= 64" for name in list(OP.problem)[:1]]
    text = f" {data.draw(st.sampled_from(['and', 'or']))} ".join(
        data.draw(st.lists(st.sampled_from(atoms), min_size=1, max_size=2))
    )
    if Glances(spaces).parts_all(parse(text)):
        assert {space.extent(parse(text)) for space in spaces} == {"something"}


def test_what_no_space_knows_and_no_space_at_all_are_not_parted():
    name = next(name for name, values in _PARAMETERS.items() if len(values) > 1)
    text = f"{name} == {_PARAMETERS[name][0]!r}"
    space = build(OP, {}, FACTS)
    assert Glances([space, space]).parts_all(parse(text))
    assert not Glances([]).parts_all(parse(text))
    assert not Glances([space]).parts_all(parse("nobody_knows > 1"))
    assert not Glances([space]).parts_all(parse(f"{text} or 1 == 1"))
