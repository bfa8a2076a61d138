"""`kg check`: where a law about times was found, and at which inputs what depends on them holds."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from spak.kg.checks import Nodes, OneLaw, dependence, origin
from spak.kg.law.status import status
from tests.shipped import LAWS

FIRST = "sm90-fmha-first-maximum"
MINED = "sm90-fmha-backward-64-keys-need-two-ctas"
LISTED = "sm90-fmha-no-tma-slow"
REPORTED = "rtx5070-fmha-64x64-as-reported"
COMPILED = "sm120-fmha-128x128-spills"


def told(law_id: str, **changed: Any) -> list[str]:
    """What the two checks say of a shipped law with other fields."""
    law = msgspec.structs.replace(LAWS.laws[law_id], **changed)
    path = LAWS.paths["law"][law_id]
    one = OneLaw(Nodes(LAWS.hardware, LAWS.ops, LAWS.systems), law, path, LAWS.run, LAWS.witness)
    return [found.message for check in (origin, dependence) for found in check.check_law(one)]


def when(text: str) -> Any:
    """The scope of the law about the first maximum under another condition."""
    return msgspec.structs.replace(LAWS.laws[FIRST].scope, when=text)


@pytest.mark.parametrize("law_id", [FIRST, MINED])
def test_a_measured_law_that_no_run_suggests_says_who_found_it(law_id):
    assert told(law_id) == []
    [message] = told(law_id, origin="")
    assert (
        message == "no cited run suggests this law and no document states it; say in origin who found it in which runs"
    )


def test_a_refuted_law_need_not_say_it():
    against = tuple(msgspec.structs.replace(entry, verdict="refutes") for entry in LAWS.laws[MINED].evidence)
    assert told(MINED, origin="", evidence=against, status="refuted") == []


@pytest.mark.parametrize("law_id", [LISTED, REPORTED, COMPILED])
def test_a_listed_a_reported_and_a_compiled_law_need_no_words(law_id):
    assert LAWS.laws[law_id].origin == ""
    assert told(law_id) == []


def test_what_depends_on_the_inputs_says_for_which_it_holds():
    [message] = told(FIRST, scope=when("head_dim in [64, 128]"))
    assert (
        message
        == "how running_max fares depends on inputs, of which scope.when says nothing; add the values it holds for"
    )
    assert told(FIRST, scope=when("")) == [message]
    assert told(FIRST, scope=when("inputs in ['normal', 'std-2']")) == []


def test_what_suggested_the_first_maximum_does_not_confirm_it():
    """The ten sweeps it came from, its two ties among them, are where it was found; all else is at the same sizes."""
    law = LAWS.laws[FIRST]
    sweeps = {entry.run: entry for entry in law.evidence if entry.role == "suggested"}
    assert len(sweeps) == 10
    ties = {run: sweeps[run].interval["cost"] for run in sweeps if sweeps[run].interval["cost"][1] > 0}
    assert set(ties) == {f"measured-h200-fmha-d128-s{size}-full-softmax" for size in (1024, 4096)}
    found = [entry for entry in law.evidence if entry.occasion == "2026-11-21 h200"]
    assert status(msgspec.structs.replace(law, evidence=tuple(found))) == "proposed"
