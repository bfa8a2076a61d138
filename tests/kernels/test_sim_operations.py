"""Each cuTile operation on the simulator against NumPy, over shapes, types and tails; and what must be an error."""

from __future__ import annotations

import cuda.tile as ct
import ml_dtypes
import numpy as np
import pytest
from cuda.tile._ir.ir import Operation
from hypothesis import given, settings
from hypothesis import strategies as st

from spak.kernels import sim
from spak.kernels.sim.dtypes import INTEGER_POISON, round_to_tf32
from spak.kernels.sim.machine import HANDLERS, TERMINATORS

C = ct.Constant[int]
BF16 = ml_dtypes.bfloat16
FLOATS = [np.float16, BF16, np.float32, np.float64]
INTS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]


def all_operations(base: type = Operation) -> list[type]:
    return [c for sub in base.__subclasses__() for c in (sub, *all_operations(sub))]


def test_every_operation_of_the_installed_cutile_is_handled() -> None:
    """A new release's operation shows up here by name, and in a kernel as an error that names it."""
    known = {*HANDLERS, *TERMINATORS, "loop", "ifelse"}
    shipped = {c._opcode for c in all_operations() if c.__module__.startswith("cuda.tile.")}
    assert shipped - known == set()


@ct.kernel
def binary_kernel(X, Y, Z, OP: C, T: C):
    x, y = ct.load(X, (ct.bid(0),), (T,)), ct.load(Y, (ct.bid(0),), (T,))
    if OP == 0:
        z = x + y
    elif OP == 1:
        z = x - y
    elif OP == 2:
        z = x * y
    elif OP == 3:
        z = ct.maximum(x, y)
    elif OP == 4:
        z = ct.minimum(x, y)
    elif OP == 5:
        z = x // y
    elif OP == 6:
        z = x % y
    elif OP == 7:
        z = ct.truediv(x, y)
    elif OP == 8:
        z = ct.cdiv(x, y)
    ct.store(Z, (ct.bid(0),), z)


