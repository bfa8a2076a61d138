"""Which laws speak for or against a configuration."""

from __future__ import annotations

import json

import pytest

from spak.kg.answers.query import Ask
from spak.kg.answers.why import account_json, why
from spak.kg.errors import UnknownNameError
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import Power
from tests.kg.small import INDIFFERENT, INVARIANT, REWRITE, ROOT, negative, positive

RANKING = positive("ranking", prefer={"tile_m": 64}, over=({"tile_m": 128, "tile_n": 128},))
REGION = negative("region", avoid="tile_m >= 128 and tile_n >= 128")


@pytest.mark.parametrize(
    ("law", "known", "stance", "reason", "needs"),
    [
        (REGION, {"tile_m": 128, "tile_n": 128}, "against", "in the region to avoid", ()),
        (REGION, {"tile_m": 64}, "silent", "outside the region to avoid", ()),
        (REGION, {"tile_m": 128}, "undecided", "against it if tile_n >= 128", ("tile_n",)),
        (INVARIANT, {"mask_value": -1e20}, "for", "kept", ()),
        (INVARIANT, {"mask_value": 0}, "against", "broken; otherwise rows become NaN.", ()),
        (INVARIANT, {}, "undecided", "against it unless mask_value == -1e+20", ("mask_value",)),
        (positive("p"), {"tile_m": 64, "tile_n": 64}, "for", "the preferred setting", ()),
        (positive("p"), {"tile_m": 128}, "against", "prefers tile_m=64", ()),
        (positive("p"), {"tile_m": 64}, "undecided", "for it if tile_n=64", ("tile_n",)),
        (RANKING, {"tile_m": 64}, "for", "the preferred setting", ()),
        (RANKING, {"tile_m": 128, "tile_n": 128}, "against", "tile_m=64 beats it", ()),
        (RANKING, {"tile_m": 256, "tile_n": 128}, "silent", "not one of the settings it ranks", ()),
        (INDIFFERENT, {"v_latency": 4}, "indifferent", "5 would take the same time within 1%", ()),
        (INDIFFERENT, {"v_latency": 1}, "silent", "v_latency=1 is not one of the values it compares", ()),
        (INDIFFERENT, {}, "undecided", "about v_latency", ("v_latency",)),
        (REWRITE, {"tile_m": 64}, "silent", "about how one system becomes another", ()),
    ],
)
def test_what_a_claim_says_of_values(law, known, stance, reason, needs):
    """Every kind of claim, decided either way and left open."""
    verdict = meaning(law).verdict(known)
    assert (verdict.stance, verdict.reason, verdict.needs) == (stance, reason, needs)


def account(configuration, **ask):
    return why(ROOT, Ask(**{"hw": "rtx5070", "op": "fmha", **ask}), configuration)


def test_laws_against_come_first_and_refuted_ones_not_at_all():
    """What a person must know first is what speaks against the configuration."""
    found = account({"tile_m": 128, "tile_n": 128}, problem={"head_dim": 64}, toolchain="tileiras 13.4")
    stances = [(o.law.id, o.verdict.stance) for o in found.opinions]
    assert stances == [
        ("small-tiles", "against"),
        ("spills", "against"),
        ("hopper-tiles", "against"),
        ("latency-4-or-5", "undecided"),
        ("mask-floor", "undecided"),
        ("one-to-two", "silent"),
    ]
    spills = found.opinions[1]
    assert spills.permission.removes
    assert not found.opinions[2].permission.removes


def test_unknown_parameters_get_the_nearest():
    """A misspelled knob is not an unknown value."""
    with pytest.raises(UnknownNameError, match="unknown parameter 'tile_mm'; nearest: tile_m"):
        account({"tile_mm": 64})


def test_json_names_every_opinion():
    """The same account for programs."""
    found = json.loads(account_json(account({"tile_m": 128})))
    assert (found["hw"], found["op"], found["configuration"]) == ("rtx5070", "fmha", {"tile_m": 128})
    assert set(found["opinions"][0]) == {
        "id", "kind", "status", "stance", "reason", "needs", "may_remove", "may_remove_reason", "layer", "match",
            "found_on", "holds_on",
    }  # fmt: skip


def test_a_law_without_power_is_said_to_move_nothing():
    """A law of a child op, or one that a nearer law overrides, does nothing to a search; the reason says so."""
    found = {o.law.id: o.permission for o in account({"tile_m": 64}, op="attention").opinions}
    assert found["spills"].power is Power.NOTHING
    assert found["spills"].reason == "it is about fmha, which attention is not"
