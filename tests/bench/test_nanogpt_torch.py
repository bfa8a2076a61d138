"""The baselines of NanoGPT's comparison compute one model: GPT-2; here on the CPU, in small."""

from __future__ import annotations

import pytest

from bench.nanogpt_cases import Batches, Case, Recipe, Run, agreeing
from spak.kernels.nanogpt.parameters import GptConfig, ParameterLayout, initial_gpt_parameters, parameter_shapes

torch = pytest.importorskip("torch")

from bench.nanogpt import contestants_of  # noqa: E402
from bench.nanogpt_cases import COMPILED, OURS  # noqa: E402
from bench.nanogpt_torch import OWN_GRAPHS, VARIANTS, TorchGpt, TorchTrainer, Variant  # noqa: E402

SMALL = Case(GptConfig(vocab=37, width=32, layers=2, heads=2, context=16), 3, Recipe(1e-2))


def weights(case=SMALL):
    """Biases and gains drawn too: at their initial values a forgotten one would not show."""
    flat = initial_gpt_parameters(case.config, 5)
    generator = torch.Generator().manual_seed(6)
    flat += 0.02 * torch.randn(flat.shape, generator=generator)
    return ParameterLayout.of(case.config).views(flat)


def steps(variant, count=4):
    trainer = TorchTrainer(SMALL, variant, weights(), Run([1e-2] * count, device="cpu"))
    batches = Batches(torch.arange(400) % 37, SMALL, count, 1, "cpu")
    losses = []
    for number in range(count):
        trainer.feed(batches[number])
        trainer.advance()
        losses.append(trainer.last_loss())
    return losses


def test_every_mode_of_torch_compile_is_a_baseline_unless_told_otherwise():
    """A mode that captures graphs of its own is not captured in another one; what is compiled is named so."""
    modes = {"default", *OWN_GRAPHS, "max-autotune-no-cudagraphs"}
    assert {variant.mode for variant in VARIANTS.values() if variant.mode} == modes
    assert not [name for name, each in VARIANTS.items() if each.captured and each.mode in OWN_GRAPHS]
    assert all(name.startswith(COMPILED) == (each.mode is not None) for name, each in VARIANTS.items())
    assert {*VARIANTS, OURS} <= set(contestants_of([]))
    assert contestants_of([OURS]) == [OURS]


def test_both_kinds_of_attention_train_alike():
    """The matrix with its mask, and SDPA."""
    by_matrix, by_sdpa = steps(Variant("matrix")), steps(Variant())
    assert agreeing(by_matrix, by_sdpa) < 0.02
    assert by_sdpa[-1] < by_sdpa[0] - 0.3  # it learns: the text counts upwards


def test_parameters_are_those_of_the_flat_buffer():
    """Same names, and same shapes but for the rows that fill up the vocabulary."""
    shapes = {name: tuple(p.shape) for name, p in TorchGpt(SMALL.config).named_parameters()}
    expected = parameter_shapes(SMALL.config)
    assert shapes == {**expected, "wte.weight": (37, 32)}


def test_no_position_sees_a_later_one():
    """With either attention."""
    for attention in ("matrix", "sdpa"):
        model = TorchGpt(SMALL.config, attention)
        model.load(weights())
        x = torch.randint(0, 37, (1, 16), generator=torch.Generator().manual_seed(0))
        changed = x.clone()
        changed[0, 9] = (x[0, 9] + 1) % 37
        difference = (model.logits(x) - model.logits(changed)).abs().amax((0, 2))
        assert difference[:9].max() < 1e-5 < difference[9:].min()


def test_targets_follow_inputs_and_seeds_repeat():
    """Every contestant sees the same text, shifted by one."""
    data = torch.arange(100)
    batches = Batches(data, SMALL, 5, 3, "cpu")
    x, y = batches[4]
    assert torch.equal(x + 1, y)
    assert torch.equal(batches[4], Batches(data, SMALL, 5, 3, "cpu")[4])
    assert torch.equal(batches[5], batches[0])
