"""Element-wise operations, casts and matrix products, each rounded as its cuTile type says."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spak.kernels.sim.dtypes import flush, is_float, narrow, round_directed, storage, widen
from spak.kernels.sim.errors import at, unsupported
from spak.kernels.sim.frame import Frame
from spak.kernels.sim.machine import Machine, handles

Values = NDArray[Any]
NEAREST = ("nearest_even", "full", "approx")
"""Modes computed to nearest: the last two name a hardware approximation, whose error is not modelled."""

BINARY: dict[str, Callable[[Values, Values], Values]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "c_mod": np.fmod,
}
FLOAT_BINARY = BINARY | {
    "truediv": np.divide,
    "floordiv": lambda x, y: np.floor(np.divide(x, y)),
    "pow": np.power,
    "atan2": np.arctan2,
    "min": np.fmin,
    "max": np.fmax,
}
INT_BINARY = BINARY | {
    "floordiv": np.floor_divide,
    "cdiv": lambda x, y: np.floor_divide(x, y) + (np.remainder(x, y) != 0).astype(x.dtype),
    "min": np.minimum,
    "max": np.maximum,
}
PROPAGATING: dict[str, Callable[[Values, Values], Values]] = {"min": np.minimum, "max": np.maximum}
AS_IN_NUMPY = "abs exp exp2 sin cos tan sinh cosh tanh log log2 sqrt floor ceil"
UNARY: dict[str, Callable[[Values], Values]] = {
    **{name: getattr(np, name) for name in AS_IN_NUMPY.split()},
    "neg": np.negative,
    "rsqrt": lambda x: np.divide(x.dtype.type(1), np.sqrt(x)),
    "invert": np.invert,
    "bitwise_not": np.invert,
}


def dtype_of(variable: Any) -> Any:
    """CuTile data type of an IR variable."""
    return variable.get_type().dtype


def rounded(operation: Any, compute: Callable[..., Values], inputs: Sequence[Values], dtype: Any) -> Values:
    """`compute` on floats, rounded to `dtype` in the operation's rounding mode, subnormals flushed where it says so."""
    mode = operation.rounding_mode.value if operation.rounding_mode is not None else NEAREST[0]
    if mode not in NEAREST:
        if mode not in ("zero", "positive_inf", "negative_inf") or str(dtype) == "float64":
            raise unsupported(operation, f"rounding mode {mode} of {dtype}")
        return round_directed(compute(*(np.asarray(v, dtype=np.float64) for v in inputs)), dtype, mode)
    wide = [widen(v, dtype) for v in inputs]
    if operation.flush_to_zero:
        return narrow(flush(compute(*(flush(v) for v in wide))), dtype)
    return narrow(compute(*wide), dtype)


@handles("raw_binary_arith")
def binary(_: Machine, operation: Any, frame: Frame) -> Sequence[Values]:
    """+ - * / // % min max pow atan2; integers wrap around."""
    x, y, dtype = frame.get(operation.lhs), frame.get(operation.rhs), dtype_of(operation.result_var)
    if is_float(dtype):
        compute = PROPAGATING[operation.fn] if operation.propagate_nan else FLOAT_BINARY[operation.fn]
        return [rounded(operation, compute, (x, y), dtype)]
    if operation.fn in ("floordiv", "cdiv", "c_mod") and (y == 0).any():
        raise at(operation, "integer division by zero")
    return [INT_BINARY[operation.fn](x, y)]


@handles("unaryop")
def unary(_: Machine, operation: Any, frame: Frame) -> Sequence[Values]:
    """Functions of one tile."""
    x, dtype = frame.get(operation.operand), dtype_of(operation.result_var)
    compute = UNARY.get(operation.fn)
    if compute is None:
        raise unsupported(operation, f"function {operation.fn}")
    return [rounded(operation, compute, (x,), dtype) if is_float(dtype) else compute(x)]


@handles("raw_cmp")
def compare(_: Machine, operation: Any, frame: Frame) -> Sequence[Values]:
    """Comparisons, called as in Python's `operator`; with NaN only `!=` holds."""
    x, y = frame.get(operation.lhs), frame.get(operation.rhs)
    dtype = dtype_of(operation.lhs)
    if is_float(dtype):
        x, y = widen(x, dtype), widen(y, dtype)
    return [getattr(operator, operation.fn)(x, y)]


@handles("raw_binary_bitwise", "raw_bitwise_shift")
def bitwise(_: Machine, operation: Any, frame: Frame) -> Sequence[Values]:
    """Bit operations, called as in Python's `operator`; the right shift keeps the sign of signed integers."""
    x, y = frame.get(operation.lhs), frame.get(operation.rhs)
    if operation.op == "raw_bitwise_shift" and ((y < 0) | (y >= x.dtype.itemsize * 8)).any():
        raise at(operation, "shift by a count that is negative or not less than the width: undefined")
    return [getattr(operator, operation.fn)(x, y)]


