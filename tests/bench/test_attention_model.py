"""The trained model on a small scale: it learns, repeats, and keeps what its layers' attention sees."""

from __future__ import annotations

import hashlib

import pytest
import torch
from torch.nn import functional

from bench.attention_model import Block, Sizes, Training, corpus, layer_statistics, line, write_samples

SMALL = Sizes(layers=2, heads=8, width=128, context=128, batch=4, steps=12, warmup=2, rate=3e-3)


@pytest.fixture(scope="module")
def trained() -> Training:
    training = Training(SMALL, b"def f(x):\n    return x + 1\n" * 2000, "cpu")
    training.run((0, 12), compiled=False)
    return training


def test_it_learns_on_text_that_it_has_not_seen(trained):
    assert 5.4 < trained.unseen_losses[0] < 5.8, "no better than chance among 256 bytes: ln 256 = 5.55"
    assert trained.unseen_losses[12] < trained.unseen_losses[0] - 1.0


def test_the_same_seeds_train_the_same_model(trained):
    again = Training(SMALL, b"def f(x):\n    return x + 1\n" * 2000, "cpu")
    again.run((), compiled=False)
    assert again.losses == trained.losses
    assert again.kept == {}


def test_what_is_kept_is_what_attention_saw(trained):
    q, k, v = trained.kept[12][1]
    assert q.shape == k.shape == v.shape == (4, 8, 128, 16)
    assert q.dtype == torch.bfloat16
    x, _ = trained.batch(trained.unseen, torch.Generator().manual_seed(3))
    seen = {}

    def spy(*args, **kwargs):
        seen[len(seen)] = args
        return attention(*args, **kwargs)

    attention = functional.scaled_dot_product_attention
    functional.scaled_dot_product_attention = spy
    try:
        with torch.no_grad(), trained.autocast():
            trained.model(x, x)
    finally:
        functional.scaled_dot_product_attention = attention
    assert all(torch.equal(mine, theirs) for mine, theirs in zip((q, k, v), seen[1], strict=True))


def test_heads_are_split_and_joined_as_attention_means_them():
    """A block whose values pass through gives back what attention gives head by head."""
    torch.manual_seed(0)
    block = Block(SMALL)
    x = torch.randn(1, 8, 128)
    q, k, v = block.projected(x)
    normed = block.norm_attention(x) @ block.qkv.weight.T
    assert torch.allclose(q[0, 3], normed[0, :, 3 * 16 : 4 * 16], atol=1e-5)
    assert torch.allclose(v[0, 3], normed[0, :, 256 + 3 * 16 : 256 + 4 * 16], atol=1e-5)
    torch.nn.init.eye_(block.out.weight)
    torch.nn.init.zeros_(block.down.weight)
    third = functional.scaled_dot_product_attention(q[:, 3], k[:, 3], v[:, 3], is_causal=True)
    assert torch.allclose((block(x) - x)[0, :, 48:64], third[0], atol=1e-5)


def test_statistics_and_samples_of_every_layer_at_every_step(trained, tmp_path):
    found = layer_statistics(trained.kept)
    assert [(each["step"], each["layer"], each["tiles"]["tile_n"]) for each in found][:5] == [
        (0, 0, 64),
        (0, 0, 128),
        (0, 1, 64),
        (0, 1, 128),
        (12, 0, 64),
    ]
    assert "layer  1" in line(found[2])
    write_samples(trained.kept, tmp_path)
    sample = torch.load(tmp_path / "qkv-step-12.pt")
    assert (sample.shape, sample.dtype) == ((2, 3, 2, 128, 16), torch.float16)
    assert torch.equal(sample[1, 2, 1], trained.kept[12][1][2][0, 6].half())


def test_the_corpus_is_this_machines_python_and_says_so():
    text, told = corpus(100_000)
    again, _ = corpus(100_000)
    assert text == again
    assert (told["bytes"], told["sha256"]) == (100_000, hashlib.sha256(text).hexdigest())
    assert b"import" in text


def test_the_learning_rate_warms_up_and_falls_to_a_tenth():
    training = Training(SMALL, bytes(4000), "cpu")
    rates = [training.rate(step) for step in range(13)]
    assert rates[0] == pytest.approx(1.5e-3)
    assert max(rates) == rates[1] == rates[2] == pytest.approx(3e-3)
    assert rates[12] == pytest.approx(3e-4)
