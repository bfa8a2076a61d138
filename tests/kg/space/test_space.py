"""The feasible space: what is in it, where each configuration is, and how expressions see it."""

from __future__ import annotations

import itertools
import re

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spak.kg.errors import KgError
from spak.kg.expression import parse
from spak.kg.model.op import Condition, Op
from spak.kg.space import factors
from spak.kg.space.completion import complete, completed
from spak.kg.space.masks import union, weighted
from spak.kg.space.space import Setting, Space, build
from tests.shipped import LAWS
from tests.tuner.searching import FACTS, OP

SHIPPED = LAWS.ops


def test_it_holds_exactly_what_satisfies_the_conditions():
    """Enumeration by matrix gives the same configurations, in the same order, as trying every combination by hand."""
    space = build(OP, {}, FACTS)
    names = list(OP.parameters)
    every = itertools.product(*(parameter.values for parameter in OP.parameters.values()))
    expected = [dict(zip(names, row, strict=True)) for row in every if row[0] * row[1] <= 8192]
    assert [space.config(i) for i in range(len(space))] == expected
    assert space.codes.dtype == np.int16


_CONDITIONS = ["a < 3", "a * c <= 2", "b != d or d == 0", "d < e", "size > 2", "not (a == e)", "b + c + d < 4", "c"]


@given(
    st.lists(st.integers(1, 4), min_size=5, max_size=5),
    st.lists(st.sampled_from(_CONDITIONS), max_size=3, unique=True),
    st.data(),
)
@settings(deadline=None, max_examples=60)
def test_a_space_is_what_trying_every_combination_gives(sizes, conditions, data):
    """However conditions tie parameters together: same configurations, order, matrix, masks, places and distances."""
    names = "abcde"
    op = msgspec.convert(
        {
            "id": "any",
            "title": "any",
            "parameters": {
                name: {"values": list(range(size)), "default": 0, "role": "tile", "description": "."}
                for name, size in zip(names, sizes, strict=True)
            },
            "problem": {"size": {"type": "int", "default": 3, "description": "."}},
            "conditions": [{"require": text, "because": "."} for text in conditions],
        },
        type=Op,
    )
    every = [dict(zip(names, row, strict=True)) for row in itertools.product(*map(range, sizes))]
    required = [parse(text) for text in conditions]
    expected = [c for c in every if all(condition.holds({"size": 3, **c}) for condition in required)]
    if not expected:
        with pytest.raises(KgError, match="no configuration"):
            build(op, {})
        return
    space = build(op, {})
    assert [space.config(i) for i in range(len(space))] == expected
    assert [space.index(c) for c in every] == [expected.index(c) if c in expected else None for c in every]
    assert space.codes.tolist() == [list(c.values()) for c in expected]
    some = data.draw(st.lists(st.integers(0, len(space) - 1)))
    assert np.array_equal(space.at(some), space.codes[some])
    assert np.array_equal(space.find(space.codes), np.arange(len(space)))
    nowhere = [row for row in itertools.product(*map(range, sizes)) if list(row) not in space.codes.tolist()]
    assert (space.find(np.array(nowhere, np.int16).reshape(-1, 5)) == -1).all()
    fewer = space.part(some or [0])
    assert [fewer.config(i) for i in range(len(fewer))] == [expected[i] for i in sorted({*some} or {0})]
    asked = parse(data.draw(st.sampled_from(_CONDITIONS)))
    assert space.holds(asked).tolist() == [asked.holds({"size": 3, **c}) for c in expected]
    also = parse(data.draw(st.sampled_from(_CONDITIONS)))
    truths = [space.truth(one) for one in (asked, also)]
    one, two = (mask.flat for mask in truths)
    assert (truths[0] | ~truths[1]).flat.tolist() == (one | ~two).tolist()
    assert (truths[0] & truths[1]).sum() == (one & two).sum()
    assert union(truths, space.shape).flat.tolist() == (one | two).tolist()
    assert weighted(zip(truths, (3, -1), strict=True), space.shape).tolist() == (3 * one - two).tolist()
    assert [truths[0][i] for i in range(len(space))] == one.tolist()
    assert space.having({"b": (0, 2), "d": (1,)}).flat.tolist() == [c["b"] in {0, 2} and c["d"] == 1 for c in expected]
    origin = np.array(data.draw(st.tuples(*(st.integers(0, size - 1) for size in sizes))), np.int16)
    assert space.distance(origin).tolist() == [
        sum(int(o) != v for o, v in zip(origin, c.values(), strict=True)) for c in expected
    ]


