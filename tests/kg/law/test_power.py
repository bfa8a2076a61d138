"""Hard only where it is certain: each condition of design principle 3, alone."""

from __future__ import annotations

import msgspec
import pytest

from spak.kg.law.power import SearchPlace, bearing
from spak.kg.law.refutable import effects_of
from spak.kg.model.law import Bound
from tests.kg.small import INDEPENDENT, INDIFFERENT, INVARIANT, REWRITE, ROOT, negative, positive
from tests.shown import shown

HERE = "tileiras 13.4.92"
NO_EFFECT = (
    "it claims nothing: claim: bounds no effect, so nothing could refute it; "
    f"add effect with one of {', '.join(effects_of('negative'))}"
)


def test_a_confirmed_law_about_time_on_this_capability_removes():
    """The one way to be hard: also stated for the device itself, also about an axis or a safety invariant."""
    for law in (
        negative("law"),
        negative("law", hw="rtx5070"),
        shown(negative("law", effect={"slowdown": Bound(at_least=2), "spill_bytes": Bound(at_least=1)})),
        negative("law", spec="tileiras >=13.4,<14"),
        shown(msgspec.structs.replace(INDIFFERENT, status="confirmed")),
        msgspec.structs.replace(INVARIANT, scope=msgspec.structs.replace(INVARIANT.scope, hw="sm_120")),
    ):
        found = bearing(law, SearchPlace(ROOT, "rtx5070", HERE))
        assert found.removes, found.reason
        assert found.reason == "confirmed on sm_120 with this toolchain"


@pytest.mark.parametrize(
    ("law", "reason"),
    [
        (positive("law", status="confirmed"), "a preference only orders"),
        (REWRITE, "it rewrites code, not settings"),
        (negative("law", status="proposed"), "it is proposed"),
        (negative("law", status="contested"), "it is contested"),
        (negative("law", status="refuted"), "it is refuted"),
        (negative("law", status="withdrawn"), "it is withdrawn"),
        (negative("law", hw="blackwell"), "it is stated for blackwell, not confirmed on sm_120 itself"),
        (INVARIANT, "it is stated for nvidia, not confirmed on sm_120 itself"),
        (negative("law", hw="sm_90"), "it is about sm_90, which rtx5070 is not"),
        (negative("law", hw="rtx5090"), "it is about rtx5090, which rtx5070 is not"),
        (
            negative("law", effect={"spill_bytes": Bound(at_least=1)}),
            "it is about compiled code (spill_bytes), not about time, failure or numbers",
        ),
        (negative("law", effect={}), NO_EFFECT),
        (negative("law", spec="tileiras <13"), "it is limited to tileiras <13, and this is tileiras 13.4.92"),
        (shown(negative("law"), toolchain="tileiras 12.9"), "none of its evidence is from tileiras 13.4.92"),
        (
            negative("law", evidence=(INDEPENDENT,)),
            "it was measured on one occasion (2026-01-02 rtx5070); measure it on another day, machine or device",
        ),
    ],
)
def test_everything_else_only_reorders(law, reason):
    """Each missing condition is enough, and the answer names it."""
    found = bearing(law, SearchPlace(ROOT, "rtx5070", HERE))
    assert not found.removes
    assert found.reason == reason


def test_an_unknown_toolchain_removes_nothing_that_a_toolchain_could_change():
    """What was computed without a compiler does not need one."""
    assert bearing(negative("law"), SearchPlace(ROOT, "rtx5070")).reason == "the toolchain is not known"
    limited = shown(negative("law", spec="tileiras >=13"))
    assert bearing(limited, SearchPlace(ROOT, "rtx5070")).reason == "the toolchain is not known"
    assert bearing(shown(negative("law")), SearchPlace(ROOT, "rtx5070")).removes


def test_nothing_is_certain_about_a_whole_family():
    """A search names a device or a capability; a law of a family is not confirmed on each of its members."""
    assert not bearing(negative("law", hw="blackwell"), SearchPlace(ROOT, "blackwell", HERE)).removes
