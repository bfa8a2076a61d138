"""A brief answer is the whole one, less: the same counts and conflicts, and of each verb the surest laws."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kg.answers.brief import Brief, brief
from spak.kg.answers.certainty import SURE, doubt
from spak.kg.answers.query import Answer, Ask, query
from spak.kg.errors import UnknownNameError
from spak.kg.law.conflict import Hit
from spak.kg.law.kinds import meaning
from spak.kg.model.cohort import Traits, cohorts
from spak.kg.model.law import Evidence, Withdrawn
from tests.kg.small import AGAINST, INDEPENDENT, ROOT, SUPPORT, negative, positive

OLD = msgspec.structs.replace(SUPPORT, run="run-old", tier="compiled", toolchain="tileiras 12.9")
PAPER = Evidence(run="paper", verdict="supports", tier="reported", role="independent")
WITHDRAWN = Withdrawn(date="2026-01-01", reason="Wrong units.")
ENTRIES = st.lists(st.sampled_from((SUPPORT, INDEPENDENT, AGAINST, OLD, PAPER)), max_size=3).map(tuple)
HARDWARE = st.sampled_from(("rtx5070", "rtx5090", "sm_120", "sm_90", "blackwell", "nvidia", "elsewhere"))
STATUSES = st.sampled_from(("proposed", "confirmed", "contested", "refuted", "withdrawn"))


@st.composite
def laws(draw, name):
    """A law to avoid something or to prefer it, so that some contradict each other."""
    status, more = draw(STATUSES), {"evidence": draw(ENTRIES), "op": draw(st.sampled_from(("fmha", "attention")))}
    more |= {"withdrawn": WITHDRAWN} if status == "withdrawn" else {}
    more |= {"when": "head_dim == 64"} if draw(st.booleans()) else {}
    if draw(st.booleans()):
        return positive(
            name, draw(HARDWARE), prefer={"tile_m": draw(st.sampled_from((64, 128)))}, status=status, **more
        )
    avoid = draw(st.sampled_from(("tile_m == 128", "tile_m == 64", "tile_n >= 128 and tile_m == 64")))
    return negative(name, draw(HARDWARE), avoid, status=status, **more)


STORES = st.lists(st.sampled_from("abcdefghijkl"), unique=True, max_size=12).flatmap(
    lambda names: st.tuples(*map(laws, names)).map(lambda found: ROOT.with_laws(*found))
)
ASKS = st.builds(
    Ask,
    hw=st.sampled_from(("rtx5070", "sm_120", "h200", "nvidia")),
    op=st.sampled_from(("fmha", "attention")),
    kinds=st.sampled_from((frozenset(), frozenset({"positive"}), frozenset({"negative", "invariant"}))),
    statuses=st.frozensets(STATUSES, max_size=2),
    params=st.sampled_from((frozenset(), frozenset(), frozenset({"tile_n"}), frozenset({"tile_m", "v_latency"}))),
    problem=st.sampled_from(({}, {"head_dim": 64}, {"head_dim": 128, "dtype": "fp16"})),
    toolchain=st.sampled_from(("", "tileiras 13.4.92", "tileiras 12.9.1", "triton 3.0")),
)


def shortened(answer: Answer, most: int) -> Brief:
    """What a brief answer has to be, by way of the whole one."""
    by_verb: dict[str, list[Hit]] = {}
    for hit in sorted(answer.hits, key=_doubt):
        if hit.law.status in SURE:
            by_verb.setdefault(meaning(hit.law).verb, []).append(hit)
    return Brief(
        hw=answer.hw,
        op=answer.op,
        counts=Counter(hit.law.status for hit in answer.hits),
        surest={verb: tuple(hits[:most]) for verb, hits in by_verb.items()},
        conflicts=answer.conflicts,
        num_withdrawn=answer.num_withdrawn,
        toolchain=answer.toolchain,
        superseded=answer.superseded,
    )


def _doubt(hit):
    supports = [entry.tier for entry in hit.law.evidence if entry.verdict == "supports"]
    return (*doubt(hit.law.status, supports, hit.match), hit.law.id)


@given(STORES, ASKS, st.integers(1, 5))
def test_it_is_the_whole_answer_shortened(store, ask, most):
    assert asdict(brief(store, ask, most)) == asdict(shortened(query(store, ask), most))


def test_the_laws_of_the_property_contradict_and_override_each_other():
    """Else it would hold for want of what it is about."""
    store = ROOT.with_laws(
        positive("near", "rtx5070", prefer={"tile_m": 128}, status="confirmed"),
        negative("far", "sm_120", "tile_m == 128"),
        negative("later", "sm_120", "tile_m == 64"),
    )
    found = brief(store, Ask("rtx5070", "fmha"), 5)
    assert [one.nearer for one in found.conflicts] == ["near"]
    assert [(hit.law.id, hit.match.overridden_by) for hit in found.surest["avoid"]] == [
        ("later", None),
        ("far", "near"),
    ]
    assert asdict(found) == asdict(shortened(query(store, Ask("rtx5070", "fmha")), 5))


QUARREL = (
    positive("prefer-z", "rtx5070", prefer={"tile_m": 128}, status="confirmed"),
    positive("prefer-a", "sm_120", op="attention", prefer={"tile_n": 128}, status="confirmed"),
    negative("avoid-z", "rtx5070", "tile_m == 128"),
    negative("avoid-a", "nvidia", "tile_n == 128"),
    negative("avoid-all", "blackwell", "tile_m == 128 and tile_n == 128", op="attention"),
    positive("prefer-both", "sm_120", prefer={"tile_m": 128, "tile_n": 128}),
    positive("prefer-b", "rtx5070", prefer={"tile_m": 128, "tile_n": 64}, status="confirmed"),
)


@pytest.mark.parametrize("kinds", [(), ("positive",), ("indifferent",)])
@pytest.mark.parametrize("laws", [QUARREL, QUARREL[::-1], QUARREL[2:] + QUARREL[:2]])
def test_conflicts_come_in_the_same_order_and_without_those_of_laws_not_asked_for(laws, kinds):
    store, ask = ROOT.with_laws(*laws), Ask("rtx5070", "fmha", kinds=frozenset(kinds))
    found = brief(store, ask, 5)
    assert len(found.conflicts) == (0 if kinds == ("indifferent",) else 6)
    assert asdict(found) == asdict(shortened(query(store, ask), 5))


@pytest.mark.parametrize("ask", [Ask("rtx", "fmha"), Ask("rtx5070", "fma"), Ask("rtx5070", "fmha", params={"tile"})])
def test_an_unknown_name_is_refused_as_by_the_whole_answer(ask):
    with pytest.raises(UnknownNameError) as whole:
        query(ROOT, ask)
    with pytest.raises(UnknownNameError, match=str(whole.value).split(";", maxsplit=1)[0]):
        brief(ROOT, ask, 1)


@given(STORES)
def test_a_cohort_shares_its_traits_and_every_law_is_in_one(store):
    given_laws = list(store.laws.values())
    found = cohorts(given_laws)
    assert len({one.traits for one in found}) == len(found)
    for one in found:
        assert list(one.ids) == sorted(one.ids) == [law.id for law in one.laws]
        assert {Traits.of(law) for law in one.laws} == {one.traits}
    assert {place: law for one in found for place, law in zip(one.places, one.laws, strict=True)} == dict(
        enumerate(given_laws)
    )