def test_conditions_are_asked_of_no_more_than_the_parameters_they_tie_together():
    """Two conditions over three of six parameters leave a space of which a few rows are kept."""
    op = _wide(10, 6)
    tied = [{"require": "p1 <= p2", "because": "."}, {"require": "p4 > 0", "because": "."}]
    space = build(msgspec.structs.replace(op, conditions=tuple(msgspec.convert(tied, type=list[Condition]))), {})
    assert space.shape == (10, 55, 10, 9, 10)
    assert len(space) == 55 * 9 * 1000


def test_parameters_with_one_value_cost_no_axis():
    """NumPy's arrays have at most 64 axes; an op may have more parameters."""
    space = build(_wide(1, 100), {})
    assert len(space) == 1
    assert space.index(space.config(0)) == 0


def test_beyond_the_last_configuration_there_is_none():
    """An index that is too large is an error, not another configuration."""
    space = build(OP, {}, FACTS)
    with pytest.raises(IndexError):
        space.config(len(space))


def test_no_configuration_has_a_value_that_is_not_of_the_space():
    """A law about another kernel's parameter, or another value, matches nothing."""
    space = build(OP, {}, FACTS)
    assert not space.having({"other": (1,)}).any()
    assert not space.having({"m": (48,)}).any()


def test_every_configuration_is_found_where_it_is():
    """`index` is the inverse of `config`."""
    space = build(OP, {}, FACTS)
    every = [space.config(i) for i in range(len(space))]
    assert [space.index(configuration) for configuration in every] == list(range(len(space)))
    assert space.indices([every[2], {}, every[0]]).tolist() == [2, -1, 0]
    assert space.indices([]).tolist() == []


@pytest.mark.parametrize(
    "change",
    [{"m": 128, "n": 128}, {"m": 48}, {"fast": 1}, {"other": 1}],
    ids=["infeasible", "no such value", "a number is no flag", "no such parameter"],
)
def test_what_is_not_of_the_space_has_no_index(change):
    """An infeasible or foreign configuration is not silently mapped to another one."""
    space = build(OP, {}, FACTS)
    foreign = {**space.config(0), **change}
    assert space.index(foreign) is None
    assert space.indices([foreign, space.config(1)]).tolist() == [-1, 1]


def test_the_default_is_a_configuration_unless_infeasible():
    """The default's place is known, and None where a condition forbids it."""
    space = build(OP, {}, FACTS)
    assert space.config(space.default_index) == {"m": 64, "n": 64, "lat": 2, "fast": True}
    assert build(OP, {}, {"most": 2048}).default_index is None


@given(st.sampled_from(["m > n", "lat == 4 or not fast", "m * n * dim > 200000", "hw.most < m * 100", "lat"]))
@settings(deadline=None, max_examples=20)
def test_masks_agree_with_one_configuration_at_a_time(text):
    """The vectorised truth of an expression is the scalar one of every row."""
    space = build(OP, {}, FACTS)
    expression = parse(text)
    scalar = [expression.holds({**space.setting.names, **space.config(i)}) for i in range(len(space))]
    assert space.holds(expression).tolist() == scalar


def test_features_have_no_value_before_compiling():
    """An expression over compiled features is known not to be about the space alone."""
    space = build(OP, {}, FACTS)
    assert space.speaks_of(parse("m > 64 and dim == 64"))
    assert not space.speaks_of(parse("spill_bytes > 0"))


