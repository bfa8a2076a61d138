"""The launches of the plan `sequence`: before the first step, of every step, after the last one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from importlib import import_module

from spak.kernels.cutile import Array, Call, ceil_div
from spak.kernels.interface import Configuration, Work
from spak.kernels.microgpt.model import EXPANSION, Model
from spak.kernels.microgpt.resident.launch import PRODUCTS_OF_A_STEP
from spak.kernels.microgpt.sequence.layout import NUM_OF_MODEL, Layout

PRODUCT_FORMS = {"fp32": "FP32", "tf32x3": "TF32X3"}
"""The op's name of a variant -> the constant of tile_kernel.py."""

SMALLEST_SIDE = 16
"""A tile of a product has no fewer rows or columns."""

MOST_TILE_X = 64
"""Columns of a tile where a sum over the hidden layer, or over rows, is shared by several CTAs."""

ROWS_OF_A_PASS = 64
"""Rows that the launch for the matrices multiplies at once."""

WITHOUT_PRODUCTS = tuple(f"{name}_kernel" for name in ("begin", "clear", "embed", "adam", "end", "loss"))
"""Functions that the hints for worker warps do not concern."""

TF32_PRODUCTS = 3
"""Of tensor cores for one of float32; see tile_kernel.py."""

ROWS_OF_AN_UPDATE = 16
"""Rows of Weights that a CTA updates."""


def tile_side(size: int) -> int:
    """The least power of two from `size` on that a side of a tile may have."""
    return max(SMALLEST_SIDE, 1 << (size - 1).bit_length())


def layout_of(model: Model, batch: int, configuration: Configuration) -> Layout:
    """What lies where."""
    tile_t = min(int(configuration["tile_t"]), tile_side(model.context))
    tile_d, tile_v = tile_side(model.head_dim), tile_side(model.vocab)
    return Layout(
        layers=model.layers,
        heads=model.heads,
        width=model.width,
        vocab=model.vocab,
        batch=batch,
        positions=ceil_div(model.context, tile_t) * tile_t,
        tile_c=tile_side(model.width),
        tile_d=tile_d,
        tile_v=tile_v,
        unit=max(tile_d, tile_v, int(configuration["tile_n"]), int(configuration["tile_w"]), ROWS_OF_AN_UPDATE),
    )


