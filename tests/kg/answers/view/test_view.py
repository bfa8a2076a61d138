"""The page's document and its HTML: everything a reader needs is in it, and no law text can act in it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spak.kg.answers.view.document import view_document, view_json
from spak.kg.answers.view.page import AS_TEXT, SCRIPTS, html
from spak.kg.law.conflict import Conflict
from spak.kg.model.law import Related
from spak.kg.model.run import Device, Run, Trial
from tests.kg.small import ROOT, negative
from tests.shipped import LAWS

ASSETS = Path(__file__).parents[4] / "kg" / "answers" / "view" / "assets"
RUN = Run(
    id="run-b",
    tier="measured",
    created="2026-01-01T00:00:00Z",
    hw="sm_120",
    op="fmha",
    toolchain={"tileiras": "13.4"},
    device=Device(name="A card"),
    trials=(Trial(configuration={}), Trial(configuration={}, invalidity="timeout"), Trial(configuration={})),
)
CONFLICT = Conflict(("small-tiles", "spills"), "one prefers what the other avoids", "default")


def shown(root: Any = ROOT) -> dict[str, Any]:
    page = view_document(
        root, paths={"spills": "sm_120/fmha/spills.yaml"}, load_run={"run-b": RUN}.get, conflicts=[CONFLICT]
    )
    return json.loads(view_json(page))


def law(identifier: str) -> dict[str, Any]:
    return next(found for found in shown()["laws"] if found["id"] == identifier)


class Reader(HTMLParser):
    """Collects what a browser would see: tags with attributes, and the content of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = dict(attrs).get("id") or tag

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open:
            self.inside[self._open] = self.inside.get(self._open, "") + data


def unpacked(page: str) -> Any:
    """The document that the page came with, each law's evidence taken from the columns of all laws, as data.js does."""
    document = json.loads(
        gzip.decompress(
            base64.b85decode(Reader(page).inside["data"].translate({new: old for old, new in AS_TEXT.items()}))
        )
    )
    columns = document.pop("evidence")
    rows = [
        {name: value for name, value in zip(columns, row, strict=True) if value is not None}
        for row in zip(*columns.values(), strict=True)
    ]
    for row in rows:
        row["run"] = document["runs"][row["run"]]["id"] if isinstance(row["run"], int) else row["run"]
    for law in document["laws"]:
        if "evidence" in law:
            law["evidence"], rows = rows[: law["evidence"]], rows[law["evidence"] :]
    assert not rows
    return document


def test_a_law_carries_its_claim_scope_and_why_it_has_its_status():
    """What `kg explain` says of a law is in its line; statuses and sentences are computed here, not in the browser."""
    line = law("spills")
    assert (line["kind"], line["status"], line["hw"], line["op"]) == ("negative", "confirmed", "sm_120", "fmha")
    assert line["claim"] == "tile_m >= 128"
    assert line["sentence"].startswith("On sm_120, for Fused attention in fp16 or bf16 when head_dim == 64: avoid")
    assert line["bounds"] == {"slowdown": [1.2, None]}
    assert line["knobs"] == ["tile_m"]
    assert line["path"] == "sm_120/fmha/spills.yaml"
    assert line["reason"].startswith("on 2 problem sizes, 1 device, 2 days")


def test_evidence_keeps_effects_intervals_and_problem_sizes():
    """As they stand in the law file."""
    entry = law("spills")["evidence"][1]
    assert (entry["run"], entry["verdict"], entry["tier"], entry["role"]) == (
        "run-b", "supports", "measured", "independent"
    )  # fmt: skip
    assert (entry["effect"], entry["interval"]) == ({"slowdown": 2.5}, {"slowdown": [2.4, 2.6]})
    assert entry["problems"] == ["head_dim=64", "head_dim=128"]


def test_runs_that_evidence_names_are_summed_up_without_their_trials():
    """A run that the root lacks has no line; the others say how their trials ended."""
    (line,) = shown()["runs"]
    assert (line["id"], line["device"], line["toolchain"]) == ("run-b", "A card", "tileiras 13.4")
    assert line["outcomes"] == {"correct": 2, "timeout": 1}


