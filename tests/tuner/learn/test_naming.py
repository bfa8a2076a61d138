"""Mined laws are called as a person would call them: short, readable, the same for the same law, two laws never alike."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kg.law.kinds.avoid import AvoidClaim, NegativeLaw
from spak.kg.law.kinds.indifferent import IndifferentClaim, IndifferentLaw
from spak.kg.law.kinds.prefer import PositiveLaw, PreferClaim
from spak.kg.model.law import Bound, Law, Scope
from spak.tuner.learn.mining.naming import MAX_ID, MAX_TITLE, distinct, name_law
from tests.shipped import LAWS

CALLED = {
    "tile_m": "tiles of {} rows",
    "tile_n * tile_m": "tiles of {} scores",
    "use_tma": "TMA",
    "causal": "a causal mask",
    "head_dim": "head size {}",
}
SLOW = {"slowdown": Bound(at_least=1.2)}
SPILLS = {"spill_bytes": Bound(at_least=1)}


def negative(avoid: str, effect: dict[str, Bound] | None = None, because: str = "", **scope: object) -> NegativeLaw:
    where = Scope(**{"hw": "sm_90", "op": "fmha", **scope})  # type: ignore[arg-type]
    claim = AvoidClaim(avoid=avoid, effect=effect or SLOW, because=because)
    return NegativeLaw(id="x", title="x", scope=where, claim=claim, status="proposed")


def called(law: Law) -> tuple[str, str]:
    made = name_law(law, "Fused attention", CALLED)
    return made.id, made.title


@pytest.mark.parametrize(
    ("law", "identifier", "title"),
    [
        (
            negative("tile_m == 32", dtype=("fp16",), when="head_dim in [64, 128]"),
            "sm90-fmha-32-rows-slow",
            "On sm_90, fused attention in fp16 with head size 64 or 128 is slow with tiles of 32 rows: at least 1.2 times its best; mechanism unknown",
        ),
        (
            negative("use_tma == False and registers >= 168", because="low-occupancy", when="causal == True"),
            "sm90-fmha-no-tma-min-168-registers-slow-8f3b",
            "On sm_90, fused attention with a causal mask is slow with at least 168 registers a thread, without TMA: at least 1.2 times its best; low occupancy",
        ),
        (
            negative("tile_m * tile_n >= 16384", SPILLS, "register-spill"),
            "sm90-fmha-min-16k-scores-spills",
            "On sm_90, fused attention spills registers with tiles of at least 16384 scores",
        ),
        (
            negative("stages < 3 and spill_bytes > 0", {"failure_rate": Bound(at_least=1)}),
            "sm90-fmha-stages-under-3-spilled-fails",
            "On sm_90, fused attention does not run with stages less than 3 and spilled bytes; mechanism unknown",
        ),
        (
            negative("tile_m == 32 or not causal", when="not causal"),
            "sm90-fmha-tile-m-32-or-not-causal-slow-ad50",
            "On sm_90, fused attention without a causal mask is slow with tile_m == 32 or not causal: at least 1.2 times its best; mechanism unknown",
        ),
    ],
)
def test_a_region_is_said_in_the_words_of_its_op(law: Law, identifier: str, title: str) -> None:
    assert called(law) == (identifier, title)


def test_a_setting_and_a_tie_are_said_too() -> None:
    scope = Scope(hw="sm_90", op="fmha")
    prefer = PositiveLaw(
        id="x", title="x", scope=scope, status="proposed", claim=PreferClaim(prefer={"tile_m": 64, "use_tma": True})
    )
    assert called(prefer) == (
        "sm90-fmha-64-rows-tma-best",
        "On sm_90, fused attention reaches its best with tiles of 64 rows and TMA; mechanism unknown",
    )
    tie = IndifferentLaw(
        id="x",
        title="x",
        scope=scope,
        status="proposed",
        claim=IndifferentClaim(over="v_latency", values=(4, 5), within="1%", because="latency-hidden"),
    )
    assert called(tie) == (
        "sm90-fmha-v-latency-4-5-same",
        "On sm_90, fused attention is as fast within 1% with v latency 4 or 5; latency hidden",
    )


def test_only_mined_kinds_have_names_of_their_own() -> None:
    claim = AvoidClaim(avoid="m > 1")
    with pytest.raises(TypeError, match="kind Law is mined"):
        name_law(Law(id="x", title="x", scope=Scope(hw="a", op="b"), claim=claim, status="proposed"), "", {})


WORDS = st.text("abcxyz_", min_size=1, max_size=30)
COMPARISONS = st.builds(
    "{} {} {}".format,
    WORDS.filter(str.isidentifier).map(lambda name: f"p{name}"),
    st.sampled_from(["==", ">=", "<=", ">", "<", "!="]),
    st.one_of(st.integers(0, 1 << 20), st.booleans(), st.sampled_from(["'plain'", "'a-b'"])),
)
DRAWN = st.builds(
    lambda parts, conditions, hw, op, dtype: negative(
        " and ".join(parts), when=" and ".join(conditions), hw=hw, op=op, dtype=tuple(dtype)
    ),
    st.lists(COMPARISONS, min_size=1, max_size=4),
    st.lists(COMPARISONS, max_size=3),
    st.sampled_from(["sm_90", "h200", "a-very-long-name-of-an-architecture"]),
    st.sampled_from(["fmha", "an-imported-op-with-a-name-as-long-as-a-sentence-can-be-that-nobody-shortened"]),
    st.lists(st.sampled_from(["fp16", "bf16"]), unique=True),
)


@given(DRAWN)
def test_every_name_is_short_valid_and_stable(law: NegativeLaw) -> None:
    identifier, title = called(law)
    assert len(identifier) <= MAX_ID
    assert 0 < len(title) <= MAX_TITLE
    msgspec.convert(msgspec.to_builtins(name_law(law, "Fused attention", CALLED)), NegativeLaw)  # as a law file is read
    assert called(msgspec.structs.replace(law, id="other", title="other", status="confirmed")) == (identifier, title)


@given(DRAWN, DRAWN)
def test_two_laws_of_which_one_is_there_already_never_share_a_name(first: NegativeLaw, second: NegativeLaw) -> None:
    one, two = (name_law(law, "Fused attention", CALLED) for law in (first, second))
    if (one.claim, one.scope) != (two.claim, two.scope):
        new = distinct(two, {one.id})
        assert new.id != one.id
        assert len(new.id) <= MAX_ID
        assert new.id == distinct(two, {one.id, "unrelated"}).id


def test_the_laws_of_this_repository_that_were_mined_have_the_names_that_mining_gives() -> None:
    """The rule is tried on what it was made for: each is readable, and none needs the number of its thresholds alone."""
    renamed = {law.id for law in LAWS.laws.values() if any(link.type == "renamed-from" for link in law.related)}
    learned = {"sm90-matmul-output-max-8k-slow", "sm90-fmha-min-256-spilled-slow"}
    mined = [law for law in LAWS.laws.values() if law.id in renamed | learned and law.withdrawn is None]
    assert len(mined) > len(learned)
    for law in mined:
        op = LAWS.ops[law.scope.op]
        made = name_law(law, op.title, op.phrases)
        assert (law.id, law.title) == (made.id, made.title)
        assert not re.search(r"-(ge|le|gt|lt)-", law.id)
