"""What laws, runs and names say reaches a terminal or a log as text: it is shown, and nothing in it acts."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from spak.cli import kg, terminal, tune
from spak.cli.app import build_app, run_app
from spak.cli.render.text import Pen
from spak.cli.workflow import command
from spak.kg.visible import visible

HARMFUL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\u2066\u200b\ufeff"
INJECTED = "\n::error file=laws/x.yaml,line=1::injected\n##[error]injected\n"
TEXT = f"bad {HARMFUL} {INJECTED} end"
NAMED = json.dumps(TEXT)  # JSON text is YAML text, escapes and all

HARDWARE = (
    f"id: gpu\ntitle: {NAMED}\nkind: device\naliases: [{NAMED}]\nfacts:\n  sm_count: {{value: 4, source: {NAMED}}}\n"
)
OP = f"""id: o
title: {NAMED}
parameters:
  x: {{values: [1, 2, {NAMED}], default: 1, role: variant, description: {NAMED}}}
problem:
  n: {{type: int, default: 4, description: {NAMED}}}
conditions:
  - {{require: n >= 1, because: {NAMED}}}
"""
LAW = f"""id: l
title: {json.dumps(TEXT[:200])}
kind: negative
scope: {{hw: gpu, op: o}}
claim: {{avoid: x == 2, effect: {{slowdown: {{at_least: 1.5}}}}}}
status: proposed
references:
  - {{title: {NAMED}, url: "https://example.org"}}
"""
RUN = {
    "id": "r",
    "tier": "measured",
    "created": "2026-01-01T00:00:00Z",
    "hw": "gpu",
    "op": "o",
    "device": {"name": TEXT, "driver": TEXT},
    "toolchain": {TEXT: TEXT},
    "note": TEXT,
    "reproduce": TEXT,
    "trials": [
        {"configuration": {"x": 1}, "measurements": [{"name": "time", "value": 2.0, "unit": "us"}]},
        {"configuration": {"x": TEXT}, "measurements": [{"name": "time", "value": 1.0, "unit": "us"}]},
    ],
}
COMMANDS = [
    "kg query --hw gpu --op o",
    "kg query --hw gpu --op o --format json",
    "kg why o --hw gpu --config x=2",
    "kg explain l",
    "kg explain nothing\x1b[2J",
    "kg check",
    "kg check --format json",
    "kg check --format github",
    "kg check --format sarif",
    "kg check --format junit",
    "kg diff OTHER",
    "kg diff OTHER --format markdown",
    "kg diff OTHER --format github",
    "kg diff OTHER --format json",
    "kg graph",
    "kg graph --format graphml",
    "kg graph --format dot",
    "kg graph --format mermaid",
    "kg export --hw gpu --op o",
    "kg export --format t4 --run r",
    "kg verify l",
    "kg fmt --check",
    "kg lineage o",
    "kg view --out -",
    "kg new --hw gpu --op o --kind negative --title a\x1b[2J --avoid y==1",
    "kg withdraw nothing\x07 --why x",
    "kg import laws/evidence/r.json --hw gpu\x1b[2J --op o",
    "tune replay laws/evidence/r.json --hw gpu --op o",
    "tune replay laws/evidence/r.json --hw gpu --op o --format json",
    "tune first --hw gpu --op o",
    "tune report --op o --hw gpu --format markdown",
    "tune report --op o --hw gpu --format html",
    "tune o --hw gpu --backend compile",
]
REFUSED = {
    line for line in COMMANDS if "nothing" in line or line.startswith(("kg new", "kg import", "kg lineage", "tune o "))
}
"""Commands of which the message is what is looked at."""

PROGRAMS = {
    "kg": lambda: build_app(registry=kg.COMMANDS, help_text=""),
    "tune": lambda: build_app(registry=tune.COMMANDS, help_text="", default="search"),
}


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A law root whose every text is hostile, and another without the law, to compare with."""
    for root in ("laws", "other"):
        for name, text in {"hardware/gpu.yaml": HARDWARE, "ops/o.yaml": OP, "gpu/o/l.yaml": LAW}.items():
            path = tmp_path / root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    (tmp_path / "other/gpu/o/l.yaml").unlink()
    (tmp_path / "laws/evidence").mkdir()
    (tmp_path / "laws/evidence/r.json").write_text(json.dumps(RUN))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def said(line: str, capsys) -> tuple[int, str]:
    program, *words = line.replace("OTHER", "other").split(" ")
    code = run_app(PROGRAMS[program](), program, words)
    captured = capsys.readouterr()
    return code, captured.out + captured.err


