"""Laws in words."""

from __future__ import annotations

import msgspec
import pytest

from spak.kg.law.kinds import kind_of, meaning
from spak.kg.law.statement import (
    bound_text,
    claim_document,
    elsewhere_text,
    evidence_text,
    knobs,
    observed_text,
    sentence,
    shown_elsewhere,
)
from spak.kg.model.figures import number_text
from spak.kg.model.law import Bound
from tests.kg.small import AGAINST, INDEPENDENT, INDIFFERENT, INVARIANT, REWRITE, SUPPORT, negative, positive

RANKING = positive("ranking", prefer={"tile_m": 64}, over=({"tile_m": 128}, {"tile_m": 256}))


@pytest.mark.parametrize(
    ("law", "text", "names"),
    [
        (
            negative("n", avoid="tile_m >= 128 and hw.smem_per_sm < 1"),
            "tile_m >= 128 and hw.smem_per_sm < 1",
            {"tile_m", "hw.smem_per_sm"},
        ),
        (positive("p"), "tile_m=64, tile_n=64", {"tile_m", "tile_n"}),
        (RANKING, "tile_m=64 over tile_m=128 or tile_m=256", {"tile_m"}),
        (INDIFFERENT, "v_latency in 4, 5 (same time within 1%)", {"v_latency"}),
        (INVARIANT, "violate mask_value == -1e20", {"mask_value"}),
        (REWRITE, "v1 to v2", set()),
    ],
)
def test_each_kind_of_claim_in_short_and_what_it_is_about(law, text, names):
    """What follows the verb in a table, and the names it governs."""
    assert meaning(law).text == text
    assert meaning(law).names == names


@pytest.mark.parametrize(
    ("law", "text"),
    [
        (
            negative("n", when="head_dim == 64", dtype=("fp16", "bf16")),
            "On X, for Y in fp16 or bf16 when head_dim == 64: avoid every configuration with tile_m >= 128 (register spill; slowdown >= 1.2).",
        ),
        (positive("p"), "On X, for Y: tile_m=64, tile_n=64 is best or ties with the best."),
        (RANKING, "On X, for Y: tile_m=64 beats tile_m=128 or tile_m=256."),
        (INDIFFERENT, "On X, for Y: changing v_latency among 4 and 5 changes the time by at most 1%."),
        (
            INVARIANT,
            "On X, for Y: mask_value == -1e20 must hold, otherwise rows become NaN (shown by the check attention-mask-floor) (nan_rows <= 0, nan_rows_otherwise >= 1).",
        ),
        (REWRITE, "On X, for Y: v1 becomes v2: Add a mask (proved by Same output)."),
    ],
)
def test_each_kind_of_claim_as_a_sentence(law, text):
    """`kg explain` begins with one English sentence."""
    assert sentence(law, hw="X", op="Y") == text


def test_knobs_are_tunable_names_in_the_ops_order():
    """Features and problem parameters are no knobs."""
    law = negative("n", avoid="tile_n > 1 and tile_m > 1 and spill_bytes > 0 and head_dim > 1")
    assert knobs(law, ["tile_m", "tile_n", "occupancy"]) == ("tile_m", "tile_n")


@pytest.mark.parametrize(
    ("bound", "text"),
    [
        (Bound(at_least=1), "x >= 1"),
        (Bound(at_most=0.25), "x <= 0.25"),
        (Bound(at_least=1, at_most=2), "1 <= x <= 2"),
        (Bound(), "x"),
    ],
)
def test_bounds(bound, text):
    """One-sided, two-sided and empty bounds read as mathematics."""
    assert bound_text("x", bound) == text


def test_numbers_are_short_and_keep_what_matters():
    """Whole numbers whole, others to five digits."""
    assert [number_text(v) for v in (1208.0, 113.73, 0.00017234, 1e20)] == ["1208", "113.73", "0.00017234", "1e+20"]


def test_evidence_is_counted_by_verdict_and_tier():
    """For first, then against, each with how far apart its experiments are; of days only where something was timed."""
    rests = "2 problem sizes, 1 device, 2 days, 2 occasions, 1 toolchain"
    assert (
        evidence_text([SUPPORT, INDEPENDENT, AGAINST])
        == f"2 measured for ({rests}), 1 measured against (1 device, 1 day, 1 occasion)"
    )
    compiled = msgspec.structs.replace(INDEPENDENT, tier="compiled", interval={})
    assert evidence_text([compiled]) == "1 compiled for (2 problem sizes, 1 toolchain)"
    assert evidence_text([msgspec.structs.replace(INDEPENDENT, tier="reported")]) == "1 reported for"
    assert evidence_text([]) == "no evidence"


def test_observed_effects_are_those_that_support():
    """The range of what was seen; counter-evidence is not mixed into it."""
    assert observed_text([SUPPORT, INDEPENDENT, AGAINST]) == "slowdown 1.5..2.5"
    assert observed_text([SUPPORT]) == "slowdown 1.5"
    assert observed_text([AGAINST]) == ""


def test_a_claim_as_in_the_file_has_its_own_keys_first():
    """Readers meet the claim before its mechanism."""
    assert list(claim_document(negative("n"))) == ["avoid", "because", "effect"]
    assert claim_document(RANKING) == {"prefer": {"tile_m": 64}, "over": ({"tile_m": 128}, {"tile_m": 256})}
    assert kind_of(RANKING) == "positive"


def test_where_a_law_was_found_and_where_else_it_holds():
    """What speaks against it, what was compiled, and what nobody noted where says nothing of other hardware."""

    def on(entry, hw, **changes):
        return msgspec.structs.replace(entry, occasion=f"2026-01-01 {hw}", tier="measured", **changes)

    found, there = on(SUPPORT, "h200", role="suggested"), on(INDEPENDENT, "h100")
    assert elsewhere_text([found, there, on(INDEPENDENT, "h200")]) == "found on h200, holds on h100"
    assert shown_elsewhere([found, there]) == (("h200",), ("h100",))
    assert elsewhere_text([found, on(INDEPENDENT, "h200")]) == ""
    assert elsewhere_text([there]) == ""
    for other in (
        on(AGAINST, "b200"),
        msgspec.structs.replace(there, tier="compiled"),
        msgspec.structs.replace(there, occasion=""),
    ):
        assert elsewhere_text([found, other]) == ""
