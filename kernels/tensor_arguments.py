"""Tensors that an operator is given: what they have to be, in errors that begin with the argument's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

FLOATING_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""What an operator multiplies, by a kernel or by PyTorch."""


def check_tensor(name: str, tensor: Any, dtypes: Sequence[Any] = FLOATING_DTYPES) -> None:
    """Raise unless it is a dense tensor of one of these types.

    Raises:
        TypeError: Then.
    """
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name}: a torch.Tensor (got {type(tensor).__name__})")
    if tensor.layout != torch.strided or tensor.is_nested:
        raise TypeError(f"{name}: a dense tensor (got {'a nested one' if tensor.is_nested else tensor.layout})")
    if tensor.dtype not in dtypes:
        raise TypeError(f"{name}: of dtype {', '.join(map(str, dtypes))} (got {tensor.dtype})")


def check_beside(name: str, tensor: Any, shape: tuple[int, ...], device_of: tuple[str, Any]) -> None:
    """Raise unless it has this shape and lies on the device of another argument, of which the name comes first.

    Raises:
        ValueError: Then.
    """
    if tuple(tensor.shape) != tuple(shape):
        raise ValueError(f"{name}: of shape {tuple(shape)} (got {tuple(tensor.shape)})")
    other, at = device_of
    if tensor.device != at.device:
        raise ValueError(f"{name}: on the device of {other}, {at.device} (got {tensor.device})")