@dataclass(frozen=True)
class SequencePlan:
    """All launches of a run of `steps` steps.

    Attributes:
        arrays: What the run begins with, trains on and leaves, by the op's names.
    """

    model: Model
    layout: Layout
    configuration: Configuration
    arrays: Mapping[str, Array]
    steps: int

    @property
    def rows(self) -> int:
        """Positions of a batch, in whole tiles."""
        return self.layout.batch * self.layout.positions

    @property
    def weight_rows(self) -> int:
        """Rows of Weights."""
        return self.layout.layer(self.layout.layers)

    @property
    def tile_m(self) -> int:
        """Rows of a tile, a power of two that divides them; they may be of several documents."""
        return self._rows_in_tiles_of(int(self.configuration["tile_m"]))

    @property
    def tile_k(self) -> int:
        """Rows in a pass of the launch for the matrices."""
        return self._rows_in_tiles_of(ROWS_OF_A_PASS)

    @property
    def tile_t(self) -> int:
        """Positions of a document in a tile of attention."""
        return min(int(self.configuration["tile_t"]), tile_side(self.model.context))

    @property
    def tile_x(self) -> int:
        """Columns of a tile where CTAs share the model's width."""
        return min(self.layout.tile_c, MOST_TILE_X)

    @property
    def splits(self) -> int:
        """Parts of the rows, each a whole number of passes; at most as many as were asked for."""
        passes, splits = self.rows // self.tile_k, int(self.configuration["splits"])
        while passes % splits:
            splits -= 1
        return splits

    def calls(self) -> Sequence[Call]:
        """Every launch, in order."""
        of_steps = (call for step in range(self.steps) for call in self.step(step))
        return (self.begin, self.clear, *of_steps, self.end, self.losses)

    def step(self, number: int) -> Iterator[Call]:
        """Launches of one step."""
        yield self._over_rows("embed", ("weights", "left", "right", "terms", "tokens"), (number,), hot=False)
        yield from self._there
        arrays = ("weights", "left", "right", "tokens", "lengths", "loss_parts")
        yield self._over_rows("head", arrays, (number,), (self._products,), hot=False)
        yield from self._back
        yield self._adam(number)

    @cached_property
    def _there(self) -> Sequence[Call]:
        return tuple(call for layer in range(self.layout.layers) for call in self._forward(layer))

    @cached_property
    def _back(self) -> Sequence[Call]:
        layers = reversed(range(self.layout.layers))
        return (*(call for layer in layers for call in self._backward(layer)), self._weights)

    def _forward(self, layer: int) -> Iterator[Call]:
        s, tile_n = self.layout, self._tile_n
        constants = (tile_n, self._products)
        yield self._over_rows(
            "project", ("weights", "right", "heads", "terms"), (layer,), constants, columns=3 * s.attention() // tile_n
        )
        yield self._over_heads("attend", layer)
        arrays = ("weights", "left", "right", "terms")
        yield self._over_rows("expand", arrays, (layer,), constants, columns=s.hidden() // tile_n)
        shared = (tile_n, self.tile_x, self._products)
        yield self._over_rows(
            "contract", ("weights", "left", "right"), (layer,), shared, columns=s.tile_c // self.tile_x
        )

    def _backward(self, layer: int) -> Iterator[Call]:
        constants, columns = (self._tile_n, self._products), self.layout.hidden() // self._tile_n
        yield self._over_rows("contract_back", ("weights", "left", "right"), (layer,), constants, columns=columns)
        yield self._over_rows("expand_back", ("weights", "left", "right", "heads", "terms"), (layer,), constants)
        yield self._over_heads("attend_back", layer)
        yield self._over_rows("project_back", ("weights", "left", "right", "terms"), (layer,), constants)

    def _over_rows(
        self,
        name: str,
        arrays: Sequence[str],
        scalars: tuple[int, ...],
        constants: tuple[int, ...] = (),
        *,
        columns: int = 1,
        hot: bool = True,
    ) -> Call:
        grid = (self.rows // self.tile_m, columns, 1)
        every = (*astuple(self.layout), self.tile_m, *constants)
        return Call(f"{name}_kernel", grid, self._chosen(*arrays), scalars, every, hot=hot)

    def _over_heads(self, name: str, layer: int) -> Call:
        grid = (self.rows // self.tile_t, self.layout.heads, 1)
        constants = (*astuple(self.layout), self.tile_t, self._products)
        return Call(f"{name}_kernel", grid, self._chosen("left", "heads", "terms"), (layer,), constants, hot=False)

    @property
    def _weights(self) -> Call:
        s, tile_w, tile_x = self.layout, int(self.configuration["tile_w"]), self.tile_x
        grid = (self.weight_rows // tile_w * (s.tile_c // tile_x), self.splits, 1)
        sizes = (s.layers, s.logits(), s.layer(0), s.attention(), s.hidden())
        constants = (*sizes, tile_w, tile_x, s.tile_c, self.tile_k, self._products)
        passes = self.rows // self.tile_k // self.splits
        return Call("weights_kernel", grid, self._chosen("left", "right", "parts"), (passes,), constants)

    def _adam(self, step: int) -> Call:
        arrays = self._chosen("weights", "means", "squares", "parts", "gradient", "rates")
        constants = (self.splits, ROWS_OF_AN_UPDATE, self.layout.tile_c)
        return Call("adam_kernel", self._over_weights, arrays, (step,), constants, hot=False)

    @property
    def begin(self) -> Call:
        """Before the first step: parameters into Weights, moments of 0."""
        arrays = self._chosen("initial", "weights", "means", "squares")
        return Call("begin_kernel", self._over_weights, arrays, (), self._places, hot=False)

    @property
    def clear(self) -> Call:
        """Before the first step: what rows leave for the gradients of the matrices."""
        s = self.layout
        grid = (self.rows // self.tile_m, self.weight_rows // s.unit, 1)
        constants = (s.positions, s.tokens(), self.tile_m, s.unit)
        return Call("clear_kernel", grid, self._chosen("left"), (), constants, hot=False)

    @property
    def end(self) -> Call:
        """After the last step: parameters and the first gradient out of the layout of Weights."""
        arrays = self._chosen("weights", "gradient", "parameters", "gradients")
        return Call("end_kernel", self._over_weights, arrays, (), self._places, hot=False)

    @property
    def losses(self) -> Call:
        """After the last step: the loss of each."""
        parts = self.rows // self.tile_m
        arrays = self._chosen("loss_parts", "losses")
        return Call("loss_kernel", (self.steps, 1, 1), arrays, (), (parts, tile_side(parts)), hot=False)

    def _rows_in_tiles_of(self, size: int) -> int:
        return min(size, self.rows & -self.rows)

    @property
    def _tile_n(self) -> int:
        return int(self.configuration["tile_n"])

    @property
    def _products(self) -> int:
        module = import_module("spak.kernels.microgpt.sequence.tile_kernel")
        return int(getattr(module, PRODUCT_FORMS[str(self.configuration["products"])]))

    @property
    def _places(self) -> tuple[int, ...]:
        return (*astuple(self.layout), self.model.context, ROWS_OF_AN_UPDATE)

    @property
    def _over_weights(self) -> tuple[int, int, int]:
        return (self.weight_rows // ROWS_OF_AN_UPDATE, 1, 1)

    def _chosen(self, *names: str) -> dict[str, Array]:
        return {name: self.every[name] for name in names}

    @cached_property
    def every(self) -> Mapping[str, Array]:
        """All arrays by name, scratch included."""
        s = self.layout
        like_weights = Array("fp32", (self.weight_rows, s.tile_c))
        scratch = {
            "weights": like_weights,
            "left": Array("fp32", (self.rows, self.weight_rows)),
            "right": Array("fp32", (self.rows, s.of_model(NUM_OF_MODEL) * s.tile_c)),
            "heads": Array("fp32", (self.rows, s.in_heads(s.layers, 0))),
            "terms": Array("fp32", (s.log_sum_exp(s.layers, 0), self.rows)),
            "loss_parts": Array("fp32", (self.steps, self.rows // self.tile_m)),
            "parts": Array("fp32", (self.splits, self.weight_rows, s.tile_c)),
            "means": like_weights,
            "squares": like_weights,
            "gradient": like_weights,
        }
        return {**self.arrays, **scratch}


def sequence_work(plan: SequencePlan) -> Work:
    """Counts of all launches as one: an iteration is a tile of rows on its way there and back, with its share of the gradients.

    Counted are the products of the model, three for each of the way forward, over the padded sizes that are computed.
    """
    s, tile_m = plan.layout, plan.tile_m
    hidden = s.whole(EXPANSION * s.width)
    linear = s.layers * (4 * s.attention() + 2 * hidden) * s.tile_c + s.tile_v * s.tile_c
    attention = 2 * s.layers * s.heads * s.positions * s.tile_d
    flops = 2.0 * PRODUCTS_OF_A_STEP * tile_m * (linear + attention)
    tensor = plan.configuration["products"] == "tf32x3"
    return Work(
        iterations=((plan.rows // tile_m, plan.steps),),
        tensor_flops_per_iteration=TF32_PRODUCTS * flops if tensor else 0.0,
        exp2_per_iteration=float(tile_m * (s.tile_v + s.layers * s.heads * s.positions)),
        fp32_per_iteration=0.0 if tensor else flops,
        smem_bytes_per_iteration=0.0,
        global_bytes=float(sum(4 * math.prod(array.shape) for array in plan.every.values())),
    )
