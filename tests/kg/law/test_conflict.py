"""The nearer law overrides: a query, an account of a configuration, a search and an export say so alike."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from spak.kg.answers.query import Ask, query
from spak.kg.answers.why import why
from spak.kg.formats.kernel_tuner_export import export
from spak.kg.law.kinds.base import Power
from spak.kg.model.law import Law
from spak.kg.space.space import build
from spak.tuner.knowledge.restriction import Context, restrict
from tests.kg.small import INVARIANT, ROOT, negative, positive

TOOLCHAIN = "tileiras 13.4"
PROBLEM = {name: size.default for name, size in ROOT.ops["fmha"].problem.items()}

FAR = negative("far", hw="sm_120", avoid="tile_m >= 128")
NEAR = positive("near", hw="rtx5070", prefer={"tile_m": 128})
SAFETY = msgspec.structs.replace(
    INVARIANT,
    id="far",
    scope=FAR.scope,
    claim=msgspec.structs.replace(INVARIANT.claim, require="tile_m < 128"),
)


def answered(laws: Sequence[Law], op: str = "fmha") -> str | None:
    return {hit.law.id: hit.match.overridden_by for hit in query(root(laws), Ask("rtx5070", op)).hits}["far"]


def accounted(laws: Sequence[Law]) -> str | None:
    """Also checks that what is overridden has no power."""
    ask = Ask("rtx5070", "fmha", problem=PROBLEM, toolchain=TOOLCHAIN)
    opinion = next(one for one in why(root(laws), ask, {"tile_m": 128}).opinions if one.law.id == "far")
    assert opinion.permission.removes == (opinion.match.overridden_by is None)
    return opinion.match.overridden_by


def restricted(laws: Sequence[Law]) -> str | None:
    """Also checks what is searched."""
    found = restrict(build(ROOT.ops["fmha"], PROBLEM), root(laws), Context("rtx5070", TOOLCHAIN))
    rule = next(rule for rule in found.rules if rule.id == "far")
    assert (rule.power is Power.NOTHING) == (rule.match.overridden_by is not None)
    assert found.removed.any() == (rule.match.overridden_by is None)
    return rule.match.overridden_by


def exported(laws: Sequence[Law]) -> str | None:
    """By the reason that stands beside what is no restriction; with `--soft`, where the least is left out."""
    found = export(root(laws), "rtx5070", "fmha", PROBLEM, toolchain=TOOLCHAIN, soft=True)
    unsaid = {one.law: one.reason for one in found.cannot_say}
    assert ("far" in unsaid) == (found.restrictions == ())
    return unsaid["far"].removesuffix(" is nearer and says otherwise") if "far" in unsaid else None


def root(laws: Sequence[Law]):
    return ROOT.with_laws(*laws)


EVERYWHERE = pytest.mark.parametrize("overridden", [answered, accounted, restricted, exported])


@EVERYWHERE
def test_a_nearer_law_overrides_what_contradicts_it(overridden) -> None:
    """A search and an export obeyed the farther law that a query called overridden."""
    assert overridden([NEAR, FAR]) == "near"


@EVERYWHERE
@pytest.mark.parametrize(
    "other",
    [
        positive("near", hw="rtx5070", prefer={"tile_m": 64}),
        positive("near", hw="sm_120", prefer={"tile_m": 128}),
        positive("near", hw="sm_90", prefer={"tile_m": 128}),
        positive("near", hw="rtx5070", prefer={"tile_m": 128}, status="refuted"),
    ],
    ids=["no contradiction", "as near", "a relative", "refuted"],
)
def test_what_does_not_contradict_from_nearer_overrides_nothing(overridden, other) -> None:
    """Neither agreement, nor a law as near, nor one that nobody follows here."""
    assert overridden([other, FAR]) is None


@EVERYWHERE
def test_nothing_overrides_a_safety_law(overridden) -> None:
    """A preference makes no wrong number right, however near it is."""
    assert overridden([NEAR, SAFETY]) is None


def test_laws_are_held_against_each_other_at_the_size_asked_about() -> None:
    """A contradiction at another problem size is none here."""
    far = negative("far", hw="sm_120", avoid="tile_m >= 128 and head_dim == 64")
    found = {
        dim: query(ROOT.with_laws(NEAR, far), Ask("rtx5070", "fmha", problem={"head_dim": dim})).conflicts
        for dim in (64, 128)
    }
    assert [conflict.nearer for conflict in found[64]] == ["near"]
    assert found[128] == ()


def test_a_law_about_a_kind_of_the_op_overrides_none_about_the_op() -> None:
    """Asked about attention, what is known of fmha alone leaves the laws about attention as they are."""
    about_attention = negative("far", hw="sm_120", op="attention", avoid="tile_m >= 128")
    assert answered([NEAR, about_attention], op="attention") is None
    assert answered([NEAR, about_attention]) == "near"
