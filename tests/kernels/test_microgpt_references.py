"""MicroGPT's references agree: number by number, in torch, and with finite differences."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from spak.kernels.microgpt.data import begin, lines_of
from spak.kernels.microgpt.model import names_and_shapes, offsets
from spak.kernels.microgpt.port import compiled, train_in_c
from spak.kernels.microgpt.scalar import train_scalars
from tests.kernels.microgpt_cases import MICRO, TINY, Case

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")
from spak.kernels.microgpt import reference  # noqa: E402

NAMES = Path(os.environ.get("SPAK_DATA", Path(__file__).parents[2] / "../shared/data")) / "names.txt"


@pytest.mark.parametrize("case", [MICRO, TINY], ids=["micro", "tiny"])
def test_scalars_and_tensors_train_alike(case):
    """Two gradients of other making, the chain rule by hand and torch's: equal to rounding, and zero at the same places."""
    numbers, tensors = case.run(train_scalars), case.run(reference.train)
    for name in ("losses", "parameters", "gradients"):
        np.testing.assert_allclose(getattr(tensors, name).numpy(), getattr(numbers, name), rtol=1e-9, atol=1e-13)
    assert np.array_equal(tensors.gradients.numpy() == 0, numbers.gradients == 0)
    assert not np.array_equal(numbers.parameters, case.parameters)


LONG = Case.of(3, 4, width=12, heads=3, layers=2, context=19)
"""More positions than the C port computes at a time, and not a multiple of them."""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler, cc")
@pytest.mark.parametrize("case", [MICRO, TINY, LONG], ids=["micro", "tiny", "long"])
def test_the_port_in_c_trains_alike(case):
    """Its gradients are written by hand; a missing term of one matrix shows there."""
    port, tensors = case.run(train_in_c), case.run(reference.train)
    for name in ("losses", "parameters", "gradients"):
        np.testing.assert_allclose(getattr(port, name), getattr(tensors, name).numpy(), rtol=1e-9, atol=1e-13)
    assert np.array_equal(port.gradients == 0, tensors.gradients.numpy() == 0)


def test_a_compiler_that_is_not_there_or_refuses_is_named():
    with pytest.raises(RuntimeError, match="no C compiler 'no-such-compiler'"):
        compiled(compiler="no-such-compiler")
    if shutil.which("cc"):
        with pytest.raises(RuntimeError, match=r"^cc: "):
            compiled(("-no-such-flag",))


def test_every_matrix_receives_a_gradient():
    """A layer that is cut off from the loss would still train, and nobody would see it in the others."""
    gradients = TINY.run(reference.train).gradients
    starts = offsets(TINY.model)
    for name, (rows, columns) in names_and_shapes(TINY.model).items():
        assert gradients[starts[name] :][: rows * columns].abs().max() > 1e-5, name


def test_gradients_are_finite_differences():
    """Of the loss that is reported, on each matrix in one random direction."""
    model = TINY.model
    tokens, lengths = torch.as_tensor(TINY.tokens[:2]).long(), torch.as_tensor(TINY.lengths[:2]).long()
    start = torch.as_tensor(TINY.parameters)
    gradients = TINY.run(reference.train).gradients
    generator = torch.Generator().manual_seed(1)
    for name, first in offsets(model).items():
        size = int(np.prod(names_and_shapes(model)[name]))
        direction = torch.zeros_like(start)
        direction[first : first + size] = torch.randn(size, generator=generator, dtype=start.dtype)
        ahead, behind = (
            reference.mean_loss(model, reference.views(model, start + h * direction), tokens, lengths)
            for h in (1e-5, -1e-5)
        )
        assert float(ahead - behind) / 2e-5 == pytest.approx(float(gradients @ direction), rel=1e-6), name


def test_what_lies_beyond_a_document_changes_nothing():
    """Rows are filled up; whatever fills them has no loss and no gradient."""
    case = TINY.of(2, 2, width=6, heads=2, layers=1, context=16)
    other = case.tokens.copy()
    for row, length in zip(other, case.lengths, strict=True):
        row[length + 1 :] = 3
    assert not np.array_equal(other, case.tokens)
    runs = [
        reference.train(case.model, case.parameters, tokens, case.lengths, batch=2, steps=2)
        for tokens in (case.tokens, other)
    ]
    assert all(torch.equal(*pair) for pair in zip(*runs, strict=True))


def test_the_parameters_given_are_not_changed():
    before = torch.as_tensor(MICRO.parameters).clone()
    given = before.clone()
    reference.train(MICRO.model, given, MICRO.tokens, MICRO.lengths, batch=1, steps=1)
    assert torch.equal(given, before)


def test_losses_of_the_whole_list_are_those_of_microgpt():
    """The first step's loss, 3.3660, and the mean of steps 51 to 100, 2.6936, as microgpt.py prints them."""
    if not NAMES.is_file():
        pytest.skip(f"no list of names at {NAMES}: set SPAK_DATA to its folder")
    start = begin(lines_of(NAMES))
    tokens, lengths = start.corpus.batches(start.model.context, 1000)
    losses = reference.train(start.model, start.parameters, tokens, lengths, batch=1, steps=1000).losses
    assert len(start.corpus.documents) == 32033
    assert [round(float(loss), 4) for loss in (losses[0], losses[50:100].mean(), losses[-1])] == [
        3.3660,
        2.6936,
        2.6497,
    ]
