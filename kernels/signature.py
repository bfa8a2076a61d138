"""The constraints cuTile derives from a contiguous array when it compiles at a launch, without having the array.

What is compiled ahead, for features or for measuring, must be the code a launch would compile; cuTile assumes more of
an array whose sizes are multiples of 16, and takes a size of 1 for a constant, so the signature depends on the problem
size a little.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ALIGNMENT_BYTES = 16
"""Alignment that cuTile looks for, in base addresses and strides; every allocator here gives it."""
DIVISOR = 16
"""Divisor that cuTile looks for in sizes, in elements."""


def contiguous(dtype: Any, shape: Sequence[int]) -> Any:
    """`ArrayConstraint` of an aligned row-major array of `shape` and cuTile's `dtype`, as a launch derives it.

    Source: cuda.tile 1.7, `get_parameter_constraints_from_pyargs`; a test compares.
    """
    import cuda.tile as ct
    from cuda.tile.compilation import ArrayConstraint

    strides = [1] * len(shape)
    for dim in range(len(shape) - 2, -1, -1):
        strides[dim] = strides[dim + 1] * shape[dim + 1]
    aligned = max(1, ALIGNMENT_BYTES * 8 // dtype.bitwidth)
    unit = [stride == 1 for stride in strides]
    return ArrayConstraint(
        dtype,
        len(shape),
        index_dtype=ct.int32,
        stride_lower_bound_incl=[None if one else 0 for one in unit],
        alias_groups=(),
        may_alias_internally=False,
        stride_constant=[1 if one else None for one in unit],
        stride_divisible_by=[
            1 if one or stride % aligned else aligned for one, stride in zip(unit, strides, strict=True)
        ],
        shape_constant=[1 if size == 1 else None for size in shape],
        shape_divisible_by=[1 if size % DIVISOR else DIVISOR for size in shape],
        base_addr_divisible_by=ALIGNMENT_BYTES,
    )


def convention(arrays: Sequence[Any]) -> Any:
    """The calling convention of a launch with these `contiguous` arrays: the second one once a size is a constant."""
    from cuda.tile.compilation import CallingConvention

    constant = any(size is not None for array in arrays for size in array.shape_constant)
    return CallingConvention.cutile_python_v2() if constant else CallingConvention.cutile_python_v1()
