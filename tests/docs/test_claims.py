"""The page of the claims says of each law what its evidence gives."""

from __future__ import annotations

import re
from pathlib import Path

from spak.kg.law.status import status
from tests.shipped import LAWS

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| .+ \| `([a-z0-9_.-]+)` \| (\w+) \| .+ \|$", re.MULTILINE)


def test_every_row_has_the_status_that_the_evidence_gives():
    laws = LAWS.laws
    rows = dict(ROW.findall((ROOT / "docs" / "claims.md").read_text()))
    assert len(rows) > 10
    assert rows == {law: status(laws[law]) for law in rows}


def test_no_claim_that_was_reported_is_left_out():
    """A law that a document suggested is a claim of the documents; their ids are theirs, or say whose hardware."""
    text = (ROOT / "docs" / "claims.md").read_text()
    for law in LAWS.laws.values():
        reported = any(entry.tier == "reported" and entry.role == "suggested" for entry in law.evidence)
        if reported and not any(link.type == "refines" for link in law.related):
            assert f"`{law.id}`" in text