BINARY = [np.add, np.subtract, np.multiply, np.maximum, np.minimum, np.floor_divide, np.remainder]


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(INTS), st.integers(0, 6), st.integers(0, 2**32), st.sampled_from([1, 17, 64]))
def test_integer_arithmetic_wraps_and_floors(dtype: type, op: int, seed: int, size: int) -> None:
    """+ - * wrap around; // and % floor, as Python's and unlike C's."""
    rng = np.random.default_rng(seed)
    info = np.iinfo(dtype)
    x, y = (rng.integers(info.min, info.max, size, dtype=dtype, endpoint=True) for _ in range(2))
    y[y == 0] = 1
    z = sim.empty((size,), dtype)
    sim.launch(None, (-(-size // 16),), binary_kernel, (x, y, z, op, 16))
    with np.errstate(all="ignore"):
        want = BINARY[op](x, y)
    np.testing.assert_array_equal(z, want)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(FLOATS), st.sampled_from([0, 1, 2, 7]), st.integers(0, 2**32))
def test_float_arithmetic_is_correctly_rounded(dtype: type, op: int, seed: int) -> None:
    """+ - * / equal the exact result rounded once to the type, for every float type."""
    rng = np.random.default_rng(seed)
    x, y = ((rng.standard_normal(32) * 10.0 ** rng.integers(-3, 3)).astype(dtype) for _ in range(2))
    z = sim.empty((32,), dtype)
    sim.launch(None, (2,), binary_kernel, (x, y, z, op, 16))
    with np.errstate(all="ignore"):
        exact = {0: np.add, 1: np.subtract, 2: np.multiply, 7: np.divide}[op](
            x.astype(np.longdouble), y.astype(np.longdouble)
        )
    np.testing.assert_array_equal(
        z, exact.astype(np.float64).astype(dtype) if dtype != np.float64 else exact.astype(dtype)
    )


@ct.kernel
def promote_kernel(X, Y, Z):
    x, y = ct.load(X, (0,), (4,)), ct.load(Y, (0,), (4,))
    ct.store(Z, (0,), (x + y).astype(Z.dtype))


def test_loose_constants_keep_the_tile_type_and_tiles_promote() -> None:
    """fp16 + 1.0 stays fp16 (2049 rounds to 2048); fp16 + fp32 is fp32."""

    @ct.kernel
    def loose(X, Z):
        ct.store(Z, (0,), (ct.load(X, (0,), (4,)) + 1.0).astype(ct.float32))

    x, z = np.full(4, 2048, np.float16), sim.empty((4,), np.float32)
    sim.launch(None, (1,), loose, (x, z))
    assert (z == 2048).all()
    sim.launch(None, (1,), promote_kernel, (x, np.ones(4, np.float32), z))
    assert (z == 2049).all()


@ct.kernel
def unary_kernel(X, Y, OP: C):
    x = ct.load(X, (0,), (64,))
    if OP == 0:
        y = ct.exp(x)
    elif OP == 1:
        y = ct.exp2(x)
    elif OP == 2:
        y = ct.log(ct.abs(x))
    elif OP == 3:
        y = ct.log2(ct.abs(x))
    elif OP == 4:
        y = ct.sqrt(ct.abs(x))
    elif OP == 5:
        y = ct.rsqrt(ct.abs(x))
    elif OP == 6:
        y = ct.sin(x)
    elif OP == 7:
        y = ct.cos(x)
    elif OP == 8:
        y = ct.tanh(x)
    elif OP == 9:
        y = ct.floor(x)
    elif OP == 10:
        y = ct.ceil(x)
    elif OP == 11:
        y = -x
    elif OP == 12:
        y = ct.tan(x)
    elif OP == 13:
        y = ct.sinh(x)
    else:
        y = ct.cosh(x)
    ct.store(Y, (0,), y)


UNARY = [
    np.exp, np.exp2, lambda x: np.log(abs(x)), lambda x: np.log2(abs(x)), lambda x: np.sqrt(abs(x)),
    lambda x: 1 / np.sqrt(abs(x)), np.sin, np.cos, np.tanh, np.floor, np.ceil, np.negative, np.tan, np.sinh, np.cosh,
]  # fmt: skip


@pytest.mark.parametrize("op", range(len(UNARY)))
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_functions(op: int, dtype: type) -> None:
    """Functions of one tile are within two units in the last place of float64."""
    x, y = np.random.default_rng(op).standard_normal(64).astype(dtype), sim.empty((64,), dtype)
    sim.launch(None, (1,), unary_kernel, (x, y, op))
    want = UNARY[op](x.astype(np.float64))
    np.testing.assert_allclose(y.astype(np.float64), want, rtol=4 * np.finfo(dtype).eps, atol=1e-7)


@ct.kernel
def fold_kernel(X, S, P, M, A, CS, CP, AXIS: C):
    x = ct.load(X, (ct.bid(0), 0, 0), (1, 8, 16)).reshape((8, 16))
    ct.store(S, (ct.bid(0), 0), ct.sum(x, axis=AXIS).reshape((1, 16 if AXIS == 0 else 8)))
    ct.store(P, (ct.bid(0), 0), ct.prod(x, axis=AXIS).reshape((1, 16 if AXIS == 0 else 8)))
    ct.store(M, (ct.bid(0), 0), ct.min(x, axis=AXIS).reshape((1, 16 if AXIS == 0 else 8)))
    ct.store(A, (ct.bid(0), 0), ct.argmin(x, axis=AXIS).reshape((1, 16 if AXIS == 0 else 8)))
    ct.store(CS, (ct.bid(0), 0, 0), ct.cumsum(x, axis=AXIS).reshape((1, 8, 16)))
    ct.store(CP, (ct.bid(0), 0, 0), ct.cumsum(x, axis=AXIS, reverse=True).reshape((1, 8, 16)))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_reductions_and_scans(axis: int, dtype: type) -> None:
    """sum, prod, min, argmin (first of equals), cumsum both ways, along both axes."""
    x = np.random.default_rng(axis).integers(-3, 4, (3, 8, 16)).astype(dtype)
    n = 16 if axis == 0 else 8
    s, p, m = (sim.empty((3, n), dtype) for _ in range(3))
    a, cs, cp = sim.empty((3, n), np.int32), sim.empty((3, 8, 16), dtype), sim.empty((3, 8, 16), dtype)
    sim.launch(None, (3,), fold_kernel, (x, s, p, m, a, cs, cp, axis))
    np.testing.assert_array_equal(s, x.sum(axis + 1))
    np.testing.assert_array_equal(p, x.prod(axis + 1).astype(dtype))
    np.testing.assert_array_equal(m, x.min(axis + 1))
    np.testing.assert_array_equal(a, x.argmin(axis + 1))
    np.testing.assert_array_equal(cs, x.cumsum(axis + 1))
    np.testing.assert_array_equal(cp, np.flip(np.flip(x, axis + 1).cumsum(axis + 1), axis + 1))


@ct.kernel
def shapes_kernel(X, Y, Z):
    x = ct.load(X, (0, 0), (4, 8))
    left, right = ct.extract(x, (0, 0), (4, 4)), ct.extract(x, (0, 1), (4, 4))
    y = ct.cat((right, left), 1)
    y = ct.insert(y, (1, 0), ct.full((2, 8), 7, x.dtype))
    ct.store(Y, (0, 0), y)
    ct.store(Z, (0, 0), ct.permute(ct.broadcast_to(ct.expand_dims(x, 0), (2, 4, 8)), (2, 0, 1)).reshape((8, 8)))


def test_shape_operations() -> None:
    """extract, cat, insert, expand_dims, broadcast_to, permute and reshape move elements as NumPy does."""
    x, y, z = np.arange(32, dtype=np.int32).reshape(4, 8), sim.empty((4, 8), np.int32), sim.empty((8, 8), np.int32)
    sim.launch(None, (1,), shapes_kernel, (x, y, z))
    want = np.concatenate([x[:, 4:], x[:, :4]], 1)
    want[2:] = 7
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(z, np.broadcast_to(x, (2, 4, 8)).transpose(2, 0, 1).reshape(8, 8))


@ct.kernel
def bits_kernel(X, Y):
    x = ct.load(X, (0,), (8,))
    y = ct.bitcast(x, ct.int32)
    y = ((y >> 3) & 0xFF) | (ct.bitwise_not(y) ^ (y << 2))
    ct.store(Y, (0,), y)


def test_bit_operations_and_bitcast() -> None:
    """Shifts (the right one keeps the sign), and, or, xor, not, on the bits of floats."""
    x, y = np.random.default_rng(0).standard_normal(8).astype(np.float32), sim.empty((8,), np.int32)
    sim.launch(None, (1,), bits_kernel, (x, y))
    b = x.view(np.int32)
    np.testing.assert_array_equal(y, ((b >> 3) & 0xFF) | (~b ^ (b << 2)))


@ct.kernel
def mma_kernel(A, B, D):
    ct.store(D, (0, 0), ct.mma(ct.load(A, (0, 0), (16, 32)), ct.load(B, (0, 0), (32, 8)), ct.load(D, (0, 0), (16, 8))))


@pytest.mark.parametrize(
    "dtype", [np.float16, BF16, np.float32, np.float64, ml_dtypes.float8_e4m3fn, np.int8, np.uint8]
)
def test_matrix_product_accumulates_in_the_wide_type(dtype: type) -> None:
    """Operands are not rounded again: sums of many halves are exact where float32 is."""
    rng = np.random.default_rng(1)
    kind = np.dtype(dtype)
    a, b = (rng.integers(0, 4, s).astype(dtype) for s in ((16, 32), (32, 8)))
    acc = np.int32 if kind.kind in "iu" else np.float64 if kind == np.float64 else np.float32
    d = np.full((16, 8), 3, acc)
    sim.launch(None, (1,), mma_kernel, (a, b, d))
    np.testing.assert_array_equal(d, a.astype(np.float64) @ b.astype(np.float64) + 3)


@settings(deadline=None, max_examples=50)
@given(st.floats(width=32, allow_nan=False))
def test_tf32_keeps_ten_bits(value: float) -> None:
    """tf32 is float32 with ten bits of fraction, to nearest even."""
    got = float(round_to_tf32(np.array([value], np.float32))[0])
    if np.isfinite(got) and abs(value) > 1e-30:
        mantissa, exponent = np.frexp(np.float64(value))
        assert got == float(np.ldexp(np.round(mantissa * 2**11), int(exponent) - 11))


@ct.kernel
def load_kernel(X, Y, MODE: C):
    if MODE == 0:
        x = ct.load(X, (ct.bid(0),), (8,))
    elif MODE == 1:
        x = ct.load(X, (ct.bid(0),), (8,), padding_mode=ct.PaddingMode.ZERO)
    else:
        x = ct.load(X, (ct.bid(0),), (8,), padding_mode=ct.PaddingMode.NEG_INF)
    ct.store(Y, (ct.bid(0),), x)


@pytest.mark.parametrize(("mode", "padding"), [(0, np.nan), (1, 0.0), (2, -np.inf)])
def test_padding_of_tails(mode: int, padding: float) -> None:
    """Elements beyond the array are what the padding mode says, and poison where it says nothing."""
    x, y = np.ones(13, np.float32), np.zeros(16, np.float32)
    sim.launch(None, (2,), load_kernel, (x, y, mode))
    np.testing.assert_array_equal(y, np.r_[np.ones(13), np.full(3, padding)].astype(np.float32))


def test_integer_poison_and_dropped_stores() -> None:
    """Undefined integers are a sentinel; a store beyond the array changes nothing else."""
    whole = np.zeros(24, np.int32)
    sim.launch(None, (2,), load_kernel, (np.ones(3, np.int32), whole[:13], 0))
    assert whole[3] == np.array(INTEGER_POISON).astype(np.int32)
    assert (whole[13:] == 0).all()


def test_gather_out_of_bounds_without_check_is_an_error() -> None:
    """A pointer that leaves its array is caught, with the array's name and the kernel's line."""

    @ct.kernel
    def kernel(X, Y):
        i = ct.arange(16, dtype=ct.int32)
        ct.scatter(Y, i, ct.gather(X, i, check_bounds=False))

    with pytest.raises(sim.SimulatorError, match=r"test_sim_operations.py:\d+:.*out of bounds of X: element 15 of 13"):
        sim.launch(None, (1,), kernel, (np.ones(13, np.float32), np.zeros(16, np.float32)))


def test_strided_and_bf16_arrays_are_used_in_place() -> None:
    """Views with any positive strides are read and written where they lie."""
    base = np.arange(32, dtype=np.float32).reshape(4, 8)
    y = np.zeros((16, 2), BF16)
    sim.launch(None, (2,), load_kernel, (base[:, ::2].reshape(-1)[:16].astype(BF16), y[:, 1], 0))
    np.testing.assert_array_equal(y[:, 1].astype(np.float32), base[:, ::2].reshape(-1))
    assert (y[:, 0] == 0).all()


def test_control_flow_that_parts_the_blocks() -> None:
    """while, break, continue and if with different paths for each block, as Python runs them."""

    @ct.kernel
    def kernel(Y, n: int):
        i, total = ct.bid(0), 0
        while True:
            i += 1
            if i % 3 == 0:
                continue
            if i > n:
                break
            if i % 2 == 0:
                total += i
            else:
                total -= 1
        for j in range(ct.bid(0), n, 2):
            if j > 7:
                break
            total += 100 * j
        ct.store(Y, ct.bid(0), total)

    y = sim.empty((12,), np.int32)
    sim.launch(None, (12,), kernel, (y, 9))
    want = []
    for block in range(12):
        total = sum((i if i % 2 == 0 else -1) for i in range(block + 1, 10) if i % 3)
        want.append(total + 100 * sum(j for j in range(block, 9, 2) if j <= 7))
    assert y.tolist() == want


def test_print_assert_and_promises() -> None:
    """printf prints once a block; a false assertion and a broken promise stop the launch at their line."""

    @ct.kernel
    def kernel(n: int, WHAT: C):
        ct.printf("block %d of %d\n", ct.bid(0), n)
        if WHAT == 1:
            ct.assert_(ct.bid(0) < 1, "only one block")
        if WHAT == 2:
            ct.printf("%d\n", ct.assume_divisible_by(n, 4))

    out: list[str] = []
    sim.launch(None, (2,), kernel, (6, 0), write=out.append)
    assert "".join(out) == "block 0 of 6\nblock 1 of 6\n"
    with pytest.raises(sim.SimulatorError, match="only one block"):
        sim.launch(None, (2,), kernel, (6, 1), write=out.append)
    with pytest.raises(sim.SimulatorError, match="multiple of 4"):
        sim.launch(None, (2,), kernel, (6, 2), write=out.append)


def broken_shape(X):
    ct.load(X, (0,), (12,))


def broken_runtime_shape(X):
    ct.load(X, (0,), (X.shape[0],))


def broken_loop_type(X):
    total = 0
    for _ in range(X.shape[0]):
        total = total + ct.load(X, (0,), (4,))
    ct.store(X, (0,), total)


def broken_mma(X):
    a = ct.full((16, 16), 1, ct.float16)
    ct.mma(a, a.astype(ct.bfloat16), ct.zeros((16, 16), ct.float32))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (broken_shape, "power of"),
        (broken_runtime_shape, "constant"),
        (broken_loop_type, "Type of `total` depends on path taken"),
        (broken_mma, "same dtype"),
    ],
)
def test_what_cutile_rejects_is_rejected_with_its_words(function: object, message: str) -> None:
    """Shapes that are no power of two or not constant, a changing type, mixed operands: cuTile's own error and line."""
    with pytest.raises(ct.TileError, match=rf"(?s){message}.*test_sim_operations.py"):
        sim.launch(None, (1,), function, (np.ones(16, np.float32),))


