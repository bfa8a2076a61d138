"""The model as a module of PyTorch, for whoever trains with autograd: the same passes behind one function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from spak.kernels.nanogpt.operators import Operators, Tensor
from spak.kernels.nanogpt.parameters import GptConfig, ParameterLayout, initial_gpt_parameters
from spak.kernels.nanogpt.passes import Network, gpt_backward, gpt_forward
from spak.kernels.nanogpt.state_dict import from_state_dict
from spak.kernels.nanogpt.torch_operators import torch_operators


class GptModule(nn.Module):  # type: ignore[misc]  # torch is not typed here
    """GPT-2 whose parameters have GPT-2's names; `wte.weight` is the output layer's too, filled up to whole lines.

    Under autocast, activations are bf16 beside float32 parameters. Nothing is dropped.
    """

    def __init__(self, config: GptConfig, operators: Operators | None = None, *, seed: int = 0) -> None:
        """Weights drawn by `seed`; PyTorch's operators unless others are given."""
        super().__init__()
        self.config, self.layout = config, ParameterLayout.of(config)
        self._operators = operators or torch_operators()
        flat = initial_gpt_parameters(config, seed)
        for name, view in self.layout.views(flat).items():
            *path, last = name.split(".")
            self._inner(path).register_parameter(last, nn.Parameter(view.clone()))

    def _inner(self, path: list[str]) -> nn.Module:
        module: nn.Module = self
        for part in path:
            if part not in module._modules:  # noqa: SLF001  # a path of numbers is no attribute
                module.add_module(part, nn.Module())
            module = module.get_submodule(part)
        return module

    def load_gpt2(self, state: Mapping[str, Tensor]) -> None:
        """Take the weights of a GPT-2-shaped state dict; see `from_state_dict`.

        Raises:
            ValueError: If it is of another model; names the parameter.
        """
        views = self.layout.views(from_state_dict(self.config, state))
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(views[name])

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (B, T, vocab) of tokens (B, T), integers; in the type of activations.

        Raises:
            TypeError: If tokens are no integers, or parameters and activations are of types that do not go together.
            ValueError: If tokens are no matrix, more than `context` in a row, or, on a CPU, not in the vocabulary.
        """
        parameters = dict(self.named_parameters())
        parameters = {name: parameters[name] for name in self.layout.shapes}
        dtype = self._activations(parameters["wte.weight"])
        _refuse_tokens(tokens, self.config)
        given = (self.config, self._operators, dtype, self.layout)
        logits = _Passes.apply(given, tokens.to(torch.int32).contiguous(), *parameters.values())
        return logits.view(*tokens.shape, -1)[..., : self.config.vocab]

    def _activations(self, parameter: Tensor) -> Any:
        device = parameter.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else parameter.dtype
        if dtype not in (parameter.dtype, torch.bfloat16):
            raise TypeError(f"dtype: activations are bfloat16 or as the parameters, {parameter.dtype} (got {dtype})")
        return dtype


def _refuse_tokens(tokens: Tensor, config: GptConfig) -> None:
    if tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool:
        raise TypeError(f"tokens: must be integers (got {tokens.dtype})")
    if tokens.ndim != 2 or not 0 < tokens.shape[1] <= config.context or not len(tokens):  # noqa: PLR2004  # (B, T)
        raise ValueError(f"tokens: must be (B, T) with T from 1 to {config.context} (got {tuple(tokens.shape)})")
    if tokens.device.type == "cpu" and not 0 <= int(tokens.min()) <= int(tokens.max()) < config.vocab:
        raise ValueError(
            f"tokens: must be from 0 to {config.vocab - 1} (got {int(tokens.min())} to {int(tokens.max())})"
        )


class _Passes(torch.autograd.Function):  # type: ignore[misc]  # as above
    """Forward and backward of the whole model as one node of autograd's graph."""

    @staticmethod
    def forward(
        ctx: Any, given: tuple[GptConfig, Operators, Any, ParameterLayout], tokens: Tensor, *values: Tensor
    ) -> Tensor:
        config, operators, dtype, layout = given
        parameters = dict(zip(layout.shapes, values, strict=True))
        weights = {name: value.to(dtype) for name, value in parameters.items()}
        net = Network(config, operators, parameters, weights, dtype)
        with torch.autocast(tokens.device.type, enabled=False):
            logits, ctx.tape = gpt_forward(net, tokens)
        ctx.net, ctx.layout = net, layout
        return logits

    @staticmethod
    def backward(ctx: Any, dlogits: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.tape is None:
            raise RuntimeError("the model's gradient was asked for twice; what it needs was freed the first time")
        net, layout = ctx.net, ctx.layout
        gradients = layout.views(torch.empty(layout.size, dtype=net.dtype, device=dlogits.device))
        with torch.autocast(dlogits.device.type, enabled=False):
            gpt_backward(net, ctx.tape, dlogits.contiguous(), gradients)
        ctx.tape = None
        kept = next(iter(net.parameters.values())).dtype
        return (None, None, *(gradients[name].to(kept) for name in layout.shapes))
