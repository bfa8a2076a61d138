"""The online-softmax recurrence in NumPy: the invariant that every attention kernel here rests on.

After any set of keys, a state holds, for each row, m_i = max of their scores, l_i = sum exp(s - m_i) and
acc = sum exp(s - m_i) v. A further tile, or the state of other keys, is merged by rescaling both sides to the new maximum;
the merge is associative and commutative, so keys may be taken in any order, in tiles of any size, and in parts.
Dividing acc by l_i once, at the end, gives softmax(scores) @ values.

The maximum starts at a floor, and masked scores are set to it. With -inf as the floor a tile without one visible key gives
(-inf) - (-inf) = NaN in the rescaling; with a finite floor such as -1e20 the difference is 0, what was accumulated at the
floor is rescaled by exp(floor - m) = 0 as soon as a visible key arrives, and a row that never sees one is told by
m_i == floor.

m_i need not be the maximum: any reference gives the same quotient, as long as nothing overflows (`add`). Then nothing has to be
rescaled, and a bound on l_i tells afterwards whether every weight was small enough.

Source: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018, section 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.floating[Any]]
_FLOOR = -1.0e20
"""The mask floor; finite in float32 and below every score that can occur."""


@dataclass(frozen=True)
class State:
    """What is known of some keys.

    Attributes:
        m_i: (M,) maximum score of each row, or the floor.
        l_i: (M,) sum of exp(score - m_i).
        acc: (M, D) sum of exp(score - m_i) times value.
    """

    m_i: _Floats
    l_i: _Floats
    acc: _Floats


def start(num_rows: int, width: int, *, floor: float = _FLOOR, dtype: Any = np.float32) -> State:
    """The state of no keys."""
    return State(np.full(num_rows, floor, dtype), np.zeros(num_rows, dtype), np.zeros((num_rows, width), dtype))


def update(
    state: State, scores: _Floats, values: _Floats, visible: NDArray[np.bool_], *, floor: float = _FLOOR
) -> State:
    """The state after one more tile of keys.

    Args:
        state: Of the keys so far.
        scores: (M, N).
        values: (N, D).
        visible: (M, N), false where a row must not see a key.
        floor: What masked scores are set to.
    """
    masked = np.where(visible, scores, scores.dtype.type(floor))
    m_new = np.maximum(state.m_i, masked.max(axis=1))
    with np.errstate(invalid="ignore", under="ignore"):
        p = np.exp(masked - m_new[:, None])
        alpha = np.exp(state.m_i - m_new)
        return State(m_new, state.l_i * alpha + p.sum(axis=1), state.acc * alpha[:, None] + p @ values)


def add(state: State, scores: _Floats, values: _Floats, visible: NDArray[np.bool_], *, floor: float = _FLOOR) -> State:
    """The state after one more tile of keys, m_i kept: no maximum is taken and nothing rescaled.

    No weight of a row exceeds its l_i, so l_i below the largest number of a type proves that the type held them all.
    Arguments as for `update`.
    """
    masked = np.where(visible, scores, scores.dtype.type(floor))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        p = np.exp(masked - state.m_i[:, None])
        return State(state.m_i, state.l_i + p.sum(axis=1), state.acc + p @ values)


def merge(left: State, right: State) -> State:
    """The state of the keys of both."""
    m_new = np.maximum(left.m_i, right.m_i)
    with np.errstate(invalid="ignore", under="ignore"):
        a, b = np.exp(left.m_i - m_new), np.exp(right.m_i - m_new)
        acc = left.acc * a[:, None] + right.acc * b[:, None]
        return State(m_new, left.l_i * a + right.l_i * b, acc)


def finish(state: State, *, floor: float = _FLOOR) -> _Floats:
    """(M, D) softmax-weighted values; rows that saw no key are 0."""
    saw_key = state.m_i > floor
    with np.errstate(invalid="ignore"):
        out: _Floats = np.where(saw_key[:, None], state.acc / np.where(saw_key, state.l_i, 1.0)[:, None], 0.0)
    return out


def attend(
    scores: _Floats,
    values: _Floats,
    visible: NDArray[np.bool_],
    tiles: Iterable[NDArray[np.integer[Any]]],
    *,
    floor: float = _FLOOR,
) -> State:
    """The state after tiles of keys, each given by the indices of its keys, in their order."""
    state = start(scores.shape[0], values.shape[1], floor=floor, dtype=scores.dtype)
    for keys in tiles:
        state = update(state, scores[:, keys], values[keys], visible[:, keys], floor=floor)
    return state


def exact_softmax(scores: _Floats, values: _Floats, visible: NDArray[np.bool_]) -> NDArray[np.float64]:
    """softmax(scores) @ values over the visible keys, in float64; rows that see no key are 0."""
    exact = np.where(visible, scores.astype(np.float64), -np.inf)
    top = exact.max(axis=1, keepdims=True)
    p = np.exp(exact - np.where(np.isfinite(top), top, 0.0))
    total = p.sum(axis=1, keepdims=True)
    out: NDArray[np.float64] = p / np.where(total > 0, total, 1.0) @ values.astype(np.float64)
    return out
