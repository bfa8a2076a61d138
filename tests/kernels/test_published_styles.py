"""Whole kernels in the styles people publish run unchanged on the simulator and give NumPy's answer."""

from __future__ import annotations

import numpy as np
import pytest

from spak.kernels import sim
from tests.kernels import styles

RNG = np.random.default_rng(7)
F32 = np.float32


def normal(*shape: int, dtype: type = np.float32) -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


def close(got: np.ndarray, want: np.ndarray, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(got.astype(np.float64), want, rtol=tolerance, atol=tolerance)


def test_vector_add_by_gather_and_scatter() -> None:
    a, b, c = normal(1000), normal(1000), sim.empty((1000,), F32)
    sim.launch(None, (8,), styles.vector_add, (a, b, c, 128))
    close(c, a + b)


def test_transpose_with_tails() -> None:
    x, y = normal(50, 70), sim.empty((70, 50), F32)
    sim.launch(None, (4, 5), styles.transpose, (x, y, 16, 16))
    close(y, x.T)


@pytest.mark.parametrize("blocks", [1, 3, 40])
def test_persistent_swizzled_matmul(blocks: int) -> None:
    a, b, c = normal(100, 70, dtype=np.float16), normal(70, 90, dtype=np.float16), sim.empty((100, 90), np.float16)
    sim.launch(None, (blocks,), styles.matmul_persistent, (a, b, c, 32, 16, 16, 2))
    close(c, a.astype(float) @ b.astype(float), 2e-2)


def test_batched_matmul() -> None:
    a, b, c = normal(3, 40, 33), normal(3, 33, 20), sim.empty((3, 40, 20), F32)
    sim.launch(None, (3, 2, 3), styles.batched_matmul, (a, b, c, 16, 16, 16))
    close(c, a @ b, 1e-4)


def test_softmax_rows() -> None:
    x, y = normal(9, 100), sim.empty((9, 100), F32)
    sim.launch(None, (4,), styles.softmax_rows, (x, y, 9, 128))
    e = np.exp(x - x.max(1, keepdims=True))
    close(y, e / e.sum(1, keepdims=True))


def test_layer_norm_forward() -> None:
    x, w, b, y, mean = normal(5, 100), normal(100), normal(100), sim.empty((5, 100), F32), sim.empty((5,), F32)
    sim.launch(None, (5,), styles.layer_norm, (x, w, b, y, mean, 1e-5, 100, 32))
    close(mean, x.mean(1))
    close(y, (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5) * w + b, 1e-4)


def test_partial_sums_under_a_lock() -> None:
    x, total = normal(13, 30), sim.empty((4, 30), F32)
    locks, count = np.zeros(4, np.int32), np.zeros(4, np.int32)
    sim.launch(None, (13,), styles.column_sums_locked, (x, total, locks, count, 4, 32))
    close(total, np.stack([x[g::4].sum(0) for g in range(4)]))
    assert count.tolist() == [4, 3, 3, 3]


def test_histogram_with_colliding_atomics() -> None:
    x, counts = RNG.integers(0, 10, 500).astype(np.int32), np.zeros(10, np.int32)
    sim.launch(None, (8,), styles.histogram, (x, counts, 64))
    assert counts.tolist() == np.bincount(x, minlength=10).tolist()


def test_rope_in_place() -> None:
    q, angle = normal(2, 3, 5, 16), normal(5, 8)
    want = np.concatenate(
        [
            q[..., :8] * np.cos(angle) - q[..., 8:] * np.sin(angle),
            q[..., 8:] * np.cos(angle) + q[..., :8] * np.sin(angle),
        ],
        axis=-1,
    )
    sim.launch(None, (2, 3, 5), styles.rope, (q, np.cos(angle), np.sin(angle), 8))
    close(q, want)


def test_flash_decode_over_splits() -> None:
    q, k, v = normal(4, 16), normal(4, 100, 16), normal(4, 100, 16)
    part, lse = sim.empty((4, 2, 16), F32), sim.empty((4, 2), F32)
    sim.launch(None, (4, 2), styles.decode_split, (q, k, v, part, lse, 0.25, 16, 16, 4))
    weight = np.exp(lse - lse.max(1, keepdims=True))
    got = (part * (weight / weight.sum(1, keepdims=True))[..., None]).sum(1)
    p = np.exp(0.25 * np.einsum("hd,hnd->hn", q, k))
    close(got, np.einsum("hn,hnd->hd", p / p.sum(1, keepdims=True), v), 1e-4)


def test_dropout_with_an_integer_hash() -> None:
    x, y = normal(1000), sim.empty((1000,), F32)
    sim.launch(None, (8,), styles.dropout, (x, y, 42, 0.75, 128))
    with np.errstate(over="ignore"):
        h = np.arange(1000, dtype=np.uint32) ^ np.uint32(42)
        for _ in range(2):
            h = (h ^ (h >> np.uint32(16))) * np.uint32(0x45D9F3B)
    h = h ^ (h >> np.uint32(16))
    kept = (h >> np.uint32(8)) / 2**24 < 0.75
    close(y, np.where(kept, x / np.float32(0.75), 0))
    assert 0.7 < kept.mean() < 0.8


def test_silu_and_mul() -> None:
    x, y = normal(3, 128), sim.empty((3, 64), F32)
    sim.launch(None, (3, 2), styles.silu_and_mul, (x, y, 32, 2))
    close(y, x[:, :64] / (1 + np.exp(-x[:, :64])) * x[:, 64:])


def test_moe_gather_matmul() -> None:
    x, w, y = normal(20, 24), normal(3, 24, 32), np.zeros((20, 32), F32)
    rows = np.array([*range(8), *range(8, 16), 16, 17, 18, 19, 20, 20, 20, 20], np.int32)  # 20: padding, out of bounds
    experts = np.array([2, 0, 1], np.int32)
    sim.launch(None, (3, 2), styles.moe_matmul, (x, w, rows, experts, y, 8, 16, 8))
    close(y, np.concatenate([x[:8] @ w[2], x[8:16] @ w[0], x[16:] @ w[1]]), 1e-4)


def test_dft_with_complex_numbers_as_pairs() -> None:
    re, im = normal(3, 16), normal(3, 16)
    want = np.fft.fft(re + 1j * im)
    angle = 2 * np.pi * np.outer(np.arange(16), np.arange(16)) / 16
    sim.launch(None, (3,), styles.dft_pairs, (re, im, np.cos(angle).astype(F32), np.sin(angle).astype(F32), 16))
    close(re, want.real, 1e-4)
    close(im, want.imag, 1e-4)


def test_top_k_by_repeated_argmax() -> None:
    x, values, indices = normal(6, 50), sim.empty((6, 4), F32), sim.empty((6, 4), np.int32)
    sim.launch(None, (6,), styles.top_k, (x, values, indices, 4, 64))
    order = np.argsort(-x, axis=1)[:, :4]
    assert (indices == order).all()
    close(values, np.take_along_axis(x, order, 1))


def test_list_of_arrays() -> None:
    arrays, out = [normal(40) for _ in range(3)], sim.empty((40,), F32)
    sim.launch(None, (3,), styles.group_sum, (arrays, out, 16))
    close(out, sum(arrays))


def test_reduction_of_tuples_by_a_function() -> None:
    x, mean, var = normal(4, 64), sim.empty((4,), F32), sim.empty((4,), F32)
    sim.launch(None, (4,), styles.welford, (x, mean, var, 64))
    close(mean, x.mean(1))
    close(var, x.var(1))


@pytest.mark.parametrize("batch", [1, 3, None])
def test_blocks_one_by_one_and_together_give_the_same(batch: int | None) -> None:
    """How many blocks run together changes nothing."""
    rng = np.random.default_rng(3)
    a, b, c = (rng.standard_normal(s).astype(np.float16) for s in ((40, 40), (40, 40), (40, 40)))
    sim.launch(None, (5,), styles.matmul_persistent, (a, b, c, 16, 16, 16, 2), batch=batch)
    close(c, a.astype(float) @ b.astype(float), 2e-2)
