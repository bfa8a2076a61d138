"""New text from a trained model, token by token."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from spak.kernels.nanogpt.passes import Network, gpt_forward
from spak.kernels.nanogpt.torch_operators import torch_operators


def sampled_tokens(network: Network, start: int, length: int, *, temperature: float, seed: int) -> list[int]:
    """`length` tokens after `start`; the last `context` of them are what each depends on.

    By PyTorch's operators, whatever trained: every token has another length, for which no kernel is chosen.

    Args:
        network: The model; nothing is dropped.
        start: First token, which is not returned.
        length: Tokens, at least 1.
        temperature: Logits are divided by it; above 0.
        seed: Of the draws, which are made on the CPU.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    plain = replace(network, operators=torch_operators(), dropout=0.0)
    config, tokens = network.config, [start]
    device: Any = network.weight("wte").device
    with torch.no_grad():
        while len(tokens) <= length:
            given = torch.tensor([tokens[-config.context :]], dtype=torch.int32, device=device)
            last = gpt_forward(plain, given)[0][-1, : config.vocab].double().cpu()
            chances = (last / temperature).softmax(0)
            tokens.append(int(torch.multinomial(chances, 1, generator=generator)))
    return tokens[1:]
