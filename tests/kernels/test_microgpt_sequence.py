"""MicroGPT's plan `sequence`, whole runs on the simulator against float64; scratch and outputs begin as NaN."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from spak.kernels.microgpt.model import num_parameters
from spak.kernels.microgpt.spec import SPEC, TrainingInputs, sizes_of
from tests.kernels.microgpt_plans import SEQUENCE, RunCase, simulated

pytest.importorskip("torch", reason="the reference is torch's")
pytest.importorskip("cuda.tile", reason="needs cuda-tile")

ONE_TILE, THREE_TILES = SEQUENCE
OUTPUTS = ("losses", "gradients", "parameters")


def inputs_of(case: RunCase) -> TrainingInputs:
    """As NumPy arrays."""
    return TrainingInputs(
        *(tensor.numpy() for tensor in vars(SPEC.make_inputs(case.problem, seed=1, device="cpu")).values())
    )


@cache
def run(case: RunCase):
    """All arrays after the run."""
    return simulated(case, inputs_of(case))


@pytest.mark.parametrize("case", SEQUENCE, ids=lambda case: case.name)
def test_a_run_is_that_of_float64(case):
    """Losses of all steps, the first gradient of every parameter, 0 exactly where float64's is, and the last parameters."""
    reference = SPEC.reference(SPEC.make_inputs(case.problem, seed=1, device="cpu"), case.problem)
    expected = {name: tensor.numpy() for name, tensor in vars(reference).items()}
    assert np.abs(run(case)["losses"] - expected["losses"]).max() < 2e-6
    for name, most in (("gradients", 2e-6), ("parameters", 1e-5)):  # Adam divides by what is near 0
        error = np.linalg.norm(run(case)[name] - expected[name]) / np.linalg.norm(expected[name])
        assert error < most, name
    assert ((run(case)["gradients"] == 0) == (expected["gradients"] == 0)).all()


def test_what_is_beyond_a_document_changes_nothing_and_padding_stays_zero():
    """Tokens after the last target are not looked at; no element of Weights but a parameter is ever anything but 0."""
    inputs = inputs_of(ONE_TILE)
    tokens = inputs.tokens.copy()
    for row, length in zip(tokens, inputs.lengths, strict=True):
        row[length + 1 :] = 0
    assert (tokens != inputs.tokens).any()
    other = simulated(ONE_TILE, TrainingInputs(inputs.initial, tokens, inputs.lengths, inputs.rates))
    for name in OUTPUTS:
        assert (other[name] == run(ONE_TILE)[name]).all()
    assert (other["weights"] != 0).sum() == num_parameters(sizes_of(ONE_TILE.problem))


def test_the_order_of_ctas_changes_no_bit():
    """Nothing is added atomically: parts are summed in the order of their numbers, and no launch reads what it writes."""
    back = simulated(THREE_TILES, inputs_of(THREE_TILES), order=lambda count: np.arange(count)[::-1])
    for name in OUTPUTS:
        assert (back[name] == run(THREE_TILES)[name]).all()


def test_each_layer_has_eight_launches_and_each_step_four_more():
    """Embedding, logits, matrices and Adam; before the first step and after the last one there are four."""
    for layers in (1, 3):
        case = replace(ONE_TILE, layers=layers, steps=5)
        assert len(SPEC.calls(case.problem, case.configuration)) == 5 * (8 * layers + 4) + 4


def test_counts_are_of_what_is_computed():
    """At sizes that need no padding the operations are the op's own formula, but for masked pairs, which are computed."""
    case = RunCase("", 32, 64, 2, 4, 64, 4, 3, plan="sequence")
    (float32,) = SPEC.work(case.problem, case.configuration)
    linear = 12 * case.layers * case.width**2 + case.width * case.vocab
    pairs = 2 * case.layers * case.context * case.width
    expected = 6 * case.steps * case.batch * case.context * (linear + pairs)
    assert float32.passes * float32.fp32_per_iteration == expected
    (tensor,) = SPEC.work(case.problem, replace(case, products="tf32x3").configuration)
    assert tensor.passes * tensor.tensor_flops_per_iteration == 3 * expected
