"""A branch that changes five laws: the comment of its pull request makes the right verdict on each obvious."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from spak.cli.app import build_app, run_app
from spak.cli.kg import COMMANDS
from spak.cli.render import diff as render_diff
from spak.cli.render.text import WIDTH
from tests.kg.diff.history import History, law

PREFER = """\
id: prefer-latency
title: Prefer a latency
kind: positive
scope:
  hw: sm_90
  op: toy
claim:
  prefer: {{latency: {latency}}}
  over:
    - {{latency: 1}}
  effect: {{loss: {{at_least: 0.1}}}}
status: proposed
"""


@pytest.fixture
def branch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """`main` and a branch `change` on it, checked out: one change each of the five sorts."""
    history = History(tmp_path)
    history.write("sm_90/toy/latency-one.yaml", law("latency-one", "latency == 1"))
    history.write("sm_90/toy/wide.yaml", law("wide", "tile_m == 128 and latency == 3"))
    history.write("sm_90/toy/prefer-latency.yaml", PREFER.format(latency=3))
    history.commit("more laws")
    history.git("checkout", "-q", "-b", "change")
    text = law("latency-one", "latency == 1").replace("Avoid latency == 1", "One latency is slow")
    history.write("sm_90/toy/latency-one.yaml", text)  # harmless
    history.write(
        "sm_90/toy/big-tiles.yaml", law("big-tiles", "tile_m >= 128 and tile_n >= 128", least=1.5)
    )  # weakened
    history.write("sm_90/toy/wide.yaml", law("wide", "tile_m >= 64 and latency in [2, 3]"))  # excludes a recorded best
    history.write("sm_90/toy/prefer-latency.yaml", PREFER.format(latency=4))  # conflicts with latency-four
    (history.laws / "sm_90/toy/small-tiles.yaml").unlink()  # renamed
    history.write("sm_90/toy/tiny-tiles.yaml", law("tiny-tiles", "tile_m <= 32 and tile_n <= 32"))
    history.commit("five changes")
    monkeypatch.chdir(history.folder)
    monkeypatch.delenv("KG_LAWS", raising=False)
    return history


def diff(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run_app(build_app(registry=COMMANDS, help_text="."), "kg", ["diff", *words, "--toolchain", "tileiras 13.4"])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_comment_makes_each_verdict_obvious(branch, capsys):
    """One row a law, those to look at first; sign, what changed, what a search does."""
    code, text, _ = diff(capsys, "main", "change", "--format", "markdown")
    assert code == 1
    assert text.splitlines()[1] == (
        "### Laws: 5 laws changed; look at 2: 1 law would exclude a recorded best, "
        "1 law may hide configurations that searches tried, 1 conflict appears"
    )
    rows = {m[2]: m[0] for m in re.finditer(r"^\| (\S+ \w+) \| `([\w-]+)` \|.*$", text, re.MULTILINE)}
    assert list(rows) == ["prefer-latency", "wide", "big-tiles", "latency-one", "tiny-tiles"]
    assert rows["wide"].startswith("| 🔴 look |")
    assert "speaks against a recorded best: 10 us at size=1" in rows["wide"]
    assert rows["prefer-latency"].startswith("| 🔴 look |")
    assert "conflicts with latency-four" in rows["prefer-latency"]
    assert "| 🟡 changes | `big-tiles` | weakened |" in rows["big-tiles"]
    assert "| ⚪ same | `latency-one` | wording |" in rows["latency-one"]
    assert "as before" in rows["latency-one"]
    assert "| ⚪ same | `tiny-tiles` | renamed from small-tiles |" in rows["tiny-tiles"]
    assert "as before" in rows["tiny-tiles"]


def test_the_comment_is_markdown_that_renders_as_meant(branch, capsys):
    """A table of five rows and a folded block for each law, those to look at open."""
    html = (
        MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .render(diff(capsys, "main", "change", "--format", "markdown")[1])
    )
    assert html.count("<tr>") == 6
    assert html.count("<details>") == 3
    assert html.count("<details open>") == 2
    assert html.count("<summary>") == html.count("</details>") == 5
    assert "<li><strong>ALERT</strong>" in html


def test_text_fits_80_columns_and_is_plain(branch, capsys):
    """What a terminal shows, in a pipe."""
    code, text, _ = diff(capsys, "main", "change")
    assert code == 1
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "\x1b" not in text


def test_annotations_name_files_from_where_one_stands(branch, capsys, monkeypatch):
    """Warnings for what to look at, notices for the rest; paths are those GitHub knows."""
    lines = diff(capsys, "main", "change", "--format", "github")[1].splitlines()
    assert len(lines) == 5
    assert sum(line.startswith("::warning ") for line in lines) == 2
    assert all(re.match(r"::\w+ file=laws/sm_90/toy/[\w-]+\.yaml,title=law ", line) for line in lines)


@pytest.mark.parametrize("form", ["text", "markdown", "json", "github"])
def test_nothing_changed_is_exit_0_in_every_format(branch, capsys, form):
    """A revision against itself, and a formatting-only edit on disk."""
    path = branch.laws / "sm_90/toy/wide.yaml"
    path.write_text(path.read_text().replace("# why", "# another why") + "\n\n")
    assert diff(capsys, "change", "--format", form)[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere: neither a folder nor a revision of the repository at "),
        (["main", "HEAD~99"], "HEAD~99: neither a folder nor a revision"),
        (["main:laws/ops/toy.yaml"], "main:laws/ops/toy.yaml: neither a folder nor a revision"),
    ],
)
def test_an_unknown_revision_is_one_line_and_exit_2(branch, capsys, words, said):
    """Nothing on stdout."""
    code, out, err = diff(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith(said)
    assert err.count("\n") == 1


@pytest.mark.parametrize("junk", [b"\x00\xff\xfe\x80" * 50, b"id: [", b"%PDF-1.7\n\xe2\xe3", b"id: wide\nid: wide\n"])
def test_junk_in_a_revision_is_one_line_with_its_place_and_exit_2(branch, capsys, junk):
    """Committed, then mended on disk: the message names the revision, not a scratch folder."""
    path = branch.laws / "sm_90/toy/wide.yaml"
    good = path.read_bytes()
    path.write_bytes(junk)
    branch.commit("junk")
    path.write_bytes(good)
    code, out, err = diff(capsys, "HEAD", "main")
    assert (code, out) == (2, "")
    assert err.startswith("HEAD:laws/sm_90/toy/wide.yaml:")
    assert len(err.splitlines()) <= 2
    assert all(sign.isprintable() or sign == "\n" for sign in err)


def test_junk_in_a_run_file_is_one_line_and_exit_2(branch, capsys):
    """Evidence is read late, and still ends in a line."""
    (branch.laws / "evidence/found.json").write_bytes(b"\x00junk")
    code, out, err = diff(capsys, "main")
    assert (code, out) == (2, "")
    assert "found.json" in err
    assert err.count("\n") == 1


def test_no_repository_is_one_line_and_exit_2(branch, capsys, tmp_path_factory, monkeypatch):
    """Folders can still be compared there."""
    elsewhere = tmp_path_factory.mktemp("plain")
    for name in ("laws", "copy"):
        shutil.copytree(branch.laws, elsewhere / name)
    monkeypatch.chdir(elsewhere)
    assert diff(capsys, "copy")[0] == 0
    monkeypatch.setenv("KG_LAWS", "copy")
    code, out, err = diff(capsys, "HEAD")
    assert (code, out) == (2, "")
    assert "not in a git repository" in err
    assert err.count("\n") == 1


def test_the_marker_is_the_first_line(branch, capsys):
    """By it the comment is found again."""
    assert diff(capsys, "main", "change", "--format", "markdown")[1].startswith(render_diff.MARKER + "\n")
