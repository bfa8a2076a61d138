"""What there is of a kind, by id."""

from __future__ import annotations

import json

import pytest

from spak.cli.render.listing import entry_lines, listing_json
from spak.kg.answers.listing import Listed, listing
from tests.kg.small import ROOT


def ids(what):
    return [row.id for row in listing(ROOT, what, kernels={"fmha"}, runs=["b", "a"])]


def test_every_kind_is_listed_whole_and_by_id():
    assert ids("hardware") == sorted(ROOT.hardware)
    assert ids("ops") == sorted(ROOT.ops)
    assert ids("kernels") == ["fmha"]
    assert ids("laws") == sorted(ROOT.laws)
    assert ids("systems") == sorted(ROOT.systems)
    assert ids("runs") == ["a", "b"]


def test_a_law_is_listed_with_its_status():
    rows = {row.id: row.about for row in listing(ROOT, "laws", kernels=(), runs=())}
    assert rows == {law.id: f"{law.status}: {law.title}" for law in ROOT.laws.values()}


@pytest.mark.parametrize("length", [3, 22, 23, 90])
def test_lines_keep_80_columns_and_never_break_an_id(length):
    """A longer id has a line of its own; the text below it."""
    shown = entry_lines([Listed(id="i" * length, about="word " * 40), Listed(id="z")])
    assert "i" * length in shown
    assert shown.endswith("\nz\n")
    assert all(len(line) <= max(80, length) for line in shown.splitlines())
    assert shown.count("word") == 40
    assert [row["id"] for row in json.loads(listing_json([Listed(id="z")]))] == ["z"]


def test_nothing_is_no_line():
    assert entry_lines([]) == ""
