"""Operators for PyTorch whose kernels are configured by laws and recorded runs. Needs torch; kernels need `spak[gpu]` and a GPU."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

import spak.kernels.attention.operator.library  # noqa: F401  # registers what the dispatcher calls
from spak.choice import Chooser
from spak.kernels.attention.operator.device import LaunchDevice
from spak.kernels.attention.operator.dispatch import AttentionOperator
from spak.kernels.interface import Configuration, Problem
from spak.kg.errors import KgError
from spak.kg.formats.nodes import HardwareName
from spak.library import Library, load

_OPERATORS: dict[str | int, tuple[object, AttentionOperator]] = {}
"""Law root or id of a library -> that, kept alive, and the operator that chooses by it."""


def attention(  # noqa: PLR0913  # of which three are what it is about
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    causal: bool = False,
    scale: float | None = None,
    q_offset: int = 0,
    deterministic: bool | None = None,
    laws: Library | str | None = None,
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
        return _in_graph(q, k, v, causal, scale, q_offset, deterministic, laws)
    operator = _OPERATORS[""][1] if laws is None and "" in _OPERATORS else _operator(laws)
    return operator(q, k, v, causal, scale, q_offset, deterministic)


def _operator(laws: Library | str | None) -> AttentionOperator:
    """The operator that chooses by `laws`, made when it is first asked for."""
    key = id(laws) if isinstance(laws, Library) else str(laws or "")
    if key not in _OPERATORS:
        library = laws if isinstance(laws, Library) else load(laws or None)
        _OPERATORS[key] = laws, AttentionOperator(str(key), _Choices(library))
    return _OPERATORS[key][1]


def _traced(q: Any, k: Any, v: Any, *rest: Any) -> Any:
    """What a compiler takes as one call: all that is decided is decided from shapes, while the graph is made."""
    *arguments, laws = rest
    return _operator(laws).dispatched(q, k, v, *arguments)


_in_graph = torch.compiler.allow_in_graph(_traced)


class _Choices:
    """The configuration for an op, problem size and device; None if none is feasible."""

    def __init__(self, library: Library) -> None:
        """Begin; no run is read before it is needed."""
        self._library = library
        self._chooser = cache(self._new_chooser)

    def __call__(self, op: str, problem: Problem, device: LaunchDevice, where: str) -> Configuration | None:
        """By the nearest recorded runs, else laws, else the default."""
        try:
            return self._chooser(op, device.hardware, device.arch).choose(dict(problem), where).configuration
        except KgError:
            return None

    def _new_chooser(self, op: str, hardware: str, arch: str) -> Chooser:
        return Chooser(self._library.laws, op, HardwareName(hardware, arch), self._library.toolchain)
