"""The model's sizes, and where each of its parameters lies in one flat buffer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

ALIGNMENT = 64
"""Each parameter begins at a multiple of so many elements: 128 bytes of bf16, a whole line of L2."""
MLP_EXPANSION = 4
"""Width of the MLP over the model's. Source: GPT-2."""
INITIAL_DEVIATION = 0.02
"""Of every initial weight; matrices that write to the residual stream have it over sqrt(2 layers). Source: GPT-2, 2.3."""
RESIDUAL_DTYPES = ("float32", "bfloat16")
_ENDS_OF_BRANCHES = "c_proj.weight"


@dataclass(frozen=True)
class GptConfig:
    """Sizes of the model; the defaults are GPT-2's with 124M parameters, its vocabulary filled up as nanoGPT does.

    Attributes:
        vocab: Tokens that take part in the softmax.
        width: Elements of a token's vector; a multiple of `heads`.
        layers: Of attention and MLP.
        heads: Of attention.
        context: Most positions of a sequence.
        bias: Whether linear layers and norms have one.
        residual_dtype: What the residual stream is kept in where activations are bf16: float32, as autocast has it, or
            bfloat16. Where activations are wider, it is as they are.
    """

    vocab: int = 50_304
    width: int = 768
    layers: int = 12
    heads: int = 12
    context: int = 1024
    bias: bool = True
    residual_dtype: str = "float32"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "int" and (type(value) is not int or value < 1):
                raise ValueError(f"{field.name}: must be a whole number, at least 1 (got {value!r})")
        if self.width % self.heads:
            raise ValueError(f"heads: must divide width (got {self.heads} heads, width {self.width})")
        if self.residual_dtype not in RESIDUAL_DTYPES:
            raise ValueError(f"residual_dtype: {' or '.join(RESIDUAL_DTYPES)} (got {self.residual_dtype!r})")

    @property
    def head_dim(self) -> int:
        """Elements of a head's queries, keys and values."""
        return self.width // self.heads

    @property
    def padded_vocab(self) -> int:
        """Rows of `wte.weight`: `vocab`, filled up to a multiple of 64 with rows that are 0 and stay so."""
        return rounded_up(self.vocab)


def rounded_up(count: int) -> int:
    """The least multiple of `ALIGNMENT` that is at least `count`."""
    return -(-count // ALIGNMENT) * ALIGNMENT


def parameter_shapes(config: GptConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter by GPT-2's name, in the order of the flat buffer: those with weight decay first.

    Matrices are (outputs, inputs) as `torch.nn.Linear` has them; `lm_head.weight` is `wte.weight`. Decayed is what has two
    dimensions, as in nanoGPT.
    """
    shapes = _named_shapes(config)
    return {name: shape for dims in (2, 1) for name, shape in shapes.items() if len(shape) == dims}


def _named_shapes(config: GptConfig) -> dict[str, tuple[int, ...]]:
    width, hidden = config.width, MLP_EXPANSION * config.width
    shapes: dict[str, tuple[int, ...]] = {"wte.weight": (config.padded_vocab, width)}
    shapes["wpe.weight"] = (config.context, width)
    for layer in range(config.layers):
        block = f"h.{layer}"
        shapes |= _norm(f"{block}.ln_1", config)
        shapes |= _layer(f"{block}.attn.c_attn", (3 * width, width), config)
        shapes |= _layer(f"{block}.attn.c_proj", (width, width), config)
        shapes |= _norm(f"{block}.ln_2", config)
        shapes |= _layer(f"{block}.mlp.c_fc", (hidden, width), config)
        shapes |= _layer(f"{block}.mlp.c_proj", (width, hidden), config)
    return shapes | _norm("ln_f", config)


def _layer(name: str, shape: tuple[int, int], config: GptConfig) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, **({f"{name}.bias": shape[:1]} if config.bias else {})}


def _norm(name: str, config: GptConfig) -> dict[str, tuple[int, ...]]:
    return {f"{name}.{part}": (config.width,) for part in ("weight", "bias")[: 1 + config.bias]}


@dataclass(frozen=True)
class ParameterLayout:
    """Where parameters lie in the flat buffer; what lies between two is 0 in every buffer, and stays so.

    Attributes:
        shapes: By name, in order.
        offsets: First element of each.
        decayed: Elements before this one have weight decay.
        size: Elements of the buffer.
    """

    shapes: Mapping[str, tuple[int, ...]]
    offsets: Mapping[str, int]
    decayed: int
    size: int

    @classmethod
    def of(cls, config: GptConfig) -> ParameterLayout:
        """Parameters one after the other, each aligned."""
        shapes, offsets, end, decayed = parameter_shapes(config), {}, 0, 0
        for name, shape in shapes.items():
            offsets[name] = end
            end += rounded_up(math.prod(shape))
            decayed = end if len(shape) > 1 else decayed
        return cls(shapes, offsets, decayed, end)

    def views(self, flat: Any) -> dict[str, Any]:
        """Every parameter as a view of a flat tensor (size,)."""
        return {name: flat[self.offsets[name] :][: math.prod(shape)].view(shape) for name, shape in self.shapes.items()}


def num_gpt_parameters(config: GptConfig) -> int:
    """Parameters, without what fills up the vocabulary."""
    shapes = parameter_shapes(config)
    return sum(map(math.prod, shapes.values())) - (config.padded_vocab - config.vocab) * config.width


def initial_gpt_parameters(config: GptConfig, seed: int) -> Any:
    """(size,) float32 on the CPU: weights Gaussian, gains 1, biases 0."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    layout = ParameterLayout.of(config)
    flat = torch.zeros(layout.size)
    for name, view in layout.views(flat).items():
        if view.ndim == 1:
            view.fill_(float(name.endswith("weight")))
            continue
        deviation = (
            INITIAL_DEVIATION / math.sqrt(2 * config.layers) if name.endswith(_ENDS_OF_BRANCHES) else INITIAL_DEVIATION
        )
        rows = config.vocab if name == "wte.weight" else len(view)
        view[:rows].normal_(0.0, deviation, generator=generator)
    return flat