def test_links_between_laws_read_from_both_ends():
    """Relations, conflicts, former ids and inheriting systems; a relation to a law that does not exist is left out."""
    assert law("latency-4-or-5")["links"] == [{"verb": "refines", "law": "spills"}]
    assert law("spills")["links"][0] == {"verb": "refined by", "law": "latency-4-or-5"}
    for one, other in (("spills", "small-tiles"), ("small-tiles", "spills")):
        note = "one prefers what the other avoids (at default)"
        assert {"verb": "conflicts with", "law": other, "note": note} in law(one)["links"]
    assert (law("mask-floor")["former"], law("mask-floor")["systems"]) == (["old-floor"], ["v1", "v2"])
    alone = negative("alone", related=(Related(type="refines", id="gone"),))
    assert "links" not in shown(ROOT.with_laws(alone))["laws"][0]


def test_facts_carry_their_sources():
    """A node without facts says nothing of them."""
    facts = {node["id"]: node.get("facts") for node in shown()["hardware"]}
    assert facts["sm_120"] == {"smem_per_sm": {"value": 102400, "source": "test"}}
    assert facts["rtx5090"] is None


def test_the_page_contains_the_whole_document():
    """Packed and unpacked, it is the same document; the same laws give the same bytes."""
    text = view_json(view_document(ROOT, paths={}, load_run={}.get))
    assert unpacked(html(text)) == json.loads(text)
    assert html(text) == html(text)


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u2028<!--<script>&quot;${x}"


def test_a_hostile_law_adds_no_tag_and_no_script():
    """Texts that would end the script block, open a comment or a tag come back as text, and the page's tags stay the same."""
    plain = html(view_json(view_document(ROOT, paths={}, load_run={}.get)))
    spoilt = msgspec.structs.replace(ROOT.laws["spills"], title=HOSTILE)
    page = html(view_json(view_document(ROOT.with_laws(spoilt), paths={}, load_run={}.get)))
    assert Reader(page).tags == Reader(plain).tags
    assert unpacked(page)["laws"][0]["title"] == HOSTILE


def test_the_policy_admits_this_script_and_this_style_and_nothing_else():
    """Hashes fit the blocks; no directive names an address, and nothing is allowed by default."""
    reader = Reader(html("{}"))
    policy = next(attrs["content"] for tag, attrs in reader.tags if attrs.get("http-equiv"))
    assert policy is not None
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives.pop("default-src") == "'none'"
    for name, block in (("script-src", "script"), ("style-src", "style")):
        digest = base64.b64encode(hashlib.sha256(reader.inside[block].encode()).digest()).decode()
        assert directives.pop(name) == f"'sha256-{digest}'"
    assert set(directives.values()) == {"'none'"}


def test_the_page_refers_to_nothing_outside_itself():
    """No source, no style sheet, no font, no import, and the scripts never turn text into markup or code."""
    reader = Reader(html("{}"))
    assert not [attrs for tag, attrs in reader.tags if tag in {"link", "img", "iframe"} or "src" in attrs]
    assert not re.search(r"url\(|@import", reader.inside["style"])
    assert {path.name for path in ASSETS.glob("*.js")} == set(SCRIPTS)
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(|fetch\(", reader.inside["script"]
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_sent_without_indentation_and_comments(name):
    """Every other line is there, in order; a text or a comment that went on in another line would not survive it."""
    lines = [line.strip() for line in (ASSETS / name).read_text().splitlines()]
    kept = [line for line in lines if line and line[:2] not in ("//", "/*")]
    assert all(line.count("`") % 2 == 0 and ("/*" in line) == ("*/" in line) for line in lines)
    assert "\n".join(kept) + "\n" in Reader(html("{}")).inside["script"]


def test_the_style_is_sent_whole_without_spaces_that_mean_nothing():
    """No text of it has a sign whose spaces go; words of a value stay apart."""
    style, sent = (ASSETS / "page.css").read_text(), Reader(html("{}")).inside["style"]
    assert not any(set("{},;>:") & set(text) for text in re.findall(r'"[^"]*"', style))
    assert re.sub(r"\s+", "", sent) == re.sub(r"\s+", "", style).replace(";}", "}")
    assert "1px solid var(--line)" in sent
    assert len(sent) < 0.9 * len(style)


@pytest.mark.parametrize("name", [*SCRIPTS, "page.css", "page.html"])
def test_assets_stay_short(name):
    """Files of the page keep to the limit of every file here."""
    assert len((ASSETS / name).read_text().splitlines()) <= 500


def test_the_page_of_the_shipped_laws_is_small_enough_to_send():
    """Below 100 kB with every law and every fact."""
    page = html(view_json(view_document(LAWS, paths=LAWS.paths["law"], load_run=LAWS.run)))
    assert len(page.encode()) < 100_000
    assert [len(law.get("evidence", ())) for law in unpacked(page)["laws"]] == [
        len(law.evidence) for law in LAWS.laws.values()
    ]