def test_arguments_that_no_kernel_takes() -> None:
    """Wrong counts, types and grids are one-line errors."""
    for args, grid, text in [
        ((np.ones(4, np.complex64),), (1,), "complex64"),
        (("x",), (1,), "argument of type str"),
        ((), (1,), "takes 1 arguments"),
        ((np.ones(16, np.float32),), (0,), "grid"),
    ]:
        with pytest.raises(sim.SimulatorError, match=text):
            sim.launch(None, grid, fine, args)


def fine(X):
    ct.store(X, (0,), ct.load(X, (0,), (4,)))


def test_a_store_to_a_read_only_array_is_an_error() -> None:
    """NumPy's read-only flag holds for kernels."""
    x = np.ones(8, np.float32)
    x.flags.writeable = False
    with pytest.raises(sim.SimulatorError, match="read-only"):
        sim.launch(None, (1,), fine, (x,))


def test_tuple_arguments_and_64_bit_scalars() -> None:
    """A tuple of arrays and constants is one parameter."""

    @ct.kernel
    def kernel(pair, n: int):
        x = ct.load(pair[0], (0,), (4,))
        ct.store(pair[1], (0,), x + n % 1000)

    x, y = np.arange(4, dtype=np.int64), sim.empty((4,), np.int64)
    sim.launch(None, (1,), kernel, ((x, y), 2**40))
    np.testing.assert_array_equal(y, x + 2**40 % 1000)