def test_problem_parameters_take_their_defaults_and_strangers_are_refused():
    """A problem is completed from the op, and a name the op does not know is an error that lists those it has."""
    assert complete(OP, {"size": 7}) == {"size": 7, "dim": 64}
    with pytest.raises(KgError, match="no problem parameter 'seq'; it has size, dim"):
        build(OP, {"seq": 1}, FACTS)


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (
            {"heads": 16, "kv_heads": 5},
            "heads % kv_heads == 0 does not hold at heads=16, kv_heads=5: every key and value",
        ),
        ({"head_dim": 8}, "head_dim is at least 16 (got 8)"),
        ({"head_dim": 512}, "head_dim is at most 256 (got 512)"),
        ({"head_dim": "x"}, "head_dim is of type int (got 'x')"),
        ({"causal": 1}, "causal is of type bool (got 1)"),
        ({"dtype": "fp8"}, "dtype is one of fp16, bf16 (got 'fp8')"),
    ],
)
def test_a_problem_beyond_the_op_s_limits_is_refused_in_one_line(problem, words):
    """What no kernel of the op computes is an error before anything is compiled, and says what was expected."""
    with pytest.raises(KgError, match=f"^op 'fmha': {re.escape(words)}"):
        complete(SHIPPED["fmha"], problem)


def test_every_named_problem_of_a_shipped_op_is_within_its_limits():
    """The list of an op and its defaults are problem sizes that its kernels compute."""
    sizes = [(op, problem) for op in SHIPPED.values() for problem in ({}, *op.problems.values())]
    assert all(complete(op, problem).items() >= problem.items() for op, problem in sizes)
    assert len(sizes) > 30


def test_a_recorded_configuration_takes_the_defaults_of_later_parameters():
    """What a record lacks is the op's default, in the op's order; what the op does not know is kept for the caller to judge."""
    defaults = {name: parameter.default for name, parameter in OP.parameters.items()}
    last = list(defaults)[-1]
    assert list(completed(OP, {last: 32}).items()) == [*list(defaults.items())[:-1], (last, 32)]
    assert completed(OP, {"odd": 1}) == {**defaults, "odd": 1}


def test_an_op_without_parameters_or_without_a_feasible_configuration_is_refused():
    """A grouping op has nothing to search, and an empty space says at which problem size."""
    with pytest.raises(KgError, match="only groups"):
        build(msgspec.convert({"id": "g", "title": "g"}, type=Op), {})
    with pytest.raises(KgError, match=r"no configuration of 'toy' .* at size=1024, dim=64"):
        build(OP, {}, {"most": 1})


def _wide(count: int, parameters: int) -> Op:
    entry = {"values": list(range(count)), "default": 0, "role": "tile", "description": "."}
    return msgspec.convert(
        {"id": "wide", "title": "w", "parameters": {f"p{i}": entry for i in range(parameters)}}, type=Op
    )


def test_a_million_configurations_are_one_matrix():
    """A space of a million is enumerated whole, and its last configuration is found again."""
    space = build(_wide(10, 6), {})
    assert len(space) == 10**6
    assert space.index(space.config(999_999)) == 999_999


def test_chunks_join_without_seam(monkeypatch):
    """How many rows are looked at together does not change what is found."""
    whole = build(OP, {}, FACTS)
    monkeypatch.setattr(factors, "CHUNK", 7)
    assert np.array_equal(build(OP, {}, FACTS).codes, whole.codes)


def test_a_product_beyond_reach_is_refused_at_once():
    """An op that spans more than can be enumerated says so instead of hanging."""
    with pytest.raises(KgError, match="narrow its values"):
        build(_wide(100, 9), {})


def test_a_record_of_more_combinations_than_64_bits_count_is_searched_exactly():
    """Thirteen parameters of sixty values: places in the product wrapped around, so that rows were not found again."""
    rng = np.random.default_rng(0)
    codes = np.unique(rng.integers(0, 60, (300, 13)), axis=0).astype(np.int16)
    names = tuple(f"p{place}" for place in range(13))
    wide = Space("o", Setting({}), names, (tuple(range(60)),) * 13, {}, (codes,))
    assert [wide.index(wide.config(place)) for place in range(len(wide))] == list(range(len(wide)))
    assert wide.find(codes).tolist() == list(range(len(wide)))
    assert wide.index(dict.fromkeys(names, 59)) is None
