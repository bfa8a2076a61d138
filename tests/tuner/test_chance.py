"""Permutations and ties: chance that a seed fixes."""

from __future__ import annotations

import ast
from collections import Counter
from itertools import islice, product
from pathlib import Path

import numpy as np
import pytest

from spak.tuner import chance
from spak.tuner.chance import Purpose, Ties, permutation, shuffled, stream

ROOT = Path(__file__).parents[2]


def test_no_two_streams_coincide():
    """Whatever the seed and however often a purpose began anew, each stream is its own; asked again, it is the same."""
    asked = list(product(range(4), Purpose, range(4)))
    assert len({stream(*each).bytes(16) for each in asked}) == len(asked)
    assert stream(7, Purpose.STRATEGY, 1).bytes(16) == stream(7, Purpose.STRATEGY, 1).bytes(16)


def test_nobody_else_makes_a_generator():
    """A raw seed list is how the strategy and the challengers once came to draw the same permutation."""
    makers = {"default_rng", "SeedSequence", "RandomState", "Generator", "PCG64"}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("tuner", "cli")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in makers
    ]
    assert {line.partition(":")[0] for line in found} == {"tuner/chance.py"}


@pytest.mark.parametrize("count", [0, 1, 2, 1000, 70_000])
def test_a_permutation_is_numpys_own(count):
    """Searches recorded with the library's permutation are repeated by the narrower one, and what is drawn next too."""
    ours, theirs = np.random.default_rng(3), np.random.default_rng(3)
    assert np.array_equal(permutation(ours, count), theirs.permutation(count))
    assert ours.random() == theirs.random()


def test_a_small_order_is_a_permutation_and_a_large_one_is_drawn_as_far_as_it_is_asked_for(monkeypatch):
    """Of 10^15 numbers the first thousand are all different and anywhere; of a few, all come, each first equally often."""
    ours, theirs = np.random.default_rng(3), np.random.default_rng(3)
    assert list(shuffled(ours, 1000)) == theirs.permutation(1000).tolist()
    assert ours.random() == theirs.random()
    first = list(islice(shuffled(np.random.default_rng(1), 10**15), 1000))
    assert len(set(first)) == 1000
    assert 0.4 < np.mean(first) / 10**15 < 0.6  # 0.5 within ten standard deviations
    assert first == list(islice(shuffled(np.random.default_rng(1), 10**15), 1000))
    monkeypatch.setattr(chance, "WHOLE", 0)
    orders = [tuple(shuffled(np.random.default_rng(seed), 4)) for seed in range(2400)]
    assert {tuple(sorted(order)) for order in orders} == {(0, 1, 2, 3)}
    counts = Counter(orders)
    assert len(counts) == 24
    assert all(50 < count < 160 for count in counts.values())  # 100 each, within five standard deviations


def test_ties_are_a_random_order_that_does_not_depend_on_what_is_asked():
    """All places differ, a subset keeps its order, seeds differ, and the first quarter is nobody's favourite."""
    every = np.arange(4096)
    ties = Ties(np.random.default_rng(1))
    places = ties.places(every)
    assert len(set(places.tolist())) == len(every)
    assert np.array_equal(ties.places(every[5:9]), places[5:9])
    assert ties.first(every) == int(np.argmin(places))
    firsts = [Ties(np.random.default_rng(seed)).first(every) for seed in range(400)]
    share = sum(first < 1024 for first in firsts) / len(firsts)
    assert 0.17 < share < 0.33  # 0.25 within four standard deviations of 400 draws
