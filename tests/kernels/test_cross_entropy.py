"""Cross-entropy in all its forms on the simulator: awkward rows, hostile logits, and the gradient written over the logits."""

from __future__ import annotations

import numpy as np
import pytest

from spak.kernels.cross_entropy.operator import cross_entropy_in_place
from spak.kernels.cross_entropy.spec import SPEC
from spak.kg.space.completion import complete, completed
from spak.kg.space.space import build
from tests.shipped import LAWS

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")
OP = LAWS.ops["cross-entropy"]
ONE_CTA_A_ROW = {"tile_m": 1, "tile_v": 512}
FORMS = {
    "held, whole rows": {"row_form": "held", "tile_m": 4, "tile_v": 0},
    "held, in tiles": {"row_form": "held", **ONE_CTA_A_ROW},
    "online": {"row_form": "online", **ONE_CTA_A_ROW},
    "lanes": {"row_form": "lanes", **ONE_CTA_A_ROW},
    "lanes, from the end, four rows": {"row_form": "lanes", "tile_m": 4, "tile_v": 512, "backwards": True},
    "online, from the end": {"row_form": "online", **ONE_CTA_A_ROW, "backwards": True},
    "held, by TMA": {"row_form": "held", **ONE_CTA_A_ROW, "use_tma": True},
    "lanes, by TMA in a cluster": {"row_form": "lanes", **ONE_CTA_A_ROW, "use_tma": True, "num_ctas": 2},
}
VOCABULARIES = (1024, 1301)
"""Two whole tiles of 512; two and a part of a third."""


