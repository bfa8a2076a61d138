"""`tune report` from the command line to the exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from spak.cli.app import build_app, run_app
from spak.cli.tune import COMMANDS

LAWS = Path(__file__).parents[2] / "laws"
RUN = "measured-h200-fmha-d64-s1024-causal"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, laws_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache or the working folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(laws_cache))
    monkeypatch.setenv("KG_LAWS", str(LAWS))
    monkeypatch.chdir(tmp_path)


def tune(*words: str) -> int:
    return run_app(build_app(registry=COMMANDS, help_text=".", default="search"), "tune", words)


def test_two_files_are_written_and_named(capsys, tmp_path):
    """stdout is the paths, one a line; the page and the Markdown are the same report."""
    assert tune("report", RUN, "--out", "reports") == 0
    assert capsys.readouterr().out.splitlines() == ["reports/fmha-h200.html", "reports/fmha-h200.md"]
    page, text = ((tmp_path / "reports" / f"fmha-h200.{end}").read_text() for end in ("html", "md"))
    assert page.startswith("<!DOCTYPE html>")
    assert text.startswith("# Fused multi-head attention on NVIDIA H200 SXM")


def test_one_of_them_is_printed_on_request(capsys, tmp_path):
    """`--format` prints and writes nothing."""
    assert tune("report", RUN, "--format", "markdown") == 0
    assert capsys.readouterr().out.startswith("# Fused")
    assert tune("report", RUN, "--format", "html") == 0
    assert capsys.readouterr().out.startswith("<!DOCTYPE html>")
    assert not list(tmp_path.glob("*.md"))


def test_bad_input_is_one_line(capsys, tmp_path):
    """Unknown run, a file that is no run, nothing measured, runs that do not belong together: exit 2, nothing written."""
    junk = tmp_path / "junk.json"
    junk.write_text("{}")
    for words in (
        ("measured-h200-fmha-d64-s1024-casual",),
        (str(junk),),
        ("--op", "rmsnorm"),
        ("--hw", "a100"),
        ("compiled-sm_120-fmha-d64-fp16-causal",),
        (RUN, "compiled-sm_120-fmha-d64-fp16-causal"),
        ("computed-mask-floor-found",),
        ("reported-fmha-v4-rtx5070",),
    ):
        assert tune("report", *words) == 2, words
        captured = capsys.readouterr()
        assert captured.out == ""
        assert len(captured.err.splitlines()) == 1, captured.err
        assert "Traceback" not in captured.err
    assert list(tmp_path.glob("*.md")) == []
