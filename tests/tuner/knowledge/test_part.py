"""The part of a space that a model is asked about."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from spak.kg.model.op import Op
from spak.kg.space.space import build
from spak.tuner.knowledge import part as parts
from spak.tuner.knowledge.part import part
from spak.tuner.knowledge.source import Source

ENTRY = {"values": list(range(6)), "default": 2, "role": "tile", "description": "."}
OP = msgspec.convert(
    {
        "id": "wide",
        "title": "w",
        "parameters": {f"p{i}": ENTRY for i in range(5)},
        "conditions": [{"require": "p0 + p1 < 9", "because": "."}],
    },
    type=Op,
)
SPACE = build(OP, {})


def source(*times: tuple[int, float]) -> Source:
    rows, slowdown = zip(*times, strict=True)
    return Source("card", {}, np.array(rows, np.int64), np.array(slowdown))


def differing(a: int, b: int) -> int:
    return int((SPACE.codes[a] != SPACE.codes[b]).sum())


def test_a_space_that_is_small_enough_is_its_own_part():
    assert part(SPACE, [source((3, 0.0))], np.random.default_rng(0)) is SPACE


def test_a_part_holds_the_default_what_was_recorded_what_is_near_its_best_and_chance(monkeypatch):
    """All of the same space: each configuration of the part is one of the whole, and laws see the same names."""
    monkeypatch.setattr(parts, "BEST", 1)
    worst, best = 17, 4000
    found = part(SPACE, [source((worst, 2.0), (best, 0.0))], np.random.default_rng(0), most=1500)
    held = {SPACE.index(found.config(i)) for i in range(len(found))}
    assert None not in held
    assert {SPACE.default_index, worst, best} <= held
    assert 1200 < len(found) <= 1500
    near = {i for i in range(len(SPACE)) if differing(i, best) <= 1}
    assert len(near & held) > 0.8 * len(near)
    far = [i for i in held if min(differing(i, one) for one in (best, worst, SPACE.default_index)) > 2]
    assert len(far) > 300
    assert found.default_index is not None


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_gives_the_same_part(seed):
    one, other = (part(SPACE, [], np.random.default_rng(seed), most=700) for _ in range(2))
    assert np.array_equal(one.codes, other.codes)
    assert not np.array_equal(one.codes, part(SPACE, [], np.random.default_rng(seed + 1), most=700).codes)


def test_what_a_resumed_search_tried_is_in_the_part_and_leaves_the_rest_as_it_was():
    """Otherwise finished trials were dropped where the recorded runs changed since, and paid for again."""
    before = part(SPACE, [], np.random.default_rng(0), most=700)
    lost = next(i for i in range(len(SPACE)) if before.index(SPACE.config(i)) is None)
    after = part(SPACE, [], np.random.default_rng(0), [lost], 700)
    assert after.index(SPACE.config(lost)) is not None
    assert len(after) == len(before) + 1
    held = SPACE.index(before.config(5))
    assert held is not None
    assert np.array_equal(part(SPACE, [], np.random.default_rng(0), [held], 700).codes, before.codes)


def test_everything_recorded_is_in_the_part_however_much():
    """A model learns from it; only what is beside it is limited."""
    rows = range(0, len(SPACE), 10)
    found = part(SPACE, [source(*((row, 1.0) for row in rows))], np.random.default_rng(0), most=100)
    assert {SPACE.index(found.config(i)) for i in range(len(found))} >= set(rows)
