"""The HTML file: a template with its style, its script and the document inside, and nothing that a network must bring.

What law files say is data: it stands, compressed and in base 85, in a block that no browser executes, so that nothing in it
can end the block; and the content security policy admits exactly one script and one style sheet, by their hashes, and no
address at all.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from functools import cache
from importlib import resources
from string import Template
from typing import Any

from spak.kg.visible import visible

SCRIPTS = ("data.js", "address.js", "dom.js", "map.js", "list.js", "figures.js", "detail.js", "main.js")
"""Script files in the order in which they are joined; each only uses names of those before it when it is loaded."""


AS_TEXT = str.maketrans("<&`", ",./")
"""Digits of base 85 that HTML or the script would read as their own, and what stands for them: as `DIGITS` in data.js."""

_APART = re.compile(r"\s*([{},;>])\s*|(?<=:)\s+")
"""Signs with the spaces around them, and spaces after a colon; before one they would be part of a selector."""


def html(document_json: str) -> str:
    """The page that shows the document (`spak.kg.answers.view.document.to_json`)."""
    style, script = _style_as_sent(_asset("page.css")), _script()
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return Template(_asset("page.html")).substitute(
        policy=policy, style=style, script=script, data=_packed(visible(document_json))
    )


def _packed(text: str) -> str:
    """The document as gzip in base 85, a seventh shorter by columns; the same text gives the same bytes at any time."""
    columns = json.dumps(_by_columns(json.loads(text)), ensure_ascii=False, separators=(",", ":"))
    return base64.b85encode(gzip.compress(columns.encode(), mtime=0)).decode().translate(AS_TEXT)


def _by_columns(document: dict[str, Any]) -> dict[str, Any]:
    """`document` with the evidence of all laws in columns, of which each law has as many places as it says.

    null is what an entry lacks, and a run is its place among `runs` if it is there. `restored` in data.js is the inverse.
    """
    places = {run["id"]: place for place, run in enumerate(document.get("runs", ()))}
    laws = document.get("laws", ())
    entries = [
        {**entry, "run": places.get(entry["run"], entry["run"])} for law in laws for entry in law.get("evidence", ())
    ]
    names = dict.fromkeys(name for entry in entries for name in entry)
    counted = [{**law, "evidence": len(law["evidence"])} if "evidence" in law else law for law in laws]
    return {**document, "laws": counted, "evidence": {name: [entry.get(name) for entry in entries] for name in names}}


@cache
def _asset(name: str) -> str:
    return resources.files("spak.kg.answers.view").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def _script() -> str:
    """All script files in one strict asynchronous function, so that the page has one script and no global names."""
    return '(async () => {\n"use strict";\n' + "".join(_as_sent(_asset(name)) for name in SCRIPTS) + "})();\n"


def _as_sent(script: str) -> str:
    """`script` without indentation and lines of comment, an eighth of it; no text there goes on in another line."""
    lines = (line.strip() for line in script.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith(("//", "/**")))


def _style_as_sent(style: str) -> str:
    """`style` without the spaces that mean nothing in CSS, an eighth of it; no text there has a sign of `_APART` inside."""
    return _APART.sub(lambda found: found[1] or "", style.strip()).replace(";}", "}") + "\n"


def _hash(text: str) -> str:
    """The CSP source of an inline block whose content is exactly `text`."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
