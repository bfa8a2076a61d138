"""Inputs that attention is judged on: what its scores look like decides what an online softmax has to do.

Q, K and V are standard normal, so scaled scores are too, with two changes. A factor on Q and K sets the scores' standard
deviation. Channel 0 can carry an offset: it is the same number in every query, and in a key what makes its scores higher
by the offset for all queries alike, as the few large channels do that make a trained model look at its first token.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spak.kernels.attention.problem import Inputs, Shape
from spak.kernels.cutile import DTYPES
from spak.kernels.interface import Problem

RISE = 30.0
"""What rising scores gain from the first key to the last, natural units: 43 powers of two, where fp16 ends at 16."""


@dataclass(frozen=True)
class Distribution:
    """How inputs are drawn.

    Attributes:
        meaning: For people, of the scaled scores, in natural units.
        std: Standard deviation of a row's scaled scores, the offset aside.
        offset: (key, number of keys) -> what is added to the key's scaled scores, at least 0; none leaves channel 0 normal.
    """

    meaning: str
    std: float = 1.0
    offset: Callable[[int, int], float] | None = None


def rising(key: int, num_keys: int) -> float:
    """From 0 to `RISE`, evenly."""
    return RISE * key / max(1, num_keys - 1)


def sink(key: int, num_keys: int) -> float:
    """As high for key 0 as that a row which sees all the keys, normal ones, gives it about half of its weight."""
    return 0.0 if key else math.log(num_keys) + 0.5  # the mean of exp(x) is exp(1/2) for standard normal x


DISTRIBUTIONS: Mapping[str, Distribution] = {
    "normal": Distribution("standard normal"),
    "std-2": Distribution("normal, standard deviation 2", 2.0),
    "std-4": Distribution("normal, standard deviation 4", 4.0),
    "std-6": Distribution("normal, standard deviation 6", 6.0),
    "rising": Distribution(f"normal, and rising by {RISE:g} from the first key to the last", offset=rising),
    "sink": Distribution("normal, and the first key takes half of a full row's weight", offset=sink),
}
"""Every kind of inputs by name; `normal` is what specs draw themselves."""


def draw(name: str, problem: Problem, *, seed: int, device: str) -> Inputs:
    """Inputs of the kind `name` in the problem's dtype; the same seed gives the same normal numbers under all of them.

    Raises:
        ValueError: If there is no such kind.
    """
    import torch

    if name not in DISTRIBUTIONS:
        raise ValueError(f"name: no inputs are called {name!r}; known: {', '.join(DISTRIBUTIONS)}")
    shape, how = Shape.of(problem), DISTRIBUTIONS[name]
    generator = torch.Generator(device=device).manual_seed(seed)
    q, k, v = (
        torch.randn(array.shape, generator=generator, device=device, dtype=torch.float32)
        for array in (shape.queries, shape.keys, shape.keys)
    )
    if how.std != 1.0:
        q, k = q * math.sqrt(how.std), k * math.sqrt(how.std)
    if how.offset:
        _carry(q, k, [how.offset(key, shape.seq_kv) for key in range(shape.seq_kv)])
    return Inputs(*(x.to(getattr(torch, DTYPES[shape.dtype])) for x in (q, k, v)))


def _carry(q: Any, k: Any, offsets: list[float]) -> None:
    """Put into channel 0 what adds offsets (Skv) to the scaled scores; Q and K get alike large numbers."""
    import torch

    products = torch.tensor(offsets, device=q.device) * math.sqrt(q.shape[-1])
    root = math.sqrt(float(products.max())) or 1.0
    q[..., 0] = root
    k[..., 0] = products / root
