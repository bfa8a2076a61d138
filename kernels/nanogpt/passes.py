"""The model forward and backward, operator by operator: no tape of autograd, so every buffer's life is seen here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from spak.kernels.add_norm.operator import NormGradients
from spak.kernels.nanogpt.operators import Operators, Tensor
from spak.kernels.nanogpt.parameters import GptConfig


@dataclass(frozen=True)
class Network:
    """A model as its passes see it.

    Attributes:
        config: Sizes.
        operators: What computes.
        parameters: By name, in the type that the optimiser keeps: what norms and embeddings read.
        weights: By name, in the type of activations: what linear layers read.
        dtype: Of activations.
        dropout: Probability that an element of embeddings, attention weights and branches is dropped.
    """

    config: GptConfig
    operators: Operators
    parameters: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    dtype: Any
    dropout: float = 0.0

    @property
    def residual_dtype(self) -> Any:
        """Of the residual stream: as configured beside bf16, else that of activations."""
        import torch

        return getattr(torch, self.config.residual_dtype) if self.dtype == torch.bfloat16 else self.dtype

    def weight(self, layer: str) -> Tensor:
        """(outputs, inputs)."""
        return self.weights[f"{layer}.weight"]

    def linear(self, layer: str, x: Tensor) -> Tensor:
        """The linear layer of this name."""
        return self.operators.linear(x, self.weight(layer), self.weights.get(f"{layer}.bias"))


class Normed(NamedTuple):
    """A norm and what its gradient wants: the residual stream (rows, width) it is of, and its statistics."""

    residual: Tensor
    normed: Tensor
    statistics: Tensor


class BlockTape(NamedTuple):
    """What a block's gradient wants, in the order of the forward pass; masks are None without dropout."""

    before_attention: Normed
    mixed: Tensor
    attention: Any
    attention_mask: Tensor | None
    before_mlp: Normed
    before_gelu: Tensor
    after_gelu: Tensor
    mlp_mask: Tensor | None


class ForwardTape(NamedTuple):
    """What the backward pass wants; it takes the blocks away as it goes."""

    tokens: Tensor
    embedding_mask: Tensor | None
    blocks: list[BlockTape]
    last: Normed


def gpt_forward(net: Network, tokens: Tensor) -> tuple[Tensor, ForwardTape]:
    """Logits (rows, padded vocab) A, and the tape; tokens (B, T) int32, T <= context. Columns from vocab on are 0."""
    parameters, blocks = net.parameters, list[BlockTape]()
    x = net.operators.embedding(tokens, parameters["wte.weight"], parameters["wpe.weight"], net.residual_dtype)
    x, embedding_mask = _dropped(net, x)
    branch = None
    for layer in range(net.config.layers):
        block, branch = _block(net, f"h.{layer}", (x, branch), tuple(tokens.shape))
        blocks.append(block)
        x = block.before_mlp.residual
    last = _normed(net, "ln_f", x, branch)
    logits = net.operators.linear(last.normed, net.weight("wte"), None)
    return logits, ForwardTape(tokens, embedding_mask, blocks, last)


def _block(net: Network, name: str, stream: tuple[Tensor, Tensor | None], shape: tuple[int, ...]) -> tuple[Any, Tensor]:
    first = _normed(net, f"{name}.ln_1", *stream)
    qkv = net.linear(f"{name}.attn.c_attn", first.normed).view(*shape, 3 * net.config.width)
    mixed, attention = net.operators.attention(qkv, net.config.heads, net.dropout)
    mixed = mixed.view(-1, net.config.width)
    branch, attention_mask = _dropped(net, net.linear(f"{name}.attn.c_proj", mixed))
    second = _normed(net, f"{name}.ln_2", first.residual, branch)
    fc = f"{name}.mlp.c_fc"
    before, after = net.operators.linear_gelu(second.normed, net.weight(fc), net.weights.get(f"{fc}.bias"))
    branch, mlp_mask = _dropped(net, net.linear(f"{name}.mlp.c_proj", after))
    return BlockTape(first, mixed, attention, attention_mask, second, before, after, mlp_mask), branch


def _normed(net: Network, name: str, residual: Tensor, branch: Tensor | None) -> Normed:
    gain, bias = net.parameters[f"{name}.weight"], net.parameters.get(f"{name}.bias")
    return Normed(*net.operators.add_norm(residual, branch, gain, bias, net.dtype))


def gpt_backward(net: Network, tape: ForwardTape, dlogits: Tensor, gradients: Mapping[str, Tensor]) -> None:
    """Write the gradient of every parameter, by name.

    Args:
        net: As it went forward.
        tape: Of that pass; its blocks are taken away.
        dlogits: (rows, padded vocab) A; columns from vocab on are 0.
        gradients: Views like `net.weights`, of the same type; what they hold is lost.
    """
    operators, layers = net.operators, net.config.layers
    operators.linear_weight_gradient(dlogits, tape.last.normed, gradients["wte.weight"], None)
    dnormed = operators.linear_input_gradient(dlogits, net.weight("wte"))
    into = _Into(net, gradients, tape.tokens.shape[1])
    stream = into.norm("ln_f", f"h.{layers - 1}.mlp.c_proj", (dnormed, None), tape.last)
    for layer in reversed(range(layers)):
        before = f"h.{layer - 1}.mlp.c_proj" if layer else None
        stream = into.block(f"h.{layer}", before, stream, tape.blocks.pop())
    dx = _undropped(net, stream[0], tape.embedding_mask)
    operators.embedding_backward(dx, tape.tokens, gradients["wte.weight"], gradients["wpe.weight"])