@handles("raw_where")
def where(_: Machine, operation: Any, frame: Frame) -> Sequence[Values]:
    """Selection by a mask."""
    return [np.where(frame.get(operation.cond), frame.get(operation.x), frame.get(operation.y))]


@handles("raw_fpowi")
def power(_: Machine, operation: Any, frame: Frame) -> Sequence[Values]:
    """A float to an integer power."""
    dtype = dtype_of(operation.result_var)
    base = widen(frame.get(operation.base), dtype)
    return [narrow(np.power(base, frame.get(operation.exponent).astype(base.dtype)), dtype)]


@handles("fma")
def fused_multiply_add(_: Machine, operation: Any, frame: Frame) -> Sequence[Values]:
    """X * y + z, rounded once (float64: twice)."""
    dtype = dtype_of(operation.result_var)
    inputs = [widen(frame.get(v), dtype) for v in (operation.lhs, operation.rhs, operation.acc)]
    if operation.flush_to_zero:
        inputs = [flush(v) for v in inputs]
    mode = operation.rounding_mode.value if operation.rounding_mode is not None else NEAREST[0]
    x, y, z = (v.astype(np.float64) for v in inputs)
    if mode not in NEAREST:
        return [rounded(operation, lambda a, b, c: a * b + c, (x, y, z), dtype)]
    result = narrow(x * y + z, dtype)
    return [narrow(flush(widen(result, dtype)), dtype) if operation.flush_to_zero else result]


@handles("tile_astype")
def cast(_: Machine, operation: Any, frame: Frame) -> Sequence[Values]:
    """Conversion: to nearest even between floats, towards zero to integers, "is not zero" to bool."""
    source, target = dtype_of(operation.x), dtype_of(operation.result_var)
    values = frame.get(operation.x)
    mode = operation.rounding_mode.value if operation.rounding_mode is not None else NEAREST[0]
    if is_float(source):
        values = widen(values, source)
    if str(target) == "bool_":
        return [values != 0]
    if is_float(target):
        if mode not in (*NEAREST, "nearest_int_to_zero"):
            return [round_directed(values.astype(np.float64), target, mode)]
        return [narrow(values, target)]
    if is_float(source):
        limits = np.iinfo(storage(target))
        whole = np.trunc(values.astype(np.float64))
        if not ((whole >= limits.min) & (whole <= limits.max)).all():
            raise at(operation, f"a value (NaN, infinity or out of range) has no {target}: undefined")
    return [values.astype(storage(target))]


@handles("tile_bitcast")
def bitcast(_: Machine, operation: Any, frame: Frame) -> Sequence[Values]:
    """The same bits as another type."""
    values = frame.get(operation.x)
    return [np.ascontiguousarray(values).view(storage(dtype_of(operation.result_var)))]


def product(x: Values, y: Values, accumulator: Values) -> Values:
    """X @ y + accumulator in float32 (float64 for float64); integers exactly."""
    if x.dtype.kind in "iu":
        exact = np.matmul(x.astype(np.float64), y.astype(np.float64))  # < 2**53: exact
        return np.asarray(accumulator + exact.astype(np.int64).astype(np.int32))
    wide: Any = np.float64 if x.dtype == np.float64 else np.float32
    total = np.matmul(x.astype(wide, copy=False), y.astype(wide, copy=False))
    return np.asarray(total + accumulator.astype(wide, copy=False))


@handles("tile_mma")
def mma(_: Machine, operation: Any, frame: Frame) -> Sequence[Values]:
    """Matrix product and accumulate: products exact, sums in float32, rounded to the accumulator's type at the end."""
    total = product(frame.get(operation.x), frame.get(operation.y), frame.get(operation.acc))
    return [narrow(total, dtype_of(operation.result_var))]


@handles("tile_mma_scaled")
def mma_scaled(_: Machine, operation: Any, frame: Frame) -> Sequence[Values]:
    """Matrix product of operands with a scale for each block of K."""
    x, y = (frame.get(v).astype(np.float32) for v in (operation.x, operation.y))
    x_scale, y_scale = (frame.get(v).astype(np.float32) for v in (operation.x_scale, operation.y_scale))
    x = x * np.repeat(x_scale, x.shape[-1] // x_scale.shape[-1], axis=-1)
    y = y * np.repeat(y_scale, y.shape[-2] // y_scale.shape[-2], axis=-2)
    return [np.matmul(x, y) + frame.get(operation.acc)]
