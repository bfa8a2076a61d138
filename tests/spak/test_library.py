"""What a program asks `spak.load()` is what the commands answer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import spak
from spak.cli import app, kg
from spak.kg.answers.query import answer_json
from spak.kg.files import root
from tests.shipped import ROOT as LAWS
from tests.shipped import library


@pytest.fixture(scope="module")
def laws() -> spak.Library:
    """The shipped laws."""
    return library()


def test_query_is_what_the_command_prints(laws, capsys):
    """The same question, the same answer."""
    given = ["--hw", "rtx5070", "--op", "fmha", "--problem", "head_dim=64", "--kind", "negative"]
    words = ["--laws", str(LAWS), "query", *given, "--toolchain", laws.toolchain, "--format", "json"]
    assert app.run_app(app.build_app(registry=kg.COMMANDS, help_text="."), "kg", words) == 0
    printed = capsys.readouterr().out
    found = laws.query(hw="rtx5070", op="fmha", problem={"head_dim": 64}, kinds=["negative"])
    assert json.loads(answer_json(found)) == json.loads(printed)
    assert found.hits


def test_filters_of_a_query_hold(laws):
    """Kinds, statuses and names."""
    found = laws.query(hw="sm_120", op="fmha", statuses=["confirmed"], params=["tile_m"])
    assert {hit.law.status for hit in found.hits} == {"confirmed"}
    assert len(found.hits) < len(laws.query(hw="sm_120", op="fmha").hits)


def test_why_names_the_laws_against_a_configuration(laws):
    """And never takes what is missing for a default."""
    account = laws.why("fmha", hw="rtx5070", config={"tile_m": 128, "tile_n": 128, "occupancy": 2})
    assert {opinion.verdict.stance for opinion in account.opinions} >= {"against", "undecided"}


def test_the_other_answers(laws):
    """A law, a line of systems, the checks, the graph."""
    assert "128" in laws.explain("sm120-fmha-128x128-spills").sentence
    assert laws.lineage("nanogpt")[-1].system.id == "nanogpt"
    assert {problem.severity for problem in laws.check()} <= {"note"}
    graph = laws.graph()
    assert graph.nodes["law:sm120-fmha-128x128-spills"]["kind"] == "law"


def test_a_changed_law_is_a_difference(laws, tmp_path):
    """Formatting is none."""
    changed = tmp_path / "laws"
    shutil.copytree(LAWS, changed)
    law = changed / "sm_90/matmul/sm90-matmul-no-tma-slow.yaml"
    law.write_text(law.read_text().replace("title: ", "title:   "))
    same = spak.load(changed)
    assert not spak.diff(laws, same)
    law.write_text(law.read_text().replace("{at_least: 1.2}", "{at_least: 1.1}"))
    assert [item.change.id for item in spak.diff(same, spak.load(changed)).items] == [law.stem]


def test_the_root_is_found_as_the_commands_find_it_but_the_environment_is_not_read(tmp_path, monkeypatch):
    """The nearest one upwards; `KG_LAWS` is the command line's business."""
    (tmp_path / "laws" / "ops").mkdir(parents=True)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    monkeypatch.setenv("KG_LAWS", str(LAWS))
    found = spak.load()
    assert (found.root, found.writable, dict(found.laws.laws), found.toolchain) == (tmp_path / "laws", True, {}, "")


def test_the_packaged_laws_are_not_writable(tmp_path, monkeypatch):
    """Who wants to write names a root of their own."""
    shutil.copytree(LAWS / "hardware", tmp_path / "packaged" / "hardware")
    monkeypatch.setattr(root, "PACKAGED", tmp_path / "packaged")
    monkeypatch.chdir(tmp_path)
    assert not spak.load().writable


def test_a_cache_gives_the_same(tmp_path, laws):
    """Written once, then read."""
    for _ in range(2):
        assert spak.load(LAWS, cache=tmp_path).laws.contents == laws.laws.contents
    assert list(tmp_path.iterdir())


def test_errors_are_typed(laws, tmp_path):
    """Names carry the nearest, files every problem."""
    with pytest.raises(spak.UnknownNameError) as unknown:
        laws.query(hw="rtx507", op="fmha")
    assert "rtx5070" in unknown.value.nearest
    (tmp_path / "ops").mkdir()
    for name in ("a", "b"):
        (tmp_path / "ops" / f"{name}.yaml").write_text("id: 1\n")
    with pytest.raises(spak.InvalidFilesError) as invalid:
        spak.load(tmp_path)
    assert {Path(problem.path).stem for problem in invalid.value.problems} == {"a", "b"}
    with pytest.raises(spak.KgError, match="no such folder"):
        spak.load(tmp_path / "nowhere")
    with pytest.raises(spak.KgError):
        spak.load(LAWS, toolchain="what?")
