"""cuTile's data types in NumPy: storage, the type arithmetic is done in, rounding to a type, and the poison of each.

Arithmetic of the narrow floats (fp16, bf16, tf32, fp8) is done in float32 and rounded once. For + - * / and the square root
that equals rounding the exact result to fp16 or bf16, because 24 bits hold at least twice their significand plus two.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spak.kernels.sim.errors import UnsupportedOperationError

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
NATIVE = {
    **{name: np.dtype(name) for name in (*INTEGERS, "float16", "float32", "float64")},
    "bool_": np.dtype(np.bool_),
    "tfloat32": np.dtype(np.float32),  # the last 13 bits are zero
}
ML_DTYPES = ("bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "float4_e2m1fn")
NARROW = ("float16", "tfloat32", *ML_DTYPES)
"""Floats whose arithmetic is done in float32."""
INTEGER_POISON = 0x5BADC0DE5BADC0DE
"""What an uninitialised integer holds, cut to the width of its type: large, odd, and no kernel's answer."""
TF32_DROPPED_BITS = 13
"""float32 has 23 bits of fraction, tf32 10. Source: PTX ISA, "Alternate floating point data formats"."""


@lru_cache(maxsize=256)
def storage(dtype: Any) -> np.dtype[Any]:
    """The NumPy type that holds cuTile's `dtype`; pointers are int64 addresses.

    Raises:
        UnsupportedOperationError: If no NumPy type is known for it.
    """
    name = str(dtype)
    if name in NATIVE:
        return NATIVE[name]
    if name in ML_DTYPES:
        import ml_dtypes

        found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return found
    if name.startswith("pointer"):
        return np.dtype(np.int64)
    raise UnsupportedOperationError(f"data type {name} is not simulated")


def is_float(dtype: Any) -> bool:
    """Whether `dtype` is any of cuTile's floats."""
    return str(dtype).startswith(("float", "bfloat", "tfloat"))


def is_pointer(dtype: Any) -> bool:
    """Whether `dtype` is a pointer."""
    return str(dtype).startswith("pointer")


def widen(values: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """`values` in the type their arithmetic is done in."""
    return values.astype(np.float32) if str(dtype) in NARROW and values.dtype != np.float32 else values


def narrow(values: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """`values` rounded (to nearest, ties to even) to `dtype`."""
    if str(dtype) == "tfloat32":
        return round_to_tf32(values.astype(np.float32, copy=False))
    target = storage(dtype)
    if values.dtype == target:
        return values
    if str(dtype) in ML_DTYPES and values.dtype.kind in "iub":
        return values.astype(np.float32).astype(target)
    return values.astype(target)


def round_to_tf32(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 with its fraction rounded to tf32's ten bits, ties to even; NaN and infinity stay."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    odd = (bits >> TF32_DROPPED_BITS) & 1
    rounded = (bits + (np.uint32((1 << (TF32_DROPPED_BITS - 1)) - 1) + odd)) & ~np.uint32((1 << TF32_DROPPED_BITS) - 1)
    return np.where(np.isfinite(values), rounded.view(np.float32), values)


def poison(dtype: Any) -> Any:
    """What undefined memory of `dtype` reads as: NaN, a sentinel integer, or True."""
    if is_float(dtype):
        return storage(dtype).type(float("nan")) if str(dtype) != "float4_e2m1fn" else storage(dtype).type(6.0)
    return poison_of(storage(dtype))


def poison_of(dtype: np.dtype[Any]) -> Any:
    """`poison` for a NumPy type."""
    if dtype.kind == "b":
        return np.bool_(True)
    if dtype.kind in "iu":
        return np.array(INTEGER_POISON, dtype=np.uint64).astype(dtype)[()]
    return dtype.type(float("nan"))


def is_poison(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are what `poison_of` gives their type; none of booleans, where it is one of two."""
    if values.dtype.kind == "b":
        return np.zeros(values.shape, dtype=bool)
    return np.asarray(values == poison_of(values.dtype) if values.dtype.kind in "iu" else values != values)  # noqa: PLR0124


def round_directed(exact: NDArray[np.float64], dtype: Any, mode: str) -> NDArray[Any]:
    """float64 results rounded to `dtype` towards zero ("zero"), up ("positive_inf") or down ("negative_inf")."""
    nearest = narrow(exact, dtype)
    back = nearest.astype(np.float64)
    zero = np.zeros((), dtype=nearest.dtype)
    infinity = np.array(np.inf, dtype=nearest.dtype)
    down = (back > exact) & ((mode == "negative_inf") | ((mode == "zero") & (exact > 0)))
    up = (back < exact) & ((mode == "positive_inf") | ((mode == "zero") & (exact < 0)))
    result = np.where(down, np.nextafter(nearest, -infinity), nearest)
    return np.asarray(np.where(up, np.nextafter(nearest, infinity), result) + zero)


def flush(values: NDArray[Any]) -> NDArray[Any]:
    """float32 with subnormal numbers replaced by zero of the same sign."""
    tiny = np.finfo(np.float32).tiny
    return np.where(np.abs(values) < tiny, np.copysign(np.float32(0), values), values)
