"""Combinations: what is decided of all at once is what is decided of each."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kg.expression import parse
from spak.kg.space.combinations import Combinations

VARIED = {"tile": (32, 64, 128), "warps": (0, 4), "order": ("plain", "early"), "tma": (False, True)}
REST = {"ctas": 2}
KNOWN = {"head_dim": 64, "causal": True}
TEXTS = (
    "tile >= 64",
    "tile * warps > 128",
    "order == 'plain'",
    "tma",
    "ctas == 2",
    "ctas != 2",
    "head_dim >= 128 or tile < 64",
    "registers > 100",
    "registers > 100 or tile == 32",
    "registers > 100 and tile == 32",
    "tile / warps > 16",
    "not tma and causal",
    "log2(warps) >= 0",
    "tile in [32, 128]",
    "hw.num_sms > 4",
)


def one_by_one(required, removed):
    """Each combination for itself, with nothing worked out together."""
    every = [dict(zip(VARIED, values, strict=True)) | REST | KNOWN for values in product(*VARIED.values())]
    feasible = [values for values in every if all(parse(text).partial(values) is not False for text in required)]
    if not feasible:
        return None
    return any(all(parse(text).partial(values) is not True for text in removed) for values in feasible)


@given(st.lists(st.sampled_from(TEXTS), max_size=3), st.lists(st.sampled_from(TEXTS), max_size=3))
def test_what_is_left_of_all_is_what_is_left_of_each(required, removed):
    """Also of expressions that wait for a compiled feature or a fact nobody knows."""
    settings = Combinations(VARIED, REST)
    found = settings.any_left(map(parse, required), map(parse, removed), KNOWN)
    assert found is one_by_one(required, removed)


@pytest.mark.parametrize(
    ("required", "removed", "left"),
    [
        ((), ("tile >= 64", "tile == 32"), False),
        ((), ("tile >= 64", "tile == 32 and registers > 0"), True),
        (("tile >= 64",), ("tile >= 64",), False),
        (("tile >= 64 and registers > 0",), ("tile >= 64",), False),
        (("tile > 128",), (), None),
        ((), (), True),
    ],
)
def test_what_waits_for_a_feature_removes_nothing(required, removed, left):
    """A requirement that waits for one makes nothing infeasible, either."""
    assert Combinations(VARIED, REST).any_left(map(parse, required), map(parse, removed), KNOWN) is left


def test_without_a_parameter_there_is_one_combination():
    """Two laws may name problem parameters only."""
    nothing = Combinations({}, {**REST, **{name: values[0] for name, values in VARIED.items()}})
    assert nothing.any_left((), [parse("head_dim == 64")], KNOWN) is False
    assert nothing.any_left((), [parse("head_dim == 128")], KNOWN) is True
