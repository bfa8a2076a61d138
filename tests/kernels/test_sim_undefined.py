"""What a GPU would leave undefined is an error on the simulator, with the reason; and the rarer forms of defined things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cuda.tile as ct
import numpy as np
import pytest

from spak.kernels import sim

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")


@ct.kernel
def divide(X, Y):
    ct.store(Y, (0,), ct.load(X, (0,), (4,)) // ct.load(Y, (0,), (4,)))


@ct.kernel
def shift(X, Y):
    ct.store(Y, (0,), ct.load(X, (0,), (4,)) << ct.load(Y, (0,), (4,)))


@ct.kernel
def to_bytes(X, Y):
    ct.store(Y, (0,), ct.load(X, (0,), (4,)).astype(ct.int8))


@ct.kernel
def stepping(X, Y):
    total = 0
    for j in range(0, 4, ct.load(X, (0,), ()).item()):
        total += j
    ct.store(Y, (0,), total)


@ct.kernel
def part(X, Y):
    ct.store(Y, (0,), ct.extract(ct.load(X, (0,), (4,)), (ct.load(X, (0,), ()).item(),), (2,)))


I32, F32 = np.int32, np.float32


@pytest.mark.parametrize(
    ("kernel", "x", "y", "words"),
    [
        (divide, np.ones(4, I32), np.array([1, 2, 0, 3], I32), "integer division by zero"),
        (shift, np.ones(4, I32), np.array([1, 2, 32, 3], I32), "shift by a count that is negative or not less than"),
        (shift, np.ones(4, I32), np.array([1, 2, -1, 3], I32), "shift by a count that is negative or not less than"),
        (to_bytes, np.array([1, 2, 300, 4], F32), np.zeros(4, np.int8), "out of range\\) has no int8"),
        (to_bytes, np.array([1, 2, np.nan, 4], F32), np.zeros(4, np.int8), "out of range\\) has no int8"),
        (stepping, np.zeros(4, I32), np.zeros(4, I32), "the step of a loop must be positive"),
        (part, np.full(4, 2, I32), np.zeros(2, I32), "sub-tile 2 of size 2 lies outside a tile of size 4"),
    ],
)
def test_undefined_behaviour_stops_the_launch(kernel: Any, x: Any, y: Any, words: str) -> None:
    """One element is enough, wherever it is."""
    with pytest.raises(sim.SimulatorError, match=words):
        sim.launch(None, (1,), kernel, (x, y))


def test_the_same_kernels_compute_where_it_is_defined() -> None:
    """The errors above are of the values, not of the operations."""
    for kernel, x, y, want in [
        (divide, [7, -7, 8, 9], [2, 2, 4, 3], [3, -4, 2, 3]),
        (shift, [1, 1, 1, 3], [0, 4, 31, 1], [1, 16, -(2**31), 6]),
        (stepping, [2, 0, 0, 0], [0, 5, 5, 5], [2, 5, 5, 5]),
        (part, [1, 0, 6, 7], [0, 0], [6, 7]),
    ]:
        out = np.array(y, I32)
        sim.launch(None, (1,), kernel, (np.array(x, I32), out))
        assert out.tolist() == want
    out = np.zeros(4, np.int8)
    sim.launch(None, (1,), to_bytes, (np.array([1.9, -1.9, 127.5, -128.9], F32), out))
    assert out.tolist() == [1, -1, 127, -128]


def test_powers_and_truth() -> None:
    """An integer power of a float, and a float as a truth: what is not zero, NaN too."""

    @ct.kernel
    def kernel(X, P, B):
        x = ct.load(X, (0,), (4,))
        ct.store(P, (0,), x**3)
        ct.store(B, (0,), x.astype(ct.bool_))

    x = np.array([0, -2, 0.5, np.nan], F32)
    powers, truth = sim.empty((4,), F32), np.zeros(4, np.bool_)
    sim.launch(None, (1,), kernel, (x, powers, truth))
    np.testing.assert_array_equal(powers, x**3)
    assert truth.tolist() == [False, True, True, True]


def test_tiles_print_in_brackets() -> None:
    """Each element in C's form, and a percent sign."""

    @ct.kernel
    def kernel(X, Y):
        ct.printf("%d is 100%%, %.1f\n", ct.load(X, (0,), (2,)), ct.load(Y, (0, 0), (2, 2)))

    out: list[str] = []
    sim.launch(None, (1,), kernel, (np.array([1, 2], I32), np.arange(4, dtype=F32).reshape(2, 2)), write=out.append)
    assert "".join(out) == "[1, 2] is 100%, [[0.0, 1.0], [2.0, 3.0]]\n"


@dataclass(frozen=True)
class Pair:
    x: Any
    y: Any


def test_lists_and_empty_arrays() -> None:
    """A list is indexed within its length and holds arrays alone; an empty array is one that nothing is read from."""

    @ct.kernel
    def of_list(xs, i: int, Y):
        ct.store(Y, (0,), ct.load(xs[i], (0,), (4,)))

    xs, y = [np.arange(4, dtype=F32), np.arange(4, 8, dtype=F32)], sim.empty((4,), F32)
    sim.launch(None, (1,), of_list, (xs, 1, y))
    assert y.tolist() == [4, 5, 6, 7]
    with pytest.raises(sim.SimulatorError, match="index 2 out of a list of 2 arrays"):
        sim.launch(None, (1,), of_list, (xs, 2, y))
    with pytest.raises(sim.SimulatorError, match="must hold arrays"):
        sim.launch(None, (1,), of_list, ([], 0, y))

    @ct.kernel
    def padded(X, Y):
        ct.store(Y, (0,), ct.load(X, (0,), (4,), padding_mode=ct.PaddingMode.ZERO))

    sim.launch(None, (1,), padded, (np.zeros(0, F32), y))
    assert y.tolist() == [0, 0, 0, 0]


def test_torch_tensors_are_used_in_place_and_only_in_host_memory() -> None:
    """What lies on a device is refused by name."""
    x, y = torch.arange(4, dtype=torch.bfloat16), torch.zeros(4, dtype=torch.int8)
    sim.launch(None, (1,), to_bytes, (x, y))
    assert y.tolist() == [0, 1, 2, 3]
    with pytest.raises(sim.SimulatorError, match="array on meta; the simulator takes arrays in host memory"):
        sim.launch(None, (1,), to_bytes, (x.to("meta"), y))
    with pytest.raises(sim.SimulatorError, match="not whole positive elements"):
        sim.launch(None, (1,), to_bytes, (np.arange(4, dtype=F32)[::-1], np.zeros(4, np.int8)))