class _Into:
    """The backward pass of blocks, which writes into `gradients`."""

    def __init__(self, net: Network, gradients: Mapping[str, Tensor], length: int) -> None:
        """Sequences have `length` positions."""
        self._net, self._operators, self._gradients, self._length = net, net.operators, gradients, length

    def norm(
        self, name: str, layer_before: str | None, given: tuple[Tensor, Tensor | None], saved: Normed
    ) -> tuple[Tensor, Tensor]:
        """Gradient of the residual stream in R and in A; `given`: of the norm, and of the stream past it."""
        bias_before = self._gradients.get(f"{layer_before}.bias")
        wanted = NormGradients(
            self._gradients[f"{name}.weight"],
            self._gradients.get(f"{name}.bias"),
            None if self._net.dropout else bias_before,
        )
        gain = self._net.parameters[f"{name}.weight"]
        return self._operators.add_norm_backward(
            *given, (saved.residual, gain, saved.statistics), wanted, self._net.dtype
        )

    def block(
        self, name: str, layer_before: str | None, stream: tuple[Tensor, Tensor], tape: BlockTape
    ) -> tuple[Tensor, Tensor]:
        """Gradient of the stream that enters the block, from that of the one that leaves it."""
        net, operators = self._net, self._operators
        dresidual, dbranch = stream
        dy = _undropped(net, dbranch, tape.mlp_mask)
        self._end_of_branch(f"{name}.mlp.c_proj", dy, tape.after_gelu)
        dbias = self._gradients.get(f"{name}.mlp.c_fc.bias")
        dbefore = operators.linear_gelu_backward(dy, net.weight(f"{name}.mlp.c_proj"), tape.before_gelu, dbias)
        second = tape.before_mlp
        operators.linear_weight_gradient(dbefore, second.normed, self._gradients[f"{name}.mlp.c_fc.weight"], None)
        dnormed = operators.linear_input_gradient(dbefore, net.weight(f"{name}.mlp.c_fc"))
        dresidual, dbranch = self.norm(f"{name}.ln_2", f"{name}.attn.c_proj", (dnormed, dresidual), second)
        dy = _undropped(net, dbranch, tape.attention_mask)
        self._end_of_branch(f"{name}.attn.c_proj", dy, tape.mixed)
        dnormed = self._attention(name, operators.linear_input_gradient(dy, net.weight(f"{name}.attn.c_proj")), tape)
        return self.norm(f"{name}.ln_1", layer_before, (dnormed, dresidual), tape.before_attention)

    def _attention(self, name: str, dmixed: Tensor, tape: BlockTape) -> Tensor:
        layer, width = f"{name}.attn.c_attn", self._net.config.width
        dmixed = dmixed.view(-1, self._length, width)
        dqkv = self._operators.attention_backward(dmixed, tape.attention).view(-1, 3 * width)
        weight, bias = self._gradients[f"{layer}.weight"], self._gradients.get(f"{layer}.bias")
        self._operators.linear_weight_gradient(dqkv, tape.before_attention.normed, weight, bias)
        return self._operators.linear_input_gradient(dqkv, self._net.weight(layer))

    def _end_of_branch(self, layer: str, dy: Tensor, x: Tensor) -> None:
        """Its bias has the column sums that the norm after it gives, unless elements were dropped between the two."""
        dbias = self._gradients.get(f"{layer}.bias") if self._net.dropout else None
        self._operators.linear_weight_gradient(dy, x, self._gradients[f"{layer}.weight"], dbias)


def _dropped(net: Network, x: Tensor) -> tuple[Tensor, Tensor | None]:
    import torch

    return torch.native_dropout(x, net.dropout, True) if net.dropout else (x, None)


def _undropped(net: Network, dx: Tensor, mask: Tensor | None) -> Tensor:
    import torch

    if mask is None:
        return dx
    return torch.ops.aten.native_dropout_backward(dx, mask, 1 / (1 - net.dropout))


def named_activations(tape: ForwardTape) -> Iterator[tuple[str, Tensor]]:
    """Activations by name in the order of the forward pass, for whoever looks for the first bad one."""
    for layer, block in enumerate(tape.blocks):
        name = f"h.{layer}"
        yield f"the residual stream before {name}", block.before_attention.residual
        yield f"{name}.ln_1", block.before_attention.normed
        yield f"{name}.attn", block.mixed
        yield f"the residual stream after {name}.attn", block.before_mlp.residual
        yield f"{name}.ln_2", block.before_mlp.normed
        yield f"{name}.mlp.c_fc", block.before_gelu
        yield f"{name}.mlp after GELU", block.after_gelu
    yield "the last residual stream", tape.last.residual
    yield "ln_f", tape.last.normed
