"""The online-softmax invariant against float64, over tilings, orders, masks and extreme scores."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spak.kernels.attention import online_softmax as osm


def problem(seed: int, *, rows: int, keys: int, scale: float = 1.0, share_masked: float = 0.3) -> tuple[NDArray, ...]:
    rng = np.random.default_rng(seed)
    scores = (rng.standard_normal((rows, keys)) * scale).astype(np.float32)
    values = rng.standard_normal((keys, 5)).astype(np.float32)
    return scores, values, rng.random((rows, keys)) >= share_masked


def tiling(seed: int, keys: int) -> list[NDArray]:
    """The keys in a random order, cut at random places."""
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.integers(0, keys + 1, size=rng.integers(0, 6)))
    return [tile for tile in np.split(rng.permutation(keys), cuts) if len(tile)]


def close(state: osm.State, expected: NDArray) -> None:
    np.testing.assert_allclose(osm.finish(state), expected, rtol=2e-5, atol=2e-5)


@settings(deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 9),
    st.integers(1, 40),
    st.sampled_from([1e-3, 1.0, 30.0, 1e4, 1e15]),
    st.sampled_from([0.0, 0.3, 0.95, 1.0]),
)
def test_any_tiling_in_any_order_is_softmax(seed: int, rows: int, keys: int, scale: float, masked: float) -> None:
    """Tiles of any size in any order give float64 softmax, for scores up to 1e15 and with rows wholly masked."""
    scores, values, visible = problem(seed, rows=rows, keys=keys, scale=scale, share_masked=masked)
    expected = osm.exact_softmax(scores, values, visible)
    close(osm.attend(scores, values, visible, tiling(seed, keys)), expected)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 40), st.sampled_from([1.0, 50.0]))
def test_state_is_what_its_docstring_says(seed: int, keys: int, scale: float) -> None:
    """After every tile, m_i, l_i and acc are the maximum and the sums over the keys seen so far."""
    scores, values, visible = problem(seed, rows=4, keys=keys, scale=scale, share_masked=0.0)
    tiles = tiling(seed, keys)
    for count in range(1, len(tiles) + 1):
        seen = np.concatenate(tiles[:count])
        state = osm.attend(scores, values, visible, tiles[:count])
        m = scores[:, seen].max(axis=1)
        p = np.exp(scores[:, seen].astype(np.float64) - m[:, None])
        assert (state.m_i == m).all()
        np.testing.assert_allclose(state.l_i, p.sum(axis=1), rtol=1e-5)
        np.testing.assert_allclose(state.acc, p @ values[seen], rtol=1e-4, atol=1e-5)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(3, 40), st.sampled_from([0.3, 0.95]))
def test_merging_parts_is_associative_and_commutative(seed: int, keys: int, masked: float) -> None:
    """Split-KV: states of disjoint keys merge to the same result from the left, from the right and reversed."""
    scores, values, visible = problem(seed, rows=3, keys=keys, scale=10.0, share_masked=masked)
    parts = [osm.attend(scores, values, visible, [tile]) for tile in tiling(seed, keys)]
    expected = osm.exact_softmax(scores, values, visible)
    close(reduce(osm.merge, parts), expected)
    close(reduce(lambda right, left: osm.merge(left, right), reversed(parts)), expected)
    close(reduce(osm.merge, reversed(parts)), expected)


def test_no_keys_is_the_unit_of_merge() -> None:
    """The empty state changes nothing, on either side."""
    scores, values, visible = problem(1, rows=3, keys=8, share_masked=0.0)
    state = osm.attend(scores, values, visible, [np.arange(8)])
    for merged in (osm.merge(osm.start(3, 5), state), osm.merge(state, osm.start(3, 5))):
        np.testing.assert_array_equal(merged.acc, state.acc)
        np.testing.assert_array_equal(merged.l_i, state.l_i)


@pytest.mark.parametrize("first_tile_masked", [True, False])
def test_minus_infinity_gives_nan_where_the_floor_does_not(first_tile_masked: bool) -> None:
    """A row whose first tile is wholly masked is NaN for ever under -inf, and right under the floor."""
    scores, values, _ = problem(2, rows=2, keys=8)
    visible = np.ones((2, 8), dtype=bool)
    visible[0, slice(0, 4) if first_tile_masked else slice(4, 8)] = False
    tiles = [np.arange(4), np.arange(4, 8)]
    broken = osm.finish(osm.attend(scores, values, visible, tiles, floor=-np.inf), floor=-np.inf)
    assert np.isnan(broken[0]).all() == first_tile_masked
    assert not np.isnan(broken[1]).any()
    close(osm.attend(scores, values, visible, tiles), osm.exact_softmax(scores, values, visible))


def test_wholly_masked_row_is_zero_under_the_floor_and_nan_under_minus_infinity() -> None:
    """No visible key: 0 by decision with the floor; the sums are NaN with -inf."""
    scores, values, _ = problem(3, rows=1, keys=8)
    visible = np.zeros((1, 8), dtype=bool)
    assert (osm.finish(osm.attend(scores, values, visible, [np.arange(8)])) == 0).all()
    assert np.isnan(osm.attend(scores, values, visible, [np.arange(8)], floor=-np.inf).l_i).all()


def test_what_was_accumulated_at_the_floor_vanishes() -> None:
    """Masked keys before the first visible one leave no trace: exp(floor - m) is exactly 0."""
    scores, values, _ = problem(4, rows=1, keys=8)
    visible = np.array([[False] * 4 + [True] * 4])
    late = osm.attend(scores, values, visible, [np.arange(4), np.arange(4, 8)])
    only = osm.attend(scores[:, 4:], values[4:], visible[:, 4:], [np.arange(4)])
    np.testing.assert_array_equal(late.l_i, only.l_i)
    np.testing.assert_array_equal(late.acc, only.acc)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 40), st.sampled_from([1e-3, 1.0, 10.0, 100.0]), st.floats(-5, 5))
def test_a_reference_that_is_not_the_maximum_gives_softmax_or_is_found_out(
    seed: int, keys: int, scale: float, off: float
) -> None:
    """Later tiles under the first tile's maximum, or one beside it: right wherever l_i is below the limit, and every
    row with a weight above the limit is among those that are not."""
    limit = 60000.0
    scores, values, visible = problem(seed, rows=6, keys=keys, scale=scale, share_masked=0.0)
    tiles = tiling(seed, keys)
    state = osm.attend(scores, values, visible, tiles[:1])
    state = osm.merge(state, osm.State(state.m_i + np.float32(off), 0 * state.l_i, 0 * state.acc))
    anchor = state.m_i.copy()
    for tile in tiles[1:]:
        state = osm.add(state, scores[:, tile], values[tile], visible[:, tile])
    assert (state.m_i == anchor).all()
    fits = state.l_i < limit
    too_large = np.exp(scores.astype(np.float64).max(axis=1) - anchor) >= limit
    assert not (fits & too_large).any()
    expected = osm.exact_softmax(scores, values, visible)
    np.testing.assert_allclose(osm.finish(state)[fits], expected[fits], rtol=5e-5, atol=5e-5)
