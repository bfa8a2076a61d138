"""Every configuration that the benchmarks of attention choose from is one of its op's space."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import attention_candidates as candidates
from spak.kg.model.op import Op
from spak.kg.space.completion import complete
from spak.kg.space.space import build
from tests.shipped import LAWS

ROOT = Path(__file__).parents[2]
KINDS = ("d64-s1024-causal", "d64-s4096-full", "d128-s1024-causal", "gqa32x8-d128-s2048-full")


@pytest.fixture(scope="module")
def ops() -> dict[str, Op]:
    return LAWS.ops


@pytest.mark.parametrize(("op", "choose"), [("fmha", candidates.fmha), ("fmha-backward", candidates.fmha_backward)])
@pytest.mark.parametrize("size", KINDS)
def test_candidates_are_configurations_of_their_op_each_once(ops, op, choose, size):
    problem = complete(ops[op], ops["fmha"].problems[size])
    space = build(ops[op], problem)
    indices = [space.index(configuration) for configuration in choose(problem)]
    assert None not in indices
    assert len(set(indices)) == len(indices)


@pytest.mark.parametrize("size", KINDS)
def test_there_is_a_choice_of_every_policy_and_of_both_forms_of_the_gradients(ops, size):
    problem = ops["fmha"].problems[size]
    assert {candidates.policy(c) for c in candidates.fmha(problem)} == set(candidates.POLICIES)
    assert {c["dq_form"] for c in candidates.fmha_backward(problem)} == {"fused", "split"}


def test_the_documents_versions_lack_only_what_their_op_gained_since(ops):
    parameters = ops["fmha"].parameters
    for version in candidates.VERSIONS.values():
        assert set(version) <= set(parameters)


def test_the_limit_of_a_row_sum_is_the_kernels():
    text = (ROOT / "kernels" / "attention" / "fmha" / "kernel.py").read_text()
    assert f"FITS = {candidates.FITS:.1f}" in text
