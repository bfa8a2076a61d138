"""Configurations that somebody else came up with, sorted by laws and recorded runs."""

from __future__ import annotations

import pytest

import spak

FOUR = [{"bx": bx, "by": by, "unroll": 0} for bx in (16, 64) for by in (1, 4)]


def test_laws_that_may_not_remove_leave_everything(conv):
    """A proposed law only orders."""
    found = conv.filter(FOUR, op="conv", hw="one")
    assert found == spak.Filtered(tuple(FOUR), ())


def test_what_laws_remove_is_left_out_with_the_law_and_its_words(hard, conv):
    """In the order given."""
    found = conv.filter(FOUR, op="conv", hw="one")
    assert list(found.kept) == FOUR[2:]
    assert [left.configuration for left in found.left_out] == FOUR[:2]
    assert {left.laws for left in found.left_out} == {("avoid-narrow",)}
    assert {left.reasons for left in found.left_out} == {("Narrow blocks are slow",)}
    assert found.spared is None


def test_one_is_always_kept(hard, conv):
    """However many laws speak against all of them."""
    found = conv.filter(FOUR[:2], op="conv", hw="one")
    assert (found.kept, found.spared) == ((FOUR[0],), FOUR[0])
    assert [left.configuration for left in found.left_out] == [FOUR[1]]


def test_what_is_not_feasible_is_left_out_with_the_condition_and_never_spared(hard, conv):
    """It could not run; and if none could, there is nothing to keep."""
    own = spak.op("mine", {"bx": [16, 64], "by": [1, 4]}, restrictions=["bx * by <= 64"], is_a=["conv"])
    found = conv.filter([{"bx": 64, "by": 4}, {"bx": 16}], op=own, hw="one")
    assert found.kept == ({"bx": 16, "by": 1},)
    assert found.spared == found.kept[0]
    assert [(left.laws, left.reasons) for left in found.left_out] == [
        ((), ("bx * by <= 64: a restriction of the kernel",))
    ]
    with pytest.raises(spak.KgError, match="none of the configurations is feasible: bx"):
        conv.filter([{"bx": 64, "by": 4}], op=own, hw="one")


def test_the_order_comes_from_what_others_recorded_and_from_laws(conv):
    """On hardware that nothing was recorded on."""
    found = conv.rank(FOUR, op="conv", hw=spak.HardwareName("three", "family"))
    assert found.order[0] == {"bx": 64, "by": 4, "unroll": 0}
    assert {source for source, weight in found.sources if weight} == {"one", "two", "law avoid-narrow"}
    assert found.num_removed == 0


def test_what_laws_remove_comes_last(hard, conv):
    """Nothing is lost, and a configuration given twice comes once."""
    found = conv.rank([*FOUR, FOUR[3]], op="conv", hw=spak.HardwareName("three", "family"))
    assert [one["bx"] for one in found.order] == [64, 64, 16, 16]
    assert found.num_removed == 2


def test_nothing_known_leaves_the_order_given(conv):
    """Of a kernel of one's own, without laws it inherits: whoever gave it may know why."""
    own = spak.op("mine", {"bx": [64, 16]})
    assert conv.rank([{"bx": 64}, {"bx": 16}], op=own, hw="new") == spak.Ranking(({"bx": 64}, {"bx": 16}), (), 0)


def test_a_part_is_completed_and_what_the_op_has_not_is_refused(conv):
    """A misspelt name or value would otherwise pass every law."""
    assert conv.filter([{"bx": 64}], op="conv", hw="one").kept[0].keys() == {"bx", "by", "unroll"}
    own = spak.op("mine", {"bx": [16, 64]})
    with pytest.raises(spak.UnknownNameError):
        conv.filter([{"bz": 64}], op=own, hw="one")
    with pytest.raises(spak.KgError, match=r"bx=65: bx of op 'mine' is one of 16, 64"):
        conv.filter([{"bx": 65}], op=own, hw="one")
    with pytest.raises(spak.KgError, match="no configurations"):
        conv.filter([], op=own, hw="one")


def test_problem_sizes_by_name_or_by_values():
    """As `tune` takes them."""
    laws = spak.load()
    size = laws.laws.ops["fmha"].problems["d64-s1024-causal"]
    one, other = (
        laws.filter([{"tile_m": 64}], op="fmha", hw="h200", problem=given) for given in (size, "d64-s1024-causal")
    )
    assert one == other
    with pytest.raises(spak.UnknownNameError) as unknown:
        laws.filter([{"tile_m": 64}], op="fmha", hw="h200", problem="d64-s1024-casual")
    assert "d64-s1024-causal" in unknown.value.nearest


def test_an_op_of_ones_own_is_checked(conv):
    """Every mistake is told before a search begins."""
    with pytest.raises(spak.KgError, match="at least one"):
        spak.op("mine", {"bx": []})
    with pytest.raises(spak.KgError, match="the default among them"):
        spak.op("mine", {"bx": [1, 2]}, defaults={"bx": 3})
    with pytest.raises(spak.UnknownNameError):
        spak.op("mine", {"bx": [1, 2]}, restrictions=["by > 1"])
    with pytest.raises(spak.UnknownNameError):
        conv.session(spak.op("mine", {"bx": [1]}, is_a=["convolution"]), hw="one")
    with pytest.raises(spak.KgError, match="call yours something else"):
        conv.session(spak.op("conv", {"bx": [1]}), hw="one")
    own = spak.op("mine", {"bx": [1, 2]}, problem={"n": 4, "causal": True, "scale": 0.5, "kind": "a"})
    assert {name: found.type for name, found in own.problem.items()} == {
        "n": "int", "causal": "bool", "scale": "float", "kind": "str",
    }  # fmt: skip
