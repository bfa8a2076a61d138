"""How a law applies to a question."""

from __future__ import annotations

import pytest

from spak.kg.law.scope import Matcher, Question, op_relations
from spak.kg.model.hardware import compute_capability, hardware_facts
from tests.kg.small import INVARIANT, ROOT, negative


def match(law, hw="rtx5070", op="fmha", **problem):
    return Matcher(ROOT, Question(hw=hw, op=op, problem=problem)).match(law)


@pytest.mark.parametrize(
    ("law_hw", "asked", "how", "via"),
    [
        ("rtx5070", "rtx5070", "exact", ("rtx5070",)),
        ("sm_120", "rtx5070", "inherited", ("rtx5070", "sm_120")),
        ("nvidia", "rtx5070", "inherited", ("rtx5070", "sm_120", "blackwell", "nvidia")),
        ("sm_90", "sm_120", "transferred", ("sm_120", "blackwell", "nvidia", "hopper", "sm_90")),
        ("rtx5090", "rtx5070", "transferred", ("rtx5070", "sm_120", "rtx5090")),
        ("rtx5070", "blackwell", "transferred", ("blackwell", "sm_120", "rtx5070")),
    ],
)
def test_hardware_matches_exactly_by_inheritance_or_by_transfer(law_hw, asked, how, via):
    """What the hardware is hands its laws down; a relative's law is transferred, with the way it came."""
    found = match(negative("law", hw=law_hw), hw=asked)
    assert (found.hw, found.via) == (how, via)


def test_a_stranger_says_nothing():
    """Hardware that shares no ancestor has nothing to transfer."""
    assert match(negative("law", hw="elsewhere")) is None


@pytest.mark.parametrize(
    ("law_op", "asked", "how", "via"),
    [
        ("fmha", "fmha", "exact", ("fmha",)),
        ("attention", "fmha", "inherited", ("fmha", "attention")),
        ("fmha", "attention", "child", ("attention", "fmha")),
        ("attention", "gpt-block", "part", ("gpt-block", "attention")),
        ("fmha", "gpt-block", "part", ("gpt-block", "attention", "fmha")),
    ],
)
def test_ops_match_by_kind_and_by_part(law_op, asked, how, via):
    """Laws of what an op is, of its kinds and of its parts all speak, each marked."""
    found = match(negative("law", op=law_op, avoid="head_dim == 64"), op=asked)
    assert (found.op, found.op_via) == (how, via)


def test_other_ops_say_nothing():
    """A law about matrix products is no law about attention, and a block's law is none about its part."""
    assert match(negative("law", op="matmul")) is None
    assert match(negative("law", op="gpt-block")) is None


@pytest.mark.parametrize(
    ("problem", "left"),
    [
        ({}, "head_dim == 64 and causal"),
        ({"causal": True}, "head_dim == 64"),
        ({"head_dim": 64, "causal": True}, None),
    ],
)
def test_a_condition_shows_what_is_left_of_it(problem, left):
    """What the problem decides disappears from the condition."""
    assert match(negative("law", when="head_dim == 64 and causal"), **problem).when == left


def test_a_condition_that_fails_hides_the_law():
    """One false part is enough, whatever else is unknown."""
    assert match(negative("law", when="head_dim == 64 and causal"), head_dim=128) is None


def test_conditions_see_hardware_facts():
    """`hw.<fact>` is the asked hardware's own or inherited fact."""
    law = negative("law", when="hw.smem_per_sm < 200000")
    assert match(law).when is None
    assert match(law, hw="sm_90") is None


def test_dtype_limits_a_law():
    """Undecided it is shown, decided it shows or hides the law."""
    law = negative("law", dtype=("fp16", "bf16"))
    assert match(law).dtype == ("fp16", "bf16")
    assert match(law, dtype="fp16").dtype == ()
    assert match(law, dtype="fp8") is None


def test_nearer_laws_have_the_smaller_distance():
    """Own before inherited before transferred, and a short way before a long one."""
    laws = [negative("law", hw=hw) for hw in ("rtx5070", "sm_120", "nvidia", "rtx5090", "sm_90")]
    distances = [match(law).distance for law in laws]
    assert distances == sorted(distances)
    assert len(set(distances)) == len(distances)
    assert match(INVARIANT, op="attention").distance < match(INVARIANT, op="fmha").distance


def test_facts_come_from_the_nearest_node():
    """A device has the facts of its compute capability."""
    assert hardware_facts(ROOT, "rtx5070") == {"smem_per_sm": 102400}
    assert hardware_facts(ROOT, "nvidia") == {}


def test_compute_capability_of_each_level():
    """A device and its capability have one; what spans several has none."""
    assert [compute_capability(ROOT, hw) for hw in ("rtx5070", "sm_120", "blackwell")] == ["sm_120", "sm_120", None]


def test_every_op_is_related_to_itself():
    """The walk starts with the op asked about."""
    assert op_relations(ROOT, "matmul") == {"matmul": ("exact", ("matmul",))}
