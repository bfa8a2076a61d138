"""One call sweeps NanoGPT's small operators: what it asks for exists, fits a sitting, and has PyTorch beside it."""

from __future__ import annotations

import itertools

import pytest

from bench.nanogpt_sweeps import LEAST_S, SWEEPS, UNSEEN, sweep_all
from bench.sweep import Sweep, _chosen
from spak.kernels.operation import operation
from spak.kg.model.hardware import hardware_facts
from spak.kg.space.completion import complete
from tests.shipped import LAWS

MOST = 160
"""Configurations of a size that an H200's host of 16 cores compiles within a sweep's budget."""


def swept(one):
    op = LAWS.ops[one.op]
    chosen = dict(_chosen(op, f"{name}={values}") for name, values in one.values.items())
    return Sweep(op, hardware_facts(LAWS, "h200"), LAWS.hardware, "h200", "sm_90", "", chosen, one.label)


@pytest.mark.parametrize("one", SWEEPS, ids=lambda one: one.op)
def test_every_sweep_has_sizes_and_a_core_that_fits(one):
    """Both models' sizes, and choices among configurations at each."""
    sweep = swept(one)
    sizes = sweep.problems(one.only)
    assert {name.split("-")[1] for name in sizes} == {"124m", "char"}
    assert all(1 < len(sweep.core(problem)) <= MOST for problem in sizes.values())


@pytest.mark.parametrize("one", UNSEEN, ids=lambda one: one.op)
def test_sizes_that_test_laws_are_sizes_where_none_was_found(one):
    """Two at least, as a confirmed law needs, and laws of the op that wait for them."""
    sizes = swept(one).problems(one.only)
    laws = [law for law in LAWS.laws.values() if law.scope.op == one.op]
    found = [LAWS.run(entry.run).problem for law in laws for entry in law.evidence if entry.role == "suggested"]
    assert len(sizes) >= 2
    assert found
    assert all(complete(LAWS.ops[one.op], size) not in found for size in sizes.values())


def test_what_time_is_left_is_the_next_one_s_budget_and_a_failure_ends_nothing():
    """A clock that is asked once before each and goes on by 200 s: two and a rest too short for a third."""
    ticks = itertools.count(step=200)
    asked = []

    def run(words):
        asked.append(list(words))
        return 1

    assert sweep_all(400 + LEAST_S, ["--out", "runs"], run, lambda: float(next(ticks))) == 2
    assert [words[:3] for words in asked] == [["measure", one.op, "--only"] for one in SWEEPS[:2]]
    assert [words[-4:] for words in asked] == [
        ["--out", "runs", "--budget-s", "230"],
        ["--out", "runs", "--budget-s", "30"],
    ]


SMALL = [
    ("add-norm", {"num_rows": 5, "width": 32, "direction": direction, "norm": norm, **flags})
    for direction in ("forward", "backward")
    for norm, flags in (
        ("layer", {}),
        ("rms", {"bias": False, "branch": False, "branch_bias": False, "from_above": False, "residual_dtype": "bf16"}),
    )
] + [("linear-gelu", {"num_rows": 5, "in_features": 16, "out_features": 24, "direction": "backward"})]


@pytest.mark.parametrize(("op", "size"), SMALL, ids=str)
def test_pytorch_beside_it_gives_the_same(op, size):
    """All that the kernel writes, in its types, from what the kernel is given."""
    pytest.importorskip("torch", reason="needs torch, on the CPU")
    spec, problem = operation(op), complete(LAWS.ops[op], size)
    inputs = spec.make_inputs(problem, seed=1, device="cpu")
    (run,) = spec.baselines(inputs, problem).values()
    found, want, outputs = run(), spec.reference(inputs, problem), spec.make_outputs(problem, device="cpu")
    assert vars(found).keys() == set(spec.written(problem))
    for name, got in vars(found).items():
        exact = getattr(want, name)
        assert got.dtype == getattr(outputs, name).dtype
        assert (got.double() - exact).norm() <= spec.tolerance(problem) * exact.norm()
