"""The checks of MicroGPT's rewrites: they pass for the kernels, and fail for each mistake that is planted in one."""

from __future__ import annotations

import numpy as np
import pytest

from spak.kernels.checks import CHECKS, named_check
from spak.kernels.microgpt import launches
from spak.kernels.microgpt.equivalence import relative_error
from spak.kg.space.completion import complete, completed
from tests.kernels.variant import variant
from tests.shipped import LAWS

pytest.importorskip("cuda.tile", reason="needs cuda-tile")
OPS = LAWS.ops
OURS = [name for name, where in CHECKS.items() if "microgpt" in where]
LAUNCHES = "steps-per-launch"

MISTAKES = {
    "the tail of the sum is left out": ("vectorised-linear", "ct.cdiv(depth, TILE_K)", "depth // TILE_K"),
    "tokens past a tile are left out": ("linear-gradients", "ct.cdiv(depth, TILE_K)", "1"),
    "the mean is over the tile": ("folded-rmsnorm", "squares / X.shape[1]", "squares / TILE_K"),
    "a row of zeros is divided by zero": ("folded-rmsnorm", " + epsilon)", ")"),
    "the scale is a constant": ("rmsnorm-gradient", "dy - x * along", "dy"),
    "the scale is not squared": ("rmsnorm-gradient", "* r * r /", "* r /"),
    "the weights' sum is a constant": ("attention-gradients", "(dp - ct.sum(p * dp, axis=1, keepdims=True))", "dp"),
    "a query does not see its own key": ("attention-gradients", "row >=", "row >"),
    "dQ is not scaled": ("attention-gradients", "dq = ct.mma(ds,", "dq = ct.mma(ds / scale,"),
}


def failures(name):
    """What the check says of the op's defaults, at each size that it draws."""
    check = named_check(name)
    configuration = completed(OPS[check.op], {})
    sizes = [complete(OPS[check.op], size) for size in check.sizes(3)]
    assert len(sizes) > 1
    return [check.result(size, configuration, seed=1).failure for size in sizes]


@pytest.mark.parametrize("name", OURS)
def test_the_kernels_are_the_scalar_program(name):
    """And the check draws other sizes from another seed, the same from the same."""
    assert failures(name) == [None, None]
    assert named_check(name).sizes(3) == named_check(name).sizes(3) != named_check(name).sizes(4)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_found(monkeypatch, mistake):
    """At one of the sizes at least; the mistake is in the kernel's own text."""
    name, right, wrong = MISTAKES[mistake]
    spec = named_check(name).spec
    module = variant(spec.source_files[0], {right: wrong})
    monkeypatch.setattr(type(spec), "kernel", lambda self, function, configuration: getattr(module, function))
    assert any(failure and failure[0] == "Inaccurate" for failure in failures(name))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("weight = ct.gather(Parameters, index, mask=inside)", "weight = ct.gather(Initial, index, mask=inside)"),
        ("coming = fetch(Tokens, Lengths, first * BATCH, sizes)", "coming = fetch(Tokens, Lengths, 0, sizes)"),
    ],
)
def test_a_launch_that_forgets_the_one_before_is_found(monkeypatch, right, wrong):
    """It begins with the first weights, or with the first documents, again."""
    monkeypatch.setattr(launches, "kernel", variant(launches.kernel.__file__, {right: wrong}))
    assert all(failure and failure[0] == "Different" for failure in failures(LAUNCHES))


def test_an_error_is_infinite_where_nothing_was_written():
    """NaN is no small error, and what should be zero is not measured by its own size."""
    one, zero = np.ones(2), np.zeros(2)
    assert relative_error(np.array([1.0, np.nan]), one) == relative_error(one, zero) == np.inf
    assert relative_error(zero, zero) == 0
    assert relative_error(one * 1.5, one) == pytest.approx(0.5)
