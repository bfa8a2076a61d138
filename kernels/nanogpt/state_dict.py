"""Weights in and out of GPT-2-shaped state dicts: OpenAI's transposed matrices, nanoGPT's, and our own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spak.kernels.nanogpt.parameters import GptConfig, ParameterLayout

_PREFIX = "transformer."
_HEAD = "lm_head.weight"
_MASKS = (".attn.bias", ".attn.masked_bias")
"""Buffers that some versions of GPT-2 keep: the causal mask, which is no parameter."""


def from_state_dict(config: GptConfig, state: Mapping[str, Any]) -> Any:
    """(size,) float32: the flat buffer with these weights.

    Names may begin with `transformer.`, matrices of blocks may be (inputs, outputs) as GPT-2's Conv1D has them, and
    `wte.weight` may have from `vocab` to `padded_vocab` rows. `lm_head.weight`, if it is there, must be `wte.weight`.

    Raises:
        ValueError: If a parameter is missing, unknown, of another shape or no floating-point tensor; names it.
    """
    import torch

    named = {name.removeprefix("_orig_mod.").removeprefix(_PREFIX): value for name, value in state.items()}
    given = {name: value for name, value in named.items() if not name.endswith(_MASKS)}
    head = given.pop(_HEAD, None)
    layout = ParameterLayout.of(config)
    _refuse_names(set(layout.shapes), set(given), config)
    if head is not None and not torch.equal(head, given["wte.weight"]):
        raise ValueError(f"{_HEAD}: differs from wte.weight; this model has one matrix for both")
    first = given["h.0.attn.c_attn.weight"]
    transposed = tuple(first.shape) == (config.width, 3 * config.width)
    flat = torch.zeros(layout.size)
    for name, view in layout.views(flat).items():
        value = given[name]
        if not value.is_floating_point():
            raise ValueError(f"{name}: must be floating point (got {value.dtype})")
        if transposed and name.startswith("h.") and value.ndim == 2:  # noqa: PLR2004  # a matrix
            value = value.T
        rows = _fitting_rows(name, tuple(value.shape), config, tuple(view.shape))
        view[:rows].copy_(value[:rows])
    return flat


def _refuse_names(wanted: set[str], given: set[str], config: GptConfig) -> None:
    if missing := sorted(wanted - given):
        raise ValueError(f"{missing[0]}: not in the state dict ({len(missing)} of {len(wanted)} are missing)")
    if unknown := sorted(given - wanted):
        raise ValueError(f"{unknown[0]}: no parameter of a model with {config.layers} layers, bias={config.bias}")


def _fitting_rows(name: str, got: tuple[int, ...], config: GptConfig, wanted: tuple[int, ...]) -> int:
    if name == "wte.weight" and config.vocab <= got[0] <= config.padded_vocab and got[1:] == wanted[1:]:
        return config.vocab  # what fills up is 0 here, whatever it is there: it takes no part
    if got != wanted:
        raise ValueError(f"{name}: must be {wanted} (got {got})")
    return wanted[0]


def to_state_dict(config: GptConfig, flat: Any) -> dict[str, Any]:
    """Copies by nanoGPT's names: `transformer.` before each but the tied `lm_head.weight`, without padding rows."""
    views = ParameterLayout.of(config).views(flat)
    views["wte.weight"] = views["wte.weight"][: config.vocab]
    found = {_PREFIX + name: view.clone() for name, view in views.items()}
    return {**found, _HEAD: found[_PREFIX + "wte.weight"]}
