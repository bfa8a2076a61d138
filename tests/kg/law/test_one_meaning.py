"""One meaning of a law, wherever it is asked: over one configuration, many, examples, a search and trials."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kg.answers.query import Ask
from spak.kg.answers.why import why
from spak.kg.law.kinds import KINDS, meaning
from spak.kg.law.scope import inside
from spak.kg.model.law import Law, Scope
from spak.kg.space.space import build
from spak.tuner.knowledge.restriction import Context, restrict
from tests.kg.small import INDIFFERENT, INVARIANT, REWRITE, ROOT, negative, positive

SPACE = build(ROOT.ops["fmha"], {})
LAWS: tuple[Law, ...] = (
    negative("region", avoid="tile_m >= 128 and tile_n >= 128"),
    positive("setting", prefer={"tile_m": 64}),
    positive("ranking", prefer={"v_latency": 1}, over=({"v_latency": 4},)),
    positive("wide", prefer={"v_latency": 1, "tile_m": 64}, over=({"v_latency": 4}, {"tile_n": 128})),
    msgspec.structs.replace(INVARIANT, claim=msgspec.structs.replace(INVARIANT.claim, require="tile_m < 128")),
    INDIFFERENT,
    REWRITE,
)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.id)
def test_a_mask_is_the_stance_on_each_configuration(law: Law) -> None:
    """What a law speaks against over a space is what it is against one configuration at a time."""
    stances = [meaning(law).verdict(SPACE.config(i)).stance for i in range(len(SPACE))]
    mask = meaning(law).against(SPACE)
    if "indifferent" in stances:  # one value stands for all: those that go are among those that tie
        assert mask is not None
        assert all(stances[i] == "indifferent" for i in np.flatnonzero(mask.flat))
    else:
        assert [stance == "against" for stance in stances] == (
            [False] * len(SPACE) if mask is None else mask.flat.tolist()
        )


@pytest.mark.parametrize("law", [law for law in LAWS if meaning(law).removal is not None], ids=lambda law: law.id)
def test_what_a_law_forbids_is_what_it_is_against(law: Law) -> None:
    """Removal, stance and mask are three forms of one claim."""
    removal = meaning(law).removal
    assert removal is not None
    for i in range(len(SPACE)):
        known = SPACE.config(i)
        assert removal.holds(known) == (meaning(law).verdict(known).stance == "against")


def test_a_ranking_speaks_of_nothing_but_what_it_ranks() -> None:
    """`prefer v_latency=1 over v_latency=4` says nothing of 5: one configuration, a space, a search."""
    law = positive("ranking", hw="rtx5070", prefer={"v_latency": 1}, over=({"v_latency": 4},))
    root = ROOT.with_laws(law)
    stances = {
        value: why(root, Ask(hw="rtx5070", op="fmha"), {"v_latency": value}).opinions[0].verdict.stance
        for value in (1, 4, 5)
    }
    assert stances == {1: "for", 4: "against", 5: "silent"}
    against = meaning(law).against(SPACE)
    assert {SPACE.config(int(i))["v_latency"] for i in np.flatnonzero(against.flat)} == {4}
    rule = restrict(SPACE, root, Context("rtx5070")).rules[0]
    assert rule.worse is not None
    assert {SPACE.config(int(i))["v_latency"] for i in np.flatnonzero(rule.worse.flat)} == {4}
    assert penalties(restrict(SPACE, root, Context("rtx5070")).penalty) == [1, 5, 4]


def penalties(penalty: np.ndarray) -> list[int]:
    """Values of `v_latency`, those to try first before the rest."""
    found = {SPACE.config(i)["v_latency"]: int(penalty[i]) for i in range(len(SPACE))}
    return sorted(found, key=lambda value: found[value])


@pytest.mark.parametrize("known", [{"tile_m": 64}, {}, {"tile_n": 64}])
def test_a_ranking_is_undecided_while_its_settings_may_still_be_met(known: dict[str, int]) -> None:
    """What is not known is not different: it was called silent."""
    law = positive("ranking", prefer={"v_latency": 1}, over=({"v_latency": 4},))
    assert meaning(law).verdict(known).stance == "undecided"
    assert meaning(law).verdict(known).needs == ("v_latency",)


SCOPES = st.builds(
    Scope,
    hw=st.just("sm_120"),
    op=st.just("fmha"),
    dtype=st.sampled_from([(), ("fp16",), ("fp16", "bf16")]),
    when=st.sampled_from(["", "head_dim == 64", "head_dim == 64 and causal", "hw.smem_per_sm > 200000 or causal"]),
)
FULL = st.fixed_dictionaries(
    {
        "head_dim": st.sampled_from([64, 128]),
        "causal": st.booleans(),
        "dtype": st.sampled_from(["fp16", "fp8"]),
        "hw.smem_per_sm": st.sampled_from([100000, 233472]),
    }
)


@given(SCOPES, FULL, st.sets(st.sampled_from(["head_dim", "causal", "dtype", "hw.smem_per_sm"])))
def test_what_is_decided_stays_so_when_more_is_known(scope: Scope, full: dict[str, object], hidden: set[str]) -> None:
    """Undecided names what is missing; with nothing hidden every scope holds or does not."""
    less = inside(scope, {name: value for name, value in full.items() if name not in hidden})
    whole = inside(scope, full)
    assert whole.holds is not None
    assert whole.missing == ()
    if less.holds is None:
        assert less.missing
        assert set(less.missing) <= hidden
    else:
        assert less.holds == whole.holds


def test_nothing_outside_their_own_files_asks_for_a_kind() -> None:
    """A claim's class is named by its file and by mining, which makes such laws and words their names."""
    from pathlib import Path

    top = Path(__file__).parents[3]
    names = {cls.__name__ for kind in KINDS.values() for cls in (kind.model, type_of_claim(kind.model))}
    makers = {"tuner/learn/mining/candidates.py", "tuner/learn/mining/naming.py"}
    judges = {"kg/evidence/judge.py", "kg/evidence/witness.py", "tuner/learn/confirm/plan.py"}  # trials of each kind
    for path in (file for room in ("kg", "tuner", "cli", "src") for file in (top / room).rglob("*.py")):
        place = path.relative_to(top).as_posix()
        if place in makers or place.startswith("kg/law/kinds/") or place in judges:
            continue
        text = path.read_text()
        assert not [name for name in names if name in text], place


def type_of_claim(model: type[Law]) -> type:
    return next(field.type for field in msgspec.structs.fields(model) if field.name == "claim")
