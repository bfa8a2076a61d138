"""Operations that few kernels use: views, sparse loads, raw memory, bytes, scaled products, every atomic, rounding modes."""

from __future__ import annotations

import cuda.tile as ct
import ml_dtypes
import numpy as np
import pytest

from spak.kernels import sim

C = ct.Constant[int]
I32, F32 = np.int32, np.float32


def test_tiled_view_with_overlapping_steps() -> None:
    """A view whose tiles overlap reads from index * step."""

    @ct.kernel
    def kernel(X, Y):
        view = X.tiled_view((8,), padding_mode=ct.PaddingMode.ZERO, traversal_steps=(4,))
        ct.store(Y, (ct.bid(0), 0), view.load((ct.bid(0),)).reshape((1, 8)))

    x, y = np.arange(20, dtype=F32), sim.empty((5, 8), F32)
    sim.launch(None, (5,), kernel, (x, y))
    padded = np.r_[x, np.zeros(8, F32)]
    np.testing.assert_array_equal(y, np.stack([padded[4 * i : 4 * i + 8] for i in range(5)]))


def test_sparse_rows_by_advanced_indexing() -> None:
    """Rows by index and a dense slice of columns, padded beyond the array."""

    @ct.kernel
    def kernel(X, R, Y, start: int):
        rows = ct.load(R, (0,), (4,))
        tile = ct.load_advanced_indexing(X, (rows, ct.Slice(start, 4)), padding_mode=ct.PaddingMode.ZERO)
        ct.store(Y, (0, 0), tile)

    x, y = np.arange(48, dtype=I32).reshape(8, 6), sim.empty((4, 4), I32)
    sim.launch(None, (1,), kernel, (x, np.array([5, 0, 7, 9], I32), y, 3))
    want = np.zeros((4, 4), I32)
    want[:3, :3] = x[[5, 0, 7], 3:]
    np.testing.assert_array_equal(y, want)


def test_array_slice_moves_the_base() -> None:
    """A slice of an array has its own bounds."""

    @ct.kernel
    def kernel(X, Y, start: int, stop: int):
        part = X.slice(axis=0, start=start, stop=stop)
        ct.store(Y, (0,), ct.load(part, (0,), (8,), padding_mode=ct.PaddingMode.ZERO))

    y = sim.empty((8,), I32)
    sim.launch(None, (1,), kernel, (np.arange(20, dtype=I32), y, 5, 10))
    assert y.tolist() == [5, 6, 7, 8, 9, 0, 0, 0]


def test_raw_memory_by_offset() -> None:
    """Loads by element offset; without a mask an offset beyond the array is an error."""

    @ct.kernel
    def kernel(X, Y, shift: int):
        memory = X.get_raw_memory()
        ct.store(Y, (0,), memory.load_offset(ct.arange(8, dtype=ct.int32) + shift))

    x, y = np.arange(10, dtype=I32), sim.empty((8,), I32)
    sim.launch(None, (1,), kernel, (x, y, 2))
    assert y.tolist() == list(range(2, 10))
    with pytest.raises(sim.SimulatorError, match="out of bounds of X"):
        sim.launch(None, (1,), kernel, (x, y, 3))


def test_bytes_and_back() -> None:
    """pack_to_bytes is little-endian and unpack_from_bytes undoes it."""

    @ct.kernel
    def kernel(X, Y, Z):
        packed = ct.pack_to_bytes(ct.load(X, (0,), (4,)))
        ct.store(Y, (0,), packed)
        ct.store(Z, (0,), ct.unpack_from_bytes(packed, ct.int32))

    x, y, z = np.array([1, -2, 3 << 20, 7], I32), sim.empty((16,), np.uint8), sim.empty((4,), I32)
    sim.launch(None, (1,), kernel, (x, y, z))
    np.testing.assert_array_equal(y, x.view(np.uint8))
    np.testing.assert_array_equal(z, x)


def test_scaled_matrix_product() -> None:
    """fp8 operands with a power-of-two scale for each 32 of K."""

    @ct.kernel
    def kernel(A, SA, B, SB, D):
        a, b = ct.load(A, (0, 0), (16, 64)), ct.load(B, (0, 0), (64, 16))
        sa, sb = ct.load(SA, (0, 0), (16, 2)), ct.load(SB, (0, 0), (2, 16))
        ct.store(D, (0, 0), ct.mma_scaled(a, sa, b, sb, ct.zeros((16, 16), ct.float32)))

    rng = np.random.default_rng(0)
    a, b = (rng.integers(-4, 5, s).astype(ml_dtypes.float8_e4m3fn) for s in ((16, 64), (64, 16)))
    sa, sb = (2.0 ** rng.integers(-2, 3, s) for s in ((16, 2), (2, 16)))
    d = sim.empty((16, 16), F32)
    e8 = ml_dtypes.float8_e8m0fnu
    sim.launch(None, (1,), kernel, (a, sa.astype(e8), b, sb.astype(e8), d))
    want = (a.astype(float) * np.repeat(sa, 32, 1)) @ (b.astype(float) * np.repeat(sb, 32, 0))
    np.testing.assert_allclose(d, want, rtol=1e-6)


