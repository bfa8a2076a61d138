"""`kg view` from the command line to the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spak.cli.app import build_app, run_app
from spak.cli.kg import COMMANDS

LAWS = Path(__file__).parents[2] / "laws"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, laws_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache or the working folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(laws_cache))
    monkeypatch.setenv("KG_LAWS", str(LAWS))
    monkeypatch.chdir(tmp_path)


def kg(*words: str) -> int:
    return run_app(build_app(registry=COMMANDS, help_text="."), "kg", words)


def test_the_page_goes_to_a_file_that_stderr_names(capsys):
    """Without --out the file is kg-view.html here; stdout stays empty."""
    assert kg("view") == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("kg-view.html: ")
    assert Path("kg-view.html").read_text().startswith("<!doctype html>")


def test_a_dash_sends_the_page_to_stdout(capsys):
    """The same bytes as the file."""
    assert kg("view", "--out", "page.html") == 0
    capsys.readouterr()
    assert kg("view", "--out", "-") == 0
    told = capsys.readouterr()
    assert (told.out, told.err) == (Path("page.html").read_text(), "")


@pytest.mark.parametrize(
    ("form", "start"), [("mermaid", "flowchart"), ("dot", "digraph"), ("graphml", "<graphml"), ("json", "{")]
)
def test_text_formats_go_to_stdout(capsys, form, start):
    """They are what `kg graph` prints."""
    assert kg("view", "--format", form) == 0
    told = capsys.readouterr()
    assert told.out.startswith(start)
    assert told.err == ""
    assert kg("graph", "--format", form) == 0
    assert capsys.readouterr().out == told.out


def test_text_formats_go_to_a_file_too(capsys):
    """--out writes, stderr says how much."""
    assert kg("view", "--format", "json", "--out", "graph.json") == 0
    assert "graph.json: " in capsys.readouterr().err
    assert json.loads(Path("graph.json").read_text())["nodes"]


def test_a_file_that_cannot_be_written_is_one_line(capsys, tmp_path):
    """A folder in its place: exit code 2 and no traceback."""
    (tmp_path / "taken").mkdir()
    assert kg("view", "--out", "taken") == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "taken" in told
