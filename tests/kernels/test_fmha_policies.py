"""What keeps a row's weights in range, on inputs made to break it; and the same kernels with a mistake, which must fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spak.kernels.attention.fmha import kernel as fmha
from spak.kernels.attention.fmha.spec import SPEC
from tests.kernels.cases import Case, Drawn, draw, reference, reference_lse, relative_error, simulate
from tests.kernels.variant import variant

POLICIES = {
    "running maximum": {"running_max": True},
    "raised by more": {"running_max": True, "raise_by": 8},
    "first maximum": {"running_max": False},
    "catching up": {"running_max": False, "catch_up": 8, "sum_lanes": 8},
    "raised by more, late values": {"running_max": True, "raise_by": 8, "pipeline": "late-values"},
    "catching up, early scores": {"running_max": False, "catch_up": 8, "pipeline": "early-scores"},
}
SIZE = Case("hostile", heads=2, kv_heads=1, seq_q=70, seq_kv=650, tile_n=32)
"""Twenty-one key tiles: catching up in stretches of eight does so at 0 to 7, before 8 and before 16."""


def plain(case: Case = SIZE) -> Drawn:
    x = draw(case)
    x.q[..., 0] = 8  # channel 0 of the keys, over root 32 and times 8, is then added to their scores
    x.k[..., 0] = 0
    return x


def rising(x: Drawn, span: float) -> None:
    x.k[..., 0] = np.linspace(0, span, x.k.shape[2]) * 32**0.5 / 8


def sudden(x: Drawn, key: int, height: float) -> None:
    x.k[..., key:, 0] = height * 32**0.5 / 8


HOSTILE = {
    "rising": lambda x: rising(x, 60),
    "falling": lambda x: rising(x, -60),
    "a jump in a tile of its own": lambda x: sudden(x, 10 * 32, 40),
    "a jump within a tile": lambda x: sudden(x, 10 * 32 + 17, 40),
    "a jump where a stretch begins": lambda x: sudden(x, 8 * 32, 40),
    "a jump in the last tile": lambda x: sudden(x, 645, 40),
    "a sink": lambda x: sudden(x, 1, -12),
    "all scores equal": lambda x: x.k.fill(0),
    "one key is all": lambda x: x.k.__setitem__((..., 200, slice(None)), x.q[:, :1, 3] * 12),
    "largest numbers": lambda x: (x.q.fill(65504), x.k.__imul__(np.float16(100))),
    "values of both signs": lambda x: x.v.__setitem__((..., slice(1, None, 2), slice(None)), -x.v[..., ::2, :]),
    "large values": lambda x: x.v.__imul__(np.float16(10000)),
}


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_is_right_on_hostile_scores(policy: str, hostile: str) -> None:
    """Output within the tolerance of float64, and log-sum-exp within 1e-4, whatever the scores do."""
    case = replace(SIZE, **POLICIES[policy])
    x = plain(case)
    HOSTILE[hostile](x)
    out, lse = simulate(case, x, fmha.fmha_kernel, lse=True)
    assert relative_error(out, reference(case, x)[0]) <= SPEC.tolerance(case.problem)
    np.testing.assert_allclose(lse, reference_lse(case, x), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
@pytest.mark.parametrize("sum_lanes", [1, 8])
def test_catching_up_on_rising_scores_computes_nothing_twice(sum_lanes: int, dtype: str) -> None:
    """A rise of 20 defeats the first maximum in fp16; caught up with, a kernel without a second computation is right."""
    case = replace(SIZE, running_max=False, catch_up=8, sum_lanes=sum_lanes, dtype=dtype)
    x = plain(case)
    rising(x, 20)
    want, _ = reference(case, x)
    once = variant(str(fmha.__file__), {"if not fits:": "if not fits and h < 0:"}).fmha_kernel
    assert relative_error(simulate(case, x, once)[0], want) <= SPEC.tolerance(case.problem)
    first = relative_error(simulate(replace(case, catch_up=0), x, once)[0], want) <= SPEC.tolerance(case.problem)
    assert first == (dtype == "bf16")  # whose weights have the range of fp32


@pytest.mark.parametrize("sum_lanes", [1, 8])
def test_a_weight_that_overflowed_is_not_forgotten_when_sums_catch_up(sum_lanes: int) -> None:
    """The sum of its row stays broken until the end; without that, or without the second computation, it is wrong."""
    case = replace(SIZE, running_max=False, catch_up=8, sum_lanes=sum_lanes)
    x = plain(case)
    x.k[..., 14 * 32 : 14 * 32 + 1, 0] = 20 * 32**0.5 / 8  # one key above all, two tiles before the next stretch
    want, _ = reference(case, x)
    assert relative_error(simulate(case, x, fmha.fmha_kernel)[0], want) <= SPEC.tolerance(case.problem)
    for change in ({"l_i, BROKEN)": "l_i, 1.0)"}, {"if not fits:": "if not fits and h < 0:"}):
        wrong = variant(str(fmha.__file__), change).fmha_kernel
        assert not relative_error(simulate(case, x, wrong)[0], want) <= SPEC.tolerance(case.problem)


WRONG = {
    "never raised": ("raised by more", {"grown = ct.max(top - m_i) > RAISE_BY": "grown = ct.max(m_i) > 1.0e30"}),
    "raised, sums forgotten": ("raised by more", {"l_i * alpha, acc * alpha": "l_i, acc * alpha"}),
    "caught up, values forgotten": ("catching up", {"l_i * alpha, acc * alpha": "l_i * alpha, acc"}),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_policy_with_a_mistake_cannot_pass(mistake: str) -> None:
    """Each mistake, put into the kernel's own text, misses the tolerance on rising scores."""
    policy, change = WRONG[mistake]
    case = replace(SIZE, **POLICIES[policy])
    x = plain(case)
    rising(x, 30)
    wrong = variant(str(fmha.__file__), change).fmha_kernel
    assert not relative_error(simulate(case, x, wrong)[0], reference(case, x)[0]) <= SPEC.tolerance(case.problem)


def test_catching_up_further_than_sums_allow_loses_the_small_weights() -> None:
    """Sums brought down to 1 leave the weights of a row normal in fp16; brought down to 2^-13 they do not."""
    case = replace(SIZE, running_max=False, catch_up=8, sum_lanes=8)
    x = draw(case)
    want, _ = reference(case, x)
    assert relative_error(simulate(case, x, fmha.fmha_kernel)[0], want) <= SPEC.tolerance(case.problem)
    change = {"max(spare, 0.0)": "max(spare + 13.0, 0.0)"}
    further = variant(str(fmha.__file__), change).fmha_kernel
    assert not relative_error(simulate(case, x, further)[0], want) <= SPEC.tolerance(case.problem)
