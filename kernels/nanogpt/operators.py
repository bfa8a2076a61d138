"""What a training step of NanoGPT calls: one callable for each operator and each gradient, and what each must do.

Common to all. A is the dtype of activations: bf16 beside float32 parameters on a GPU, else that of the parameters. R is that
of the residual stream: A, or float32 beside bf16. Rows are the B T positions of a batch, sequence after sequence. Tensors are
contiguous unless said otherwise. Results are new tensors, arguments stay as they are unless said to be written. All may
be captured in a CUDA graph: nothing is read by the host, and shapes alone decide what is launched. Norms, softmax, losses and
column sums are computed in float32 at least. G, the dtype of gradients of parameters, is A; they are views of one flat buffer.
Tokens and targets are int32 and in range: whoever reads data checks them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from spak.kernels.add_norm.operator import NormGradients

Tensor = Any
"""A torch tensor: nothing here needs torch before it is called."""


class AdamwConstants(NamedTuple):
    """What does not change from step to step; defaults are nanoGPT's.

    Attributes:
        beta1: Decay of the first moment.
        beta2: Decay of the second.
        epsilon: Added to the root of the second moment, after its bias is corrected.
        weight_decay: Times learning rate and parameter, taken from a decayed parameter before the step.
        clip: Largest norm of all gradients; 0: they are not clipped.
    """

    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    weight_decay: float = 0.1
    clip: float = 1.0


class AdamwState(NamedTuple):
    """Flat buffers of one layout; all are written.

    Attributes:
        parameters: (size,), float32 or float64.
        copy: (size,) bf16, the parameters rounded; None where A is the parameters' dtype.
        first: (size,), dtype of the parameters: averages of gradients.
        second: (size,), the same of their squares.
        decayed: Elements before this one have weight decay; a multiple of 64, as `size` is.
    """

    parameters: Tensor
    copy: Tensor | None
    first: Tensor
    second: Tensor
    decayed: int


class EmbeddingForward(Protocol):
    """The sum of a token's row and its position's."""

    def __call__(self, tokens: Tensor, wte: Tensor, wpe: Tensor, dtype: Any) -> Tensor:
        """The residual stream (rows, width), R, which is `dtype`; tokens (B, T) int32.

        wte (padded vocab, width) and wpe (context, width) are the parameters themselves, float32 beside bf16; T <= context.
        """
        ...


class EmbeddingBackward(Protocol):
    """Gradients of both tables."""

    def __call__(self, dx: Tensor, tokens: Tensor, dwte: Tensor, dwpe: Tensor) -> None:
        """Add to dwte, write dwpe; dx (rows, width) R, tokens (B, T) int32.

        dwte (padded vocab, width) G holds the gradient of the output layer, which shares the matrix. The rows of dx of one
        token are summed in float32, and the sum is added once. dwpe (context, width) G is written whole: rows from T on with 0.
        """
        ...


class AddNorm(Protocol):
    """LayerNorm of the residual stream after a branch is added to it."""

    def __call__(
        self, residual: Tensor, branch: Tensor | None, gain: Tensor, bias: Tensor | None, dtype: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        """New residual (rows, width) R, its norm (rows, width) A, and statistics for the gradient.

        Args:
            residual: (rows, width) R; not written, since gradients want it.
            branch: (rows, width) A. None: nothing is added, and the new residual is `residual` itself.
            gain: (width,), the parameter itself: float32 beside bf16.
            bias: The same; None: there is none.
            dtype: A.

        Statistics are one tensor of at least float32, opaque to the caller; PyTorch's is (2, rows): 1 / deviation, and mean.
        The norm is of the new residual as it is kept, that is after it is rounded to R.
        """
        ...


class AddNormBackward(Protocol):
    """Gradient of the residual stream, which is the branch's too."""

    def __call__(
        self,
        dnormed: Tensor,
        dresidual: Tensor | None,
        saved: tuple[Tensor, Tensor, Tensor],
        gradients: NormGradients,
        dtype: Any,
    ) -> tuple[Tensor, Tensor]:
        """Gradient of the new residual in R and in A; the same tensor where these are the same.

        Args:
            dnormed: (rows, width) A; gradient of the norm.
            dresidual: (rows, width) R; gradient that reaches the new residual past this norm. May be overwritten, and
                returned. None: none, after the last norm.
            saved: The new residual, gain, and statistics.
            gradients: Where those of the parameters are written, not added.
            dtype: A.
        """
        ...


class Linear(Protocol):
    """A product of matrices and a bias."""

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """(rows, outputs) A, x weight^T + bias; x (rows, inputs), weight (outputs, inputs), bias (outputs,): all A."""
        ...