def hostile(vocab: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(logits, targets, weights) of rows each of which is one way to go wrong; targets at both edges of tiles."""
    rng = torch.Generator().manual_seed(3)
    normal = 3 * torch.randn(11, vocab, generator=rng)
    logits = normal.clone()
    logits[1] = 0.25  # all equal
    logits[2] = 1e4 * logits[2].sign()
    logits[3] = logits[3] - 1e4
    logits[4, ::2] = -torch.inf
    logits[5] = torch.linspace(-50, 50, vocab)  # the maximum rises with every tile
    logits[6] = torch.linspace(50, -50, vocab)
    logits[7, 700] = 90.0  # the target of this row is all there is
    logits[8, 0] = -torch.inf  # a row that does not count, whose first logit cannot be a maximum
    logits[9] = -torch.inf  # nor this one, in which nothing can
    targets = torch.tensor([0, 511, 512, vocab - 1, 1023, vocab - 1, 513, 700, -1, -1, 5], dtype=torch.int32)
    weights = torch.tensor([1.0, 0.5, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    return logits, targets, weights


def wanted(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Losses and gradient in float64, row by row, 0 of rows that do not count; not the definition that the spec has."""
    losses, gradient = np.zeros(len(logits)), np.zeros(logits.shape)
    for row, (x, target, weight) in enumerate(
        zip(logits.double().numpy(), targets.tolist(), weights.tolist(), strict=True)
    ):
        if target >= 0 and weight:
            top = x.max()
            e = np.exp(x - top)
            losses[row] = weight * (top + np.log(e.sum()) - x[target])
            gradient[row] = weight * e / e.sum()
            gradient[row, target] -= weight
    return losses, gradient


def run(form: str, logits: torch.Tensor, *given: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(losses, what lies where the logits were)."""
    dtype = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[logits.dtype]
    problem = complete(OP, {"num_rows": len(logits), "vocab": logits.shape[1], "dtype": dtype})
    overwritten, losses = logits.clone(), torch.full((len(logits),), torch.nan)
    targets, weights = given
    inputs = SPEC.inputs(logits=overwritten, targets=targets, weights=weights)
    SPEC.launch(inputs, SPEC.outputs(loss=losses, dlogits=overwritten), problem, {**completed(OP, {}), **FORMS[form]})
    return losses.numpy(), overwritten.float().numpy()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("vocab", VOCABULARIES)
def test_hostile_rows_are_right_in_place(on_the_cpu, form, vocab):
    """Row by row, so that none hides behind another: relative to what the row counts, and 0 where it does not."""
    rows = hostile(vocab)
    losses, gradient = run(form, *rows)
    for row, (loss, d) in enumerate(zip(*wanted(*rows), strict=True)):
        assert losses[row] == pytest.approx(loss, rel=2e-6, abs=2e-6), row
        np.testing.assert_allclose(gradient[row], d, rtol=1e-5, atol=1e-9, err_msg=str(row))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bits_round_only_what_they_store(on_the_cpu, form, dtype):
    """The losses are those of the rounded logits in fp32, each element of the gradient is within a half unit in its last place."""
    logits, targets, weights = hostile(1301)
    rounded = (logits.to(dtype), targets, weights)
    losses, gradient = run(form, *rounded)
    want, exact = wanted(*rounded)
    np.testing.assert_allclose(losses, want, rtol=2e-6, atol=2e-6)
    unit, least = (2.0**-8, 1e-30) if dtype == torch.bfloat16 else (2.0**-11, 2.0**-24)
    np.testing.assert_allclose(gradient, exact, rtol=1.02 * unit, atol=least)


@pytest.mark.parametrize(("changes", "folds"), [({}, False), ({"use_tma": True}, True), ({"num_ctas": 2}, True)])
def test_where_nothing_orders_two_stores_a_gradient_is_stored_once(changes, folds):
    """A cluster's TMA stores went over the gradients of some targets: 1 of 12 such trials of a recorded sweep was wrong."""
    [call] = SPEC.calls(complete(OP, {}), completed(OP, {"row_form": "held", **changes}))
    assert call.constants[-1] is folds


def test_a_nan_stays_one(on_the_cpu):
    """In every form: a run that went wrong must not look right."""
    logits, targets, weights = hostile(1024)
    logits[0, 600] = torch.nan
    for form in FORMS:
        losses, gradient = run(form, logits, targets, weights)
        assert np.isnan(losses[0]), form
        assert np.isnan(gradient[0]).any(), form
        assert not np.isnan(losses[1:]).any(), form


def test_the_reference_ignores_what_does_not_count():
    """Against the losses written out above."""
    logits, targets, weights = (t[[0, 3, 8, 10]] for t in hostile(1024))
    problem = complete(OP, {"num_rows": 4, "vocab": 1024})
    found = SPEC.reference(SPEC.inputs(logits=logits.nan_to_num(), targets=targets, weights=weights), problem)
    losses, gradient = wanted(logits.nan_to_num(), targets, weights)
    np.testing.assert_allclose(found.loss, losses, atol=1e-9)
    np.testing.assert_allclose(found.dlogits, gradient, atol=1e-12)


def test_nanogpt_sizes_have_configurations():
    """Of GPT-2's vocabulary none that keeps several rows; of the characters' the whole row."""
    spaces = {name: build(OP, complete(OP, OP.problems[name])) for name in ("nanogpt-124m", "nanogpt-char")}
    large, small = ([space.config(i) for i in range(len(space))] for space in spaces.values())
    assert {c["row_form"] for c in large} == {"held", "online", "lanes"}
    assert all(c["tile_m"] == 1 for c in large if c["row_form"] == "held")
    assert any(c["row_form"] == "held" and c["tile_v"] == 0 and c["tile_m"] == 64 for c in small)


@pytest.mark.parametrize(("vocab", "apart", "form"), [(65, 128, "held, whole rows"), (1301, 1344, "lanes")])
def test_rows_that_lie_apart_are_overwritten_and_nothing_between_them(on_the_cpu, vocab, apart, form):
    """As a training step calls it: losses not scaled, the gradient scaled, one row that does not count."""
    whole = 3 * torch.randn(10, apart, generator=torch.Generator().manual_seed(6))
    before, targets = whole.clone(), torch.arange(10, dtype=torch.int32)
    targets[3] = -1
    configuration = {**completed(OP, {}), **FORMS[form]}
    losses = cross_entropy_in_place(whole[:, :vocab], targets, 0.125, configuration=configuration)
    want, gradient = wanted(before[:, :vocab], targets, torch.ones(10))
    np.testing.assert_allclose(losses.numpy(), want, rtol=2e-6)
    np.testing.assert_allclose(whole[:, :vocab], 0.125 * gradient, rtol=1e-5, atol=1e-9)
    assert torch.equal(whole[:, vocab:], before[:, vocab:])


def test_bad_input_is_named():
    """Before anything is launched."""
    logits, targets = torch.zeros(4, 8), torch.zeros(4, dtype=torch.int32)
    for given, error, message in [
        ((logits.T[:4], targets), ValueError, r"logits: columns must be adjacent \(got strides \(1, 8\)\)"),
        ((logits, targets[:3]), ValueError, r"targets: one for each of 4 rows of logits \(got shape \(3,\)\)"),
        ((logits, targets.long()), TypeError, r"targets: int32 \(got torch.int64\)"),
        ((logits.double(), targets), TypeError, r"logits: float16, bfloat16, float32 \(got float64\)"),
    ]:
        with pytest.raises(error, match=message):
            cross_entropy_in_place(*given, 1.0, configuration=completed(OP, {}))
