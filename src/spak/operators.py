"""Operators for PyTorch whose kernels are configured by laws and recorded runs. Needs torch; kernels need `spak[gpu]` and a GPU."""

from __future__ import annotations

from pathlib import Path

import torch

import spak.kernels.attention.operator.library  # noqa: F401  # registers what the dispatcher calls
from spak.configured import operator_by
from spak.kernels.add_norm.library import residual_and_norm
from spak.kernels.cross_entropy.library import reduced_losses
from spak.kernels.linear_gelu.library import activated
from spak.library import Library


def attention(  # noqa: PLR0913  # of which three are what it is about
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    causal: bool = False,
    scale: float | None = None,
    q_offset: int = 0,
    deterministic: bool | None = None,
    laws: Library | str | Path | None = None,
) -> torch.Tensor:
    """Softmax attention, softmax(scale Q K^T) V, with gradients; a PyTorch operator.

    The kernels' configuration is chosen for device and shape by laws and recorded runs (`Library.choose`), at the first
    call of each shape; nothing is tuned. Where no kernel serves, PyTorch's `scaled_dot_product_attention` runs, and a
    warning says why, once. Views are read as they lie if channels are innermost and rows start at multiples of 16
    bytes, else copied; the result lies as `q` does.

    Args:
        q: (B, H, Sq, D), fp16 or bf16 for the kernels.
        k: (B, KV, Skv, D); KV divides H.
        v: (B, KV, Skv, D).
        causal: Query row i sees keys up to i + q_offset.
        scale: Of the scores; None: D ** -0.5.
        q_offset: At least 0; Skv - Sq aligns the last query with the last key.
        deterministic: Whether gradients have to be the same bits every time; None: as PyTorch is told.
        laws: A library, or a law root; None: the nearest `laws/`, else those that came with the package.

    Returns:
        (B, H, Sq, D). A row that sees no key, because there is none, is 0.

    Raises:
        TypeError: If an argument is of another kind; names it.
        ValueError: If an argument is beyond what it may be, or does not go with the others; names it.
        KgError: If `laws` cannot be read.
    """
    if torch.compiler.is_compiling():
        from spak.in_graph import attention_in_graph  # noqa: PLC0415  # loads the compiler, if it is not what calls

        return attention_in_graph(q, k, v, causal, scale, q_offset, deterministic, laws)
    return operator_by(laws)(q, k, v, causal, scale, q_offset, deterministic)


def cross_entropy(
    logits: torch.Tensor,
    targets: torch.Tensor,
    *,
    reduction: str = "mean",
    ignore_index: int = -1,
    laws: Library | str | Path | None = None,
) -> torch.Tensor:
    """Softmax cross-entropy in nats, with the gradient of `logits`; a PyTorch operator.

    One launch gives losses and gradient, which is kept for the backward pass in place of the logits and multiplied there;
    it is made also where no gradient is wanted. The configuration is chosen by laws and recorded runs for device and
    shape. On a device without kernels, in float64, and where PyTorch was recorded to be faster, PyTorch computes the
    same, and a warning says why, once.

    Args:
        logits: (rows, vocabulary), fp16, bf16, fp32 or fp64; autocast leaves them as they are, since sums are in fp32.
        targets: (rows,) int32 or int64, below the vocabulary; on a GPU nothing checks that.
        reduction: `mean` over rows that count, `sum`, or `none`.
        ignore_index: The target of rows that do not count.
        laws: A library, or a law root; None: the nearest `laws/`, else those that came with the package.

    Returns:
        A scalar, or (rows,) for `none`, in fp32 (fp64 of fp64). The mean of no row is NaN.

    Raises:
        TypeError: If an argument is of another kind; names it.
        ValueError: If an argument is beyond what it may be, or does not go with the others; names it.
        KgError: If `laws` cannot be read.
    """
    if torch.compiler.is_compiling():
        from spak.in_graph import cross_entropy_in_graph  # noqa: PLC0415  # loads the compiler, if it is not what calls

        return cross_entropy_in_graph(logits, targets, reduction, ignore_index, laws)
    return reduced_losses(logits, targets, reduction, ignore_index, operator_by(laws).name)


def add_norm(  # of which four are what it is about
    residual: torch.Tensor,
    branch: torch.Tensor | None,
    gain: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    norm: str = "layer",
    laws: Library | str | Path | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """A branch added to the residual stream, and the norm of the sum, with all gradients; a PyTorch operator.

    One launch forward, two backward. Sums over a row, and over rows, are in fp32 (fp64 of fp64), and the norm is of the sum
    as it is rounded to the stream's type. The configuration is chosen by laws and recorded runs for device and shape. Where
    no kernel serves, and where PyTorch was recorded to be faster, PyTorch computes the same, and a warning says why, once.

    Args:
        residual: (..., width), fp32 or bf16 for the kernels; autocast leaves it as it is.
        branch: As `residual`, perhaps of another type; under autocast in autocast's. None: nothing is added.
        gain: (width,) of any floating type; used in fp32.
        bias: The same; None: there is none.
        norm: `layer`, or `rms` without a mean; 1e-5 is added to the variance.
        laws: A library, or a law root; None: the nearest `laws/`, else those that came with the package.

    Returns:
        The new residual, in the type of `residual` (itself if there is no branch), and its norm, in that of the branch, which
        without one is that of `residual`, or autocast's.

    Raises:
        TypeError: If an argument is of another kind; names it.
        ValueError: If an argument is beyond what it may be, or does not go with the others; names it.
        KgError: If `laws` cannot be read.
    """
    if torch.compiler.is_compiling():
        from spak.in_graph import add_norm_in_graph  # noqa: PLC0415  # loads the compiler, if it is not what calls

        total, normed = add_norm_in_graph(residual, branch, gain, bias, norm, laws)
        return total, normed
    return residual_and_norm(residual, branch, gain, bias, norm, operator_by(laws).name)


def linear_gelu(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    laws: Library | str | Path | None = None,
) -> torch.Tensor:
    """GELU, in its tanh form, of a linear layer, with all gradients; a PyTorch operator.

    Forward one launch gives what is before GELU, which is kept, and what is after it. The way back is PyTorch's: GELU's
    gradient, then products of large matrices. The configuration is chosen by laws and recorded runs for device and shape.
    Where no kernel serves, and where PyTorch was recorded to be faster, PyTorch computes the same, and a warning says why,
    once.

    Args:
        x: (..., inputs), fp16 or bf16 for the kernel; autocast casts all three.
        weight: (outputs, inputs), of the dtype of `x`.
        bias: (outputs,), the same; None: there is none.
        laws: A library, or a law root; None: the nearest `laws/`, else those that came with the package.

    Returns:
        (..., outputs), of the dtype of `x`.

    Raises:
        TypeError: If an argument is of another kind; names it.
        ValueError: If an argument does not go with the others; names it.
        KgError: If `laws` cannot be read.
    """
    if torch.compiler.is_compiling():
        from spak.in_graph import linear_gelu_in_graph  # noqa: PLC0415  # loads the compiler, if it is not what calls

        return linear_gelu_in_graph(x, weight, bias, laws)
    return activated(x, weight, bias, operator_by(laws).name)
