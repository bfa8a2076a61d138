"""How the character model is trained for the curves, and how gradients are held against float64; in small, on the CPU."""

from __future__ import annotations

import math
from itertools import count

import pytest

from bench.nanogpt_cases import PLAIN, Batches, Case, Recipe, Run, agreeing
from bench.nanogpt_gradients import drawn_weights, exact_gradients, gradient_errors, told_errors
from spak.kernels.nanogpt.operators import OPERATOR_NAMES
from spak.kernels.nanogpt.parameters import GptConfig, ParameterLayout

torch = pytest.importorskip("torch")

from bench.nanogpt_operators import Stopwatch  # noqa: E402
from bench.nanogpt_ours import OurTrainer, operators_by_name  # noqa: E402
from bench.nanogpt_timing import run_step  # noqa: E402
from bench.nanogpt_torch import TorchTrainer, Variant  # noqa: E402
from bench.nanogpt_training import Evaluator, Schedule, trained  # noqa: E402

SMALL = Case(GptConfig(vocab=10, width=32, layers=2, heads=2, context=16), 4, Recipe(1e-2))


def trainer(seed=1, **changes):
    views = ParameterLayout.of(SMALL.config).views(drawn_weights(SMALL, seed))
    return TorchTrainer(SMALL, Variant(), views, Run([1e-2] * 40, device="cpu", **changes))


def test_the_rate_warms_up_and_falls_along_a_cosine():
    """Ends at the least rate, which nanoGPT's does too."""
    schedule = Schedule()
    rates = [schedule.rate_at(step) for step in range(schedule.steps + 1)]
    assert max(rates) == rates[schedule.warmup] == schedule.rate
    assert rates[-1] == pytest.approx(schedule.least_rate)
    assert rates[:101] == sorted(rates[:101])
    assert rates[100:] == sorted(rates[100:], reverse=True)


def test_a_training_is_evaluated_on_the_whole_validation_text_and_keeps_what_attention_sees():
    """The loss falls to that of counting; a text that is not counting is far from it."""
    text = torch.arange(600) % 10
    evaluator = Evaluator(SMALL, text[500:], "cpu")
    schedule = Schedule(steps=40, warmup=2, rate=1e-2, evaluate_every=20, dropout=0.1)
    batches = Batches(text[:500], SMALL, schedule.steps, 1, "cpu")
    result = trained(trainer(dropout=schedule.dropout), evaluator, batches, schedule, (0, 40))
    assert list(result.validation) == [0, 20, 40]
    assert result.validation[0] > math.log(10) - 0.5
    assert result.validation[40] < 0.5 * result.validation[0]
    q, k, v = result.kept[40][1]
    assert q.shape == k.shape == v.shape == (4, 2, 16, 16)
    assert not torch.equal(q, result.kept[0][1][0])


def test_the_evaluator_weighs_every_position_alike():
    """Seven sequences in batches of four: the last batch is smaller, and counts less."""
    text = torch.randint(0, 10, (7 * 16 + 1,), generator=torch.Generator().manual_seed(3))
    weights = trainer().weights()
    whole = Evaluator(SMALL, text, "cpu").loss(weights)
    each = [Evaluator(SMALL, text[16 * i : 16 * i + 17], "cpu").loss(weights) for i in range(7)]
    assert whole == pytest.approx(sum(each) / 7, rel=1e-3)


def test_a_wrong_gradient_shows_by_its_name():
    """One scaled parameter, and one padding row that is not 0."""
    flat = drawn_weights(SMALL, 2)
    views = ParameterLayout.of(SMALL.config).views(flat)
    assert views["wte.weight"][10:].abs().max() == 0
    batch = Batches(torch.arange(100) % 10, SMALL, 1, 1, "cpu")[0]
    loss, exact = exact_gradients(SMALL, views, batch)
    assert loss > 1
    assert len(exact) == len(views)
    baseline = trainer(2)
    baseline.feed(batch)
    given = {"torch": gradient_errors(baseline.gradients(), exact)}
    assert 0 < max(given["torch"].values()) < 0.05
    wrong = {name: gradient.clone() for name, gradient in exact.items()}
    wrong["h.1.mlp.c_fc.bias"] *= 1.5
    given["ours"] = {**gradient_errors(wrong, exact)}
    told = told_errors({**given}, "torch")
    assert told["ours"]["worst"] == ["h.1.mlp.c_fc.bias", pytest.approx(0.5)]
    padded = {**exact, "wte.weight": torch.cat([exact["wte.weight"], exact["wte.weight"][:1]])}
    assert gradient_errors(padded, exact)["wte.weight"] > 0.01


def test_our_step_and_the_baseline_train_the_same_model():
    """From the same weights over the same batches: losses, gradients and weights after four steps."""
    flat, rates = drawn_weights(SMALL, 4), [1e-3, 2e-3, 3e-3, 2e-3]
    batches = Batches(torch.arange(300) % 10, SMALL, 4, 1, "cpu")
    views = ParameterLayout.of(SMALL.config).views(flat.clone())
    both = [
        OurTrainer(SMALL, operators_by_name(PLAIN), flat, Run(rates, device="cpu")),
        TorchTrainer(SMALL, Variant(), views, Run(rates, device="cpu")),
    ]
    losses = [[], []]
    for number in range(4):
        for each, found in zip(both, losses, strict=True):
            run_step(each, batches, number)
            found.append(each.last_loss())
    assert agreeing(*losses) < 0.01
    ours, theirs = (each.weights() for each in both)
    for name, weight in theirs.items():
        if name.endswith("c_attn.bias"):
            continue  # that of keys has the gradient 0, whose rounding error AdamW makes as large as any step
        moved = ours[name][: len(weight)] - views[name][: len(weight)]
        assert (moved - (weight - views[name][: len(weight)])).abs().mean() < 0.2 * moved.abs().mean(), name


def test_our_gradients_are_those_of_float64():
    """In float32 on the CPU, every parameter."""
    flat = drawn_weights(SMALL, 4)
    batch = Batches(torch.arange(300) % 10, SMALL, 1, 1, "cpu")[0]
    _, exact = exact_gradients(SMALL, ParameterLayout.of(SMALL.config).views(flat), batch)
    ours = OurTrainer(SMALL, operators_by_name(PLAIN), flat, Run([1e-3], device="cpu"))
    ours.feed(batch)
    assert max(gradient_errors(ours.gradients(), exact).values()) < 1e-5


def test_a_stopwatch_counts_every_call_and_changes_no_result():
    """One block of attention and MLP a layer, there and back."""
    ticks = count()
    watch = Stopwatch(lambda: next(ticks))
    flat, batches = drawn_weights(SMALL, 4), Batches(torch.arange(300) % 10, SMALL, 1, 1, "cpu")
    losses = []
    for operators_of in (operators_by_name(PLAIN), lambda *given: watch.around(operators_by_name(PLAIN)(*given))):
        ours = OurTrainer(SMALL, operators_of, flat, Run([1e-3], device="cpu"))
        run_step(ours, batches, 0)
        losses.append(ours.last_loss())
    found = watch.summed(lambda before, after: after - before)
    assert losses[0] == losses[1]
    assert set(found) == set(OPERATOR_NAMES)
    assert found["attention_backward"] == {"calls": 2, "us": 2.0}
    assert found["add_norm"]["calls"] == 5