@ct.kernel
def atomic_kernel(X, Old, OP: C):
    i, v = ct.arange(8, dtype=ct.int32) % 2, ct.arange(8, dtype=ct.int32) + 1
    if OP == 0:
        old = ct.atomic_add(X, i, v)
    elif OP == 1:
        old = ct.atomic_max(X, i, v)
    elif OP == 2:
        old = ct.atomic_min(X, i, v)
    elif OP == 3:
        old = ct.atomic_and(X, i, v)
    elif OP == 4:
        old = ct.atomic_or(X, i, v)
    elif OP == 5:
        old = ct.atomic_xor(X, i, v)
    elif OP == 6:
        old = ct.atomic_xchg(X, i, v)
    else:
        old = ct.atomic_cas(X, i, v + 1, v)
    ct.store(Old, (0,), old)


@pytest.mark.parametrize("op", range(8))
def test_atomics_on_colliding_places_return_old_values(op: int) -> None:
    """Each atomic acts as if its elements came one after another."""
    update = [
        lambda o, v: o + v, max, min, lambda o, v: o & v, lambda o, v: o | v, lambda o, v: o ^ v,
        lambda _, v: v, lambda o, v: v if o == v + 1 else o,
    ][op]  # fmt: skip
    x, old = np.array([6, 3], I32), sim.empty((8,), I32)
    model, seen = [6, 3], []
    for e in range(8):
        seen.append(model[e % 2])
        model[e % 2] = update(model[e % 2], e + 1)
    sim.launch(None, (1,), atomic_kernel, (x, old, op))
    assert x.tolist() == model
    assert old.tolist() == seen


def test_directed_rounding_brackets_the_nearest() -> None:
    """Down, to zero, up: the quotient lies between, each at most one unit away."""

    @ct.kernel
    def kernel(X, Y, D, Z, U):
        x, y = ct.load(X, (0,), (32,)), ct.load(Y, (0,), (32,))
        ct.store(D, (0,), ct.truediv(x, y, rounding_mode=ct.RoundingMode.RM))
        ct.store(Z, (0,), ct.truediv(x, y, rounding_mode=ct.RoundingMode.RZ))
        ct.store(U, (0,), ct.truediv(x, y, rounding_mode=ct.RoundingMode.RP))

    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(32).astype(F32) for _ in range(2))
    down, zero, up = (sim.empty((32,), F32) for _ in range(3))
    sim.launch(None, (1,), kernel, (x, y, down, zero, up))
    exact = x.astype(np.float64) / y.astype(np.float64)
    assert (down <= exact).all()
    assert (up >= exact).all()
    np.testing.assert_array_equal(np.nextafter(down, F32(np.inf)), up)
    np.testing.assert_array_equal(zero, np.where(exact > 0, down, up))


def test_flush_to_zero_and_powers() -> None:
    """A subnormal result is 0 where the kernel asks for it and kept where not."""

    @ct.kernel
    def kernel(X, Y, Z, P):
        x = ct.load(X, (0,), (4,))
        ct.store(Y, (0,), ct.mul(x, x, flush_to_zero=True))
        ct.store(Z, (0,), x * x)
        ct.store(P, (0,), ct.pow(x, 3.0))

    x = np.array([1e-20, 1e-3, 2, 0.5], F32)
    y, z, p = (sim.empty((4,), F32) for _ in range(3))
    sim.launch(None, (1,), kernel, (x, y, z, p))
    assert y[0] == 0
    assert z[0] > 0
    np.testing.assert_allclose(p[1:], x[1:] ** 3, rtol=1e-6)


def test_hung_loop_is_reported() -> None:
    """A loop that waits for what no earlier block writes ends with an error, not never."""

    @ct.kernel
    def kernel(X):
        while ct.atomic_add(X, ct.bid(0), 0) == 0:
            pass

    from spak.kernels.sim import machine

    assert machine.MAX_SPINS > 1000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "MAX_SPINS", 50)
        with pytest.raises(sim.SimulatorError, match="no end after 50 turns"):
            sim.launch(None, (1,), kernel, (np.zeros(1, I32),))
