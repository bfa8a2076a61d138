"""The definition."""

from __future__ import annotations

from typing import Any


def embedding(ids: Any, wte: Any, wpe: Any) -> Any:
    """(tokens, width): each token's vector plus that of its position, its number modulo wpe's rows, in their type."""
    import torch

    return wte[ids.long()] + wpe[torch.arange(len(ids), device=ids.device) % len(wpe)]
