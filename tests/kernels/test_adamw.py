"""AdamW with clipping: the same trajectories as PyTorch's optimiser, in float64 and on the simulator."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spak.kernels.adam.reference import Decay, adamw_factors
from spak.kernels.adam.spec import SPEC
from spak.kg.space.completion import complete, completed
from tests.shipped import LAWS

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")
OP = LAWS.ops["adam"]

SIZE, DECAYED = 3000, 1777
LEARNING_RATE, WEIGHT_DECAY = 0.03, 0.1
PROBLEM = complete(OP, {"num_elements": SIZE, "update_form": "adamw", "decayed": DECAYED, "beta1": 0.9, "beta2": 0.95})


def gradients(dtype):
    """Of five steps; the norm of the second and the fourth is below 1, so that they are not clipped."""
    generator = torch.Generator().manual_seed(3)
    scales = (1.0, 0.01, 2.0, 0.005, 0.1)
    return [(scale * torch.randn(SIZE, generator=generator)).to(dtype) for scale in scales]


def by_torch(p, grads):
    """Parameters and norm of each step of clip_grad_norm_ and what fused AdamW calls, in float64; the first group decays."""
    groups = [torch.nn.Parameter(part.double().clone()) for part in (p[:DECAYED], p[DECAYED:])]
    moments = [[torch.zeros_like(part) for part in groups] for _ in range(2)]
    for step, g in enumerate(grads, 1):
        groups[0].grad, groups[1].grad = g[:DECAYED].double().clone(), g[DECAYED:].double().clone()
        norm = torch.nn.utils.clip_grad_norm_(groups, 1.0)
        for which, decay in enumerate((WEIGHT_DECAY, 0.0)):
            state = [
                [each[which]] for each in ([part.detach() for part in groups], [part.grad for part in groups], *moments)
            ]
            torch._fused_adamw_(
                *(*state, [], [torch.tensor(float(step))]),
                lr=LEARNING_RATE,
                beta1=0.9,
                beta2=0.95,
                weight_decay=decay,
                eps=1e-8,
                amsgrad=False,
                maximize=False,
            )
        yield torch.cat([part.detach().clone() for part in groups]), norm


def factors(step):
    """Of one step."""
    return torch.tensor(adamw_factors(step, LEARNING_RATE, Decay(0.9, 0.95, 1e-8)), dtype=torch.float64)


@pytest.fixture
def start():
    """Parameters."""
    return torch.randn(SIZE, generator=torch.Generator().manual_seed(4))


def test_the_definition_is_torch_s_optimiser(start):
    """To float64's precision: where epsilon is added, how decay goes with the rate, what clipping divides by."""
    p, m, v = start.double(), *torch.zeros(2, SIZE, dtype=torch.float64)
    grads = gradients(torch.float64)
    for step, (g, (want, norm)) in enumerate(zip(grads, by_torch(start, grads), strict=True), 1):
        p, m, v, copy, found = SPEC.definition(PROBLEM, p=p, g=g, m=m, v=v, factors=factors(step))
        torch.testing.assert_close(p, want, rtol=1e-13, atol=1e-15)
        torch.testing.assert_close(found, norm.view(1), rtol=1e-13, atol=0)
        assert copy is p


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_kernel_follows_it_in_place(on_the_cpu, start, dtype):
    """Five steps over the same arrays; the copy is the rounded parameters, bit for bit."""
    problem = {**PROBLEM, "gradient": "bf16" if dtype == torch.bfloat16 else "fp32"}
    configuration = completed(OP, {"tile_size": 512, "sum_tile": 1024})
    inputs = SPEC.make_inputs(problem, seed=0, device="cpu")
    inputs = replace(inputs, p=start.clone(), m=torch.zeros(SIZE), v=torch.zeros(SIZE))
    outputs = SPEC.make_outputs(problem, device="cpu")
    outputs = replace(outputs, new_p=inputs.p, new_m=inputs.m, new_v=inputs.v)
    grads = gradients(dtype)
    for step, (g, (want, norm)) in enumerate(zip(grads, by_torch(start, grads), strict=True), 1):
        given = replace(inputs, g=g, factors=factors(step).float())
        SPEC.launch(given, outputs, problem, configuration)
        torch.testing.assert_close(outputs.new_p.double(), want, rtol=2e-6, atol=2e-6)
        torch.testing.assert_close(outputs.norm.double(), norm.view(1), rtol=1e-6, atol=0)
        assert torch.equal(outputs.copy, outputs.new_p.bfloat16())
    assert (start - outputs.new_p).abs().min() > 0


@pytest.mark.parametrize("bad", ["nan", "inf"])
def test_where_the_norm_is_not_finite_nothing_is_written(on_the_cpu, bad):
    """But for the norm, by which whoever trains sees it."""
    inputs = SPEC.make_inputs(PROBLEM, seed=0, device="cpu")
    inputs.g[7] = float(bad)
    outputs = SPEC.make_outputs(PROBLEM, device="cpu")
    SPEC.launch(inputs, replace(outputs, norm=outputs.norm.zero_()), PROBLEM, completed(OP, {}))
    assert not outputs.norm.isfinite()
    assert all(each.isnan().all() for each in (outputs.new_p, outputs.new_m, outputs.new_v, outputs.copy))


def test_a_gradient_may_be_left_as_long_as_it_is(on_the_cpu):
    """`max_norm` 0."""
    problem = {**PROBLEM, "max_norm": 0.0}
    inputs, outputs = SPEC.make_inputs(problem, seed=0, device="cpu"), SPEC.make_outputs(problem, device="cpu")
    SPEC.launch(inputs, outputs, problem, completed(OP, {}))
    want = SPEC.reference(inputs, problem)
    assert want.norm > 1
    for name in ("new_p", "new_m", "new_v"):
        torch.testing.assert_close(getattr(outputs, name).double(), getattr(want, name), rtol=1e-5, atol=1e-6)