@pytest.mark.parametrize("line", COMMANDS)
def test_nothing_harmful_leaves_a_command(hostile, capsys, line):
    code, text = said(line, capsys)
    assert code in ({2} if line in REFUSED else {0, 1}), text
    assert visible(text) == text
    for written in text.splitlines():
        assert "##[" not in written
        if written.strip().startswith("::"):
            assert "--format github" in line
            assert "injected" not in written.split("::")[1]


def test_what_a_command_says_of_itself_is_obeyed_and_what_a_file_says_is_not():
    out = io.StringIO()
    screen = terminal.Screen(out)
    pen = Pen(True)
    screen.write(pen("a\x1b[31mb", "bold") + " \x1b[1m\n")
    screen.write(terminal.obeyed(command("error", "x\n::notice::y", file="f")) + "\n")
    screen.write("::error::z\n  ::error::z ##[group]\na::b\n")
    assert out.getvalue() == (
        "\x1b[1ma\\u001b[31mb\x1b[0m \\u001b[1m\n"
        "::error file=f::x%0A::notice::y\n"
        "\\u003a:error::z\n  \\u003a:error::z \\u0023#[group]\na::b\n"
    )


def test_json_means_the_same_through_a_screen(hostile, capsys):
    """Escapes are those of JSON itself."""
    _, text = said("kg graph", capsys)
    assert TEXT in {node.get("title") for node in json.loads(text)["nodes"]}


def test_xml_is_well_formed_whatever_a_title_holds(hostile, capsys):
    for line in ("kg graph --format graphml", "kg check --format junit"):
        text = said(line, capsys)[1]
        ET.fromstring(text[: text.rindex(">") + 1])  # noqa: S314 - our own


def on_a_terminal(words: list[str]) -> str:
    """What a program writes to a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-m", *words], stdout=theirs, stderr=theirs, stdin=theirs) as process:
        os.close(theirs)
        written = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while found := os.read(ours, 1 << 16):
                written += found
        process.wait()
    os.close(ours)
    return written.decode()


def test_on_a_terminal_styles_are_styles_and_titles_text(hostile, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = on_a_terminal(["spak.cli.kg", "explain", "l"])
    assert "\x1b[" in text
    assert visible(re.sub(r"\x1b\[[\d;]*m", "", text.replace("\r\n", "\n"))) == re.sub(
        r"\x1b\[[\d;]*m", "", text.replace("\r\n", "\n")
    )
    assert "\\u001b[2J" in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_an_encoding_has_not_is_escaped(hostile, encoding):
    done = subprocess.run(
        [sys.executable, "-m", "spak.cli.kg", "explain", "l"],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert visible(done.stdout.decode(encoding)) == done.stdout.decode(encoding)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_stream_that_is_closed_is_no_bug(hostile, closed):
    done = subprocess.run(f"{sys.executable} -m spak.cli.kg explain l {closed}", shell=True, check=False)  # noqa: S602
    assert done.returncode == 0


@pytest.mark.parametrize("form", ["text", "json", "github", "sarif", "junit"])
def test_a_root_of_any_name_is_checked_like_another(hostile, capsys, form):
    """What a law acknowledges, and which files are asked about, is told by the name as it is, not as it is shown."""
    odd = Path(os.fsdecode(b"odd\xff\n"))
    shutil.copytree("laws", odd)
    (odd / "gpu/o/l.yaml").write_text(LAW.replace("proposed", "confirmed"))
    program = PROGRAMS["kg"]()
    code = run_app(program, "kg", ["--laws", str(odd), "check", str(odd / "gpu"), "--format", form])
    out = capsys.readouterr().out
    assert code == 1
    assert "status" in out
    assert visible(out) == out
    (odd / "gpu/o/l.yaml").write_text(LAW + "unknown: 1\n")
    assert run_app(program, "kg", ["--laws", str(odd), "check", str(odd / "gpu"), "--format", form]) == 2
    assert "unknown" in capsys.readouterr().out