class LinearInputGradient(Protocol):
    """Gradient of what goes into a linear layer."""

    def __call__(self, dy: Tensor, weight: Tensor) -> Tensor:
        """(rows, inputs) A, dy weight; dy (rows, outputs) A, its rows perhaps apart; weight (outputs, inputs) A."""
        ...


class LinearWeightGradient(Protocol):
    """Gradient of a linear layer's parameters."""

    def __call__(self, dy: Tensor, x: Tensor, dweight: Tensor, dbias: Tensor | None) -> None:
        """Write dweight (outputs, inputs) G, dy^T x, and dbias (outputs,) G, column sums of dy; None: not wanted."""
        ...


class LinearGelu(Protocol):
    """A linear layer and GELU in its tanh form, as GPT-2 has it."""

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Before and after GELU, (rows, outputs) A both; arguments as for `Linear`."""
        ...


class LinearGeluBackward(Protocol):
    """The gradient before GELU, from that of what the next linear layer gives."""

    def __call__(self, dy: Tensor, next_weight: Tensor, before: Tensor, dbias: Tensor | None) -> Tensor:
        """(rows, hidden) A, (dy next_weight) GELU'(before).

        dy (rows, width) A, next_weight (width, hidden) A, before (rows, hidden) A. dbias (hidden,) G is written: column sums
        of the result; None: not wanted.
        """
        ...


class AttentionForward(Protocol):
    """Causal attention from queries, keys and values that lie beside each other."""

    def __call__(self, qkv: Tensor, heads: int, dropout: float) -> tuple[Tensor, Any]:
        """(B, T, width) A, and what the gradient wants, opaque to the caller.

        qkv (B, T, 3 width) A: queries of all heads, then keys, then values. Scores are scaled by 1 / sqrt(width / heads).
        Where `dropout` > 0, weights are dropped with that probability, by PyTorch's generator of the device.
        """
        ...


class AttentionBackward(Protocol):
    """Gradients of queries, keys and values."""

    def __call__(self, dout: Tensor, saved: Any) -> Tensor:
        """(B, T, 3 width) A, as qkv lies; dout (B, T, width) A. `saved` serves once."""
        ...


class CrossEntropy(Protocol):
    """Losses and their gradient in one pass."""

    def __call__(self, logits: Tensor, targets: Tensor, scale: float) -> Tensor:
        """Losses (rows,), float32 at least, in nats; logits are overwritten by their gradient times `scale`.

        logits (rows, vocab) A: columns are adjacent, rows a multiple of 64 elements apart, at least `vocab`. What lies
        between rows is neither read nor written. targets (rows,) int32.
        """
        ...


class GradientNorm(Protocol):
    """The norm of all gradients."""

    def __call__(self, gradients: Tensor) -> Tensor:
        """(1,), float32 at least; gradients (size,), G, or float32 where they were accumulated."""
        ...


class Adamw(Protocol):
    """One step of AdamW over all parameters."""

    def __call__(
        self, state: AdamwState, gradients: Tensor, norm: Tensor, factors: Tensor, constants: AdamwConstants
    ) -> None:
        """Write all of `state`; where `norm` is not finite, nothing of it.

        Args:
            state: Buffers.
            gradients: (size,), G or float32; times min(1, clip / (norm + 1e-6)) where `constants.clip` is above 0.
            norm: (1,): of `gradients`, in device memory.
            factors: (3,) in device memory, float32 or the parameters' dtype: learning rate, 1 - beta1^t, 1 - beta2^t, where
                t counts from 1.
            constants: The same in every step.
        """
        ...


@dataclass(frozen=True)
class Operators:
    """What a training step calls.

    Attributes:
        reasons: Operator -> what computes it and why, for the table at start-up.
    """

    embedding: EmbeddingForward
    embedding_backward: EmbeddingBackward
    add_norm: AddNorm
    add_norm_backward: AddNormBackward
    linear: Linear
    linear_input_gradient: LinearInputGradient
    linear_weight_gradient: LinearWeightGradient
    linear_gelu: LinearGelu
    linear_gelu_backward: LinearGeluBackward
    attention: AttentionForward
    attention_backward: AttentionBackward
    cross_entropy: CrossEntropy
    gradient_norm: GradientNorm
    adamw: Adamw
    reasons: Mapping[str, str] = field(default_factory=dict)


OPERATOR_NAMES = tuple(name for name in Operators.__dataclass_fields__ if name != "reasons")
"""Callables of `Operators`, in the order of a step."""
