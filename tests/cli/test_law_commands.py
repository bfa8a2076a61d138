"""`kg check`, `fmt`, `new`, `withdraw`, `schema`: what they print, what they write, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spak.cli.app import build_app, run_app
from spak.cli.kg import COMMANDS
from spak.kg.files.loader import load

LAW = """id: spills
title: t
kind: negative
scope: {hw: sm_120, op: fmha}
claim: {avoid: tile_m >= 128, effect: {slowdown: {at_least: 1.2}}}
status: proposed # stays
"""
OP = """id: fmha
title: FMHA
parameters:
  tile_m: {values: [64, 128], default: 64, role: tile, description: rows}
"""


@pytest.fixture
def laws(tmp_path, monkeypatch):
    root = tmp_path / "laws"
    for name, text in (
        ("hardware/sm_120.yaml", "id: sm_120\ntitle: c\nkind: compute-capability\n"),
        ("ops/fmha.yaml", OP),
        ("sm_120/fmha/spills.yaml", LAW),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KG_LAWS", raising=False)
    return root


@pytest.fixture
def kg(capsys):
    def call(*words):
        code = run_app(build_app(registry=COMMANDS, help_text=""), "kg", [str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_check_of_a_sound_root_is_quiet(kg, laws):
    assert kg("check") == (0, "", "1 laws, 1 hardware nodes, 1 ops, 0 systems: 0 errors, 0 findings, 0 notes\n")


def test_check_exits_1_on_findings_and_2_on_files_that_cannot_be_used(kg, laws):
    path = laws / "sm_120/fmha/spills.yaml"
    path.write_text(LAW.replace("proposed", "confirmed"))
    code, out, _ = kg("check")
    assert code == 1
    assert out.startswith("laws/sm_120/fmha/spills.yaml:6:9: status: the evidence gives proposed")
    assert out.endswith("[finding: status]\n")
    path.write_text(LAW.replace("tile_m >=", "tile_x >="))
    code, out, _ = kg("check", "--format", "json")
    assert code == 2
    [problem] = json.loads(out)["problems"]
    assert (problem["line"], problem["column"], problem["severity"]) == (5, 16, "error")


def test_check_reports_on_the_chosen_files_only(kg, laws):
    (laws / "ops" / "bad.yaml").write_text("[")
    assert kg("check", laws / "sm_120")[0] == 0
    assert kg("check", laws / "ops" / "bad.yaml")[0] == 2
    assert kg("check", "nowhere") == (2, "", "nowhere: no such file or folder\n")
    code, _, err = kg("check", Path("/"))
    assert (code, "outside the law root" in err) == (2, True)


def test_fmt_names_and_mends_what_is_out_of_order(kg, laws):
    path = laws / "sm_120/fmha/spills.yaml"
    path.write_text("title: t\n" + LAW.replace("title: t\n", ""))
    assert kg("fmt", "--check")[:2] == (1, "laws/sm_120/fmha/spills.yaml\n")
    assert path.read_text().startswith("title")
    assert kg("fmt")[:2] == (0, "laws/sm_120/fmha/spills.yaml\n")
    assert path.read_text() == LAW
    assert kg("fmt", "--check") == (0, "", "")
    path.write_text("[")
    code, _, err = kg("fmt", laws / "sm_120")
    assert code == 2
    assert err.startswith("laws/sm_120/fmha/spills.yaml:2:1: not YAML")
    path.write_bytes(b"\xff")
    assert kg("fmt")[0] == 2


def test_new_writes_a_law_that_check_accepts(kg, laws):
    words = ("new", "--kind", "positive", "--hw", "sm_120", "--op", "fmha", "--title", "Small tiles win")
    code, out, _ = kg(*words, "--prefer", "tile_m=64", "--over", "tile_m=128", "--dtype", "fp16")
    assert (code, out) == (0, "laws/sm_120/fmha/sm_120-fmha-small-tiles-win.yaml\n")
    assert kg("check")[0] == 0
    assert kg(*words, "--prefer", "tile_m=64")[0] == 2
    indifferent = ("new", "--kind", "indifferent", "--hw", "sm_120", "--op", "fmha", "--title", "Ties")
    assert kg(*indifferent, "--over", "tile_m", "--values", "64,128", "--within", "1%")[0] == 0
    assert kg(*indifferent, "--id", "other")[2] == "a indifferent law needs --over, --values, --within\n"


def test_withdraw_keeps_the_file_and_its_comments(kg, laws):
    code, out, _ = kg("withdraw", "spills", "--why", "another kernel", "--date", "2026-01-02")
    assert (code, out) == (0, "laws/sm_120/fmha/spills.yaml\n")
    law = load(laws).laws["spills"]
    assert (law.status, law.withdrawn.reason) == ("withdrawn", "another kernel")
    assert "# stays" in (laws / "sm_120/fmha/spills.yaml").read_text()
    assert kg("check")[0] == 0
    assert kg("withdraw", "spill", "--why", "x")[2] == "unknown law 'spill'; nearest: spills\n"


def test_schema_prints_one_or_writes_all(kg, tmp_path):
    assert json.loads(kg("schema")[1])["title"] == "law file"
    assert json.loads(kg("schema", "run")[1])["title"] == "run file"
    assert len(kg("schema", "--write", tmp_path / "s")[1].splitlines()) == 5
    assert len(list((tmp_path / "s").iterdir())) == 5
