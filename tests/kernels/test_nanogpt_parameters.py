"""Where NanoGPT's parameters lie, what they begin with, and weights of GPT-2's shapes."""

from __future__ import annotations

import math

import pytest

from spak.kernels.nanogpt.parameters import GptConfig, ParameterLayout, initial_gpt_parameters, num_gpt_parameters

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")

from spak.kernels.nanogpt.state_dict import from_state_dict, to_state_dict  # noqa: E402

SMALL = GptConfig(vocab=65, width=24, layers=2, heads=3, context=5)


def test_parameters_are_aligned_apart_and_decayed_first():
    """Kernels take the buffer whole: weight decay ends at one element, and no parameter begins inside a line."""
    layout = ParameterLayout.of(SMALL)
    ends = {name: layout.offsets[name] + math.prod(shape) for name, shape in layout.shapes.items()}
    assert all(offset % 64 == 0 for offset in layout.offsets.values())
    assert all(
        end <= begin for end, begin in zip(list(ends.values())[:-1], list(layout.offsets.values())[1:], strict=True)
    )
    assert {name for name in ends if layout.offsets[name] < layout.decayed} == {
        name for name, shape in layout.shapes.items() if len(shape) == 2
    }
    assert layout.decayed % 64 == layout.size % 64 == 0
    views = layout.views(torch.arange(layout.size))
    assert {name: int(view.flatten()[0]) for name, view in views.items()} == dict(layout.offsets)


def test_gpt_2_has_the_published_number_of_parameters():
    """124,439,808: the smallest GPT-2 of OpenAI's release, its positions included."""
    assert num_gpt_parameters(GptConfig(vocab=50_257)) == 124_439_808
    assert ParameterLayout.of(GptConfig(vocab=50_257)).shapes["wte.weight"] == (50_304, 768)


def test_without_bias_linear_layers_and_norms_have_none():
    names = ParameterLayout.of(GptConfig(vocab=65, width=24, layers=1, heads=3, context=5, bias=False)).shapes
    assert not [name for name in names if name.endswith("bias")]


def test_initial_parameters_are_nanogpts():
    """Deviation 0.02, less where a matrix writes to the residual stream; padding rows of the vocabulary are 0."""
    config = GptConfig(vocab=65, width=192, layers=8, heads=3, context=64)
    views = ParameterLayout.of(config).views(initial_gpt_parameters(config, seed=1))
    assert float(views["h.0.mlp.c_fc.weight"].std()) == pytest.approx(0.02, rel=0.03)
    assert float(views["h.0.mlp.c_proj.weight"].std()) == pytest.approx(0.02 / 4, rel=0.03)
    assert float(views["wte.weight"][:65].std()) == pytest.approx(0.02, rel=0.05)
    assert not views["wte.weight"][65:].any()
    assert bool((views["ln_f.weight"] == 1).all())
    assert not views["h.3.attn.c_attn.bias"].any()
    assert torch.equal(initial_gpt_parameters(config, 1), initial_gpt_parameters(config, 1))
    assert not torch.equal(initial_gpt_parameters(config, 1), initial_gpt_parameters(config, 2))


def test_weights_go_out_and_come_back():
    """Names are nanoGPT's; padding rows stay at home."""
    flat = initial_gpt_parameters(SMALL, 3)
    state = to_state_dict(SMALL, flat)
    assert state["lm_head.weight"] is state["transformer.wte.weight"]
    assert state["transformer.wte.weight"].shape == (65, 24)
    assert torch.equal(from_state_dict(SMALL, state), flat)


def test_gpt_2s_own_file_has_transposed_matrices_and_masks():
    """OpenAI's Conv1D keeps (inputs, outputs), and square matrices do not show it."""
    flat = initial_gpt_parameters(SMALL, 3)
    state = {name.removeprefix("transformer."): value for name, value in to_state_dict(SMALL, flat).items()}
    del state["lm_head.weight"]
    conv1d = {name: value.T if name.startswith("h.") and value.ndim == 2 else value for name, value in state.items()}
    conv1d["h.0.attn.bias"] = torch.ones(1, 1, 5, 5).tril()
    conv1d["h.1.attn.masked_bias"] = torch.tensor(-1e4)
    assert torch.equal(from_state_dict(SMALL, conv1d), flat)


def test_a_padded_vocabulary_loads_too():
    flat = initial_gpt_parameters(SMALL, 3)
    state = to_state_dict(SMALL, flat)
    padded = torch.cat((state["transformer.wte.weight"], torch.full((63, 24), 7.0)))
    state["transformer.wte.weight"] = state["lm_head.weight"] = padded
    assert torch.equal(from_state_dict(SMALL, state), flat)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transformer.ln_f.bias": None}, r"ln_f.bias: not in the state dict \(1 of 28 are missing\)"),
        (
            {"transformer.h.2.ln_1.bias": torch.zeros(24)},
            "h.2.ln_1.bias: no parameter of a model with 2 layers, bias=True",
        ),
        ({"transformer.wpe.weight": torch.zeros(6, 24)}, r"wpe.weight: must be \(5, 24\) \(got \(6, 24\)\)"),
        ({"transformer.ln_f.bias": torch.zeros(24, dtype=torch.int8)}, "ln_f.bias: must be floating point"),
        ({"lm_head.weight": torch.zeros(65, 24)}, "lm_head.weight: differs from wte.weight"),
    ],
    ids=["missing", "unknown", "shape", "dtype", "untied"],
)
def test_weights_of_another_model_are_refused_by_name(change, message):
    state = to_state_dict(SMALL, initial_gpt_parameters(SMALL, 3)) | change
    with pytest.raises(ValueError, match=message):
        from_state_dict(SMALL, {name: value for name, value in state.items() if value is not None})


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"width": 100}, "heads: must divide width"),
        ({"layers": 0}, "layers: must be a whole number, at least 1"),
        ({"context": 2.5}, "context: must be a whole number"),
        ({"heads": True}, "heads: must be a whole number"),
        ({"residual_dtype": "float16"}, "residual_dtype: float32 or bfloat16"),
    ],
)
def test_sizes_that_make_no_model_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        GptConfig(**sizes)
