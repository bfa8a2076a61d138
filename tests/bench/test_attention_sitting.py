"""In what order one run measures, and what it leaves out."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench import attention, attention_backward
from bench.attention_sitting import Training, character_model, in_order, steps


def planned(sizes, *, forward=(), backward=(), model=(attention.MODEL, attention.CHAR), failing=()):
    """(size, step) as they would be done; a backward pass that does not fail leaves its choice."""
    sitting = SimpleNamespace(
        models={name: {0: {}} for name in model},
        forward_results=SimpleNamespace(sizes=set(forward)),
        backward_results=SimpleNamespace(sizes=set(backward)),
        chosen={},
        measure_forward="forward",
        measure_backward="backward",
        gradient_errors="errors",
    )
    done = []
    for size, step, problem in steps(sitting, sizes):
        assert problem in (attention.problems().get(size), attention_backward.problems().get(size))
        done.append((size, step))
        if step == "backward" and size not in failing:
            sitting.chosen[size] = {}
    return done


def test_every_size_of_both_passes_is_measured_once():
    assert sorted(in_order()) == sorted({*attention.problems(), *attention_backward.problems()})


def test_times_come_before_errors_and_a_forward_pass_before_its_backward_pass():
    first, second = "d64-s1024-causal", "d64-s16384-full"
    assert planned([first, second]) == [
        *((size, step) for size in (first, second) for step in ("forward", "backward")),
        *((size, "errors") for size in (first, second)),
    ]


def test_what_the_results_have_and_what_failed_is_left_out():
    assert planned(["d64-s1024-causal"], forward=["d64-s1024-causal"], backward=["d64-s1024-causal"]) == []
    failed = planned(["d64-s1024-causal"], failing=["d64-s1024-causal"])
    assert ("d64-s1024-causal", "errors") not in failed


def test_without_a_trained_model_its_sizes_have_no_forward_pass():
    assert planned(["nanogpt-124m", "nanogpt-124m-fp16"], model=[attention.CHAR]) == [
        ("nanogpt-124m-fp16", "backward"),
        ("nanogpt-124m-fp16", "errors"),
    ]
    assert planned(["nanogpt-char", "nanogpt-124m"], model=[attention.CHAR]) == [("nanogpt-char", "forward")]


def test_of_the_character_model_three_layers_are_judged_at_every_step(tmp_path):
    """As bench.nanogpt_training writes them, all layers of each step; without its file there are none."""
    torch = pytest.importorskip("torch")
    layers = {layer: tuple(torch.full((2, 6, 256, 64), layer) for _ in range(3)) for layer in range(6)}
    torch.save({0: layers, 200: layers}, tmp_path / "char.pt")
    found = character_model(tmp_path / "char.pt")
    assert {step: list(kept) for step, kept in found.items()} == {0: [0, 3, 5], 200: [0, 3, 5]}
    assert {int(x.unique()) for layer, tensors in found[200].items() for x in tensors} == {0, 3, 5}
    assert character_model(None) == {}


def test_a_training_that_fails_leaves_no_inputs_and_says_so(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    monkeypatch.setattr("bench.attention_sitting.sys.executable", "false")
    assert Training(tmp_path / "model.json", tmp_path / "model.pt").kept() == {}
    assert "no trained model (exit status 1)" in capsys.readouterr().out
