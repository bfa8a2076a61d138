"""The launches of the plan `resident`, and what one of its steps makes the machine do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from spak.kernels.cutile import Array, Call
from spak.kernels.interface import Configuration, Work
from spak.kernels.microgpt.model import EXPANSION, Model, num_parameters

FUNCTION = "train_kernel"
PRODUCTS_OF_A_STEP = 3
"""A product of the way forward needs two on the way back, one for each of its factors."""
ADAM_OPERATIONS = 13
"""Additions, multiplications, a root and a quotient that Adam makes of a parameter. Source: kernel.py, `adam`."""


def resident_calls(
    model: Model, arrays: Mapping[str, Array], configuration: Configuration, *, batch: int, steps: int
) -> Sequence[Call]:
    """One CTA after another, each for `steps_per_launch` steps; what one leaves in memory the next begins with."""
    arrays = {**arrays, "moments": Array("fp32", (2, num_parameters(model)))}
    order = ("initial", "tokens", "lengths", "rates", "moments", "losses", "parameters", "gradients")
    given = {name: arrays[name] for name in order}
    constants = (
        model.vocab,
        model.width,
        model.layers,
        model.heads,
        model.context,
        batch,
        configuration["head_products"] == "batched",
        configuration["moments"] == "tiles",
        configuration["backward_weights"] == "late",
    )
    size = int(configuration["steps_per_launch"])
    ends = [*range(size, steps, size), steps]
    return tuple(
        Call(FUNCTION, (1, 1, 1), given, (first, end), constants) for first, end in zip([0, *ends], ends, strict=False)
    )


def resident_work(model: Model, arrays: Mapping[str, Array], *, batch: int, steps: int) -> Work:
    """Counts of all launches together: an iteration is a document of one CTA, whose products are float32 operations.

    Counted are multiplications and additions of products over tiles of the context and the model's own sizes, and for
    each parameter what Adam computes; the exponentials are those of the softmax over tokens and over keys.
    """
    width, context = model.width, model.context
    of_layer = context * (4 + 2 * EXPANSION) * width * width + 2 * context * context * width
    products = context * model.vocab * width * 2 + model.layers * of_layer
    return Work(
        iterations=((1, steps * batch),),
        tensor_flops_per_iteration=0.0,
        exp2_per_iteration=float(context * (model.vocab + model.layers * model.heads * context)),
        fp32_per_iteration=2.0 * PRODUCTS_OF_A_STEP * products + ADAM_OPERATIONS * num_parameters(model) / batch,
        smem_bytes_per_iteration=0.0,
        global_bytes=4.0 * sum(math.prod(array.shape) for array in arrays.values()),
    )
