"""Completing a command line with the tab key: commands, options, and ids read from the law root."""

from __future__ import annotations

from pathlib import Path

import pytest

from spak.cli import kg, tune
from spak.cli.app import build_app, run_app

LAWS = Path(__file__).parents[2] / "laws"


@pytest.fixture
def complete(monkeypatch, capsys):
    """What bash is told for a line whose last word is incomplete."""
    monkeypatch.setenv("KG_LAWS", str(LAWS))

    def ask(line: str) -> list[str]:
        program, *words = line.split(" ")
        monkeypatch.setenv(f"_{program.upper()}_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        registry, default = (kg.COMMANDS, "") if program == "kg" else (tune.COMMANDS, "search")
        assert run_app(build_app(registry=registry, help_text=".", default=default), program, []) == 0
        return capsys.readouterr().out.split()

    return ask


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("kg qu", ["query"]),
        ("kg --ver", ["--version"]),
        ("kg query --form", ["--format"]),
        ("kg query --format m", ["markdown"]),
        ("kg query --hw rtx50", ["rtx5070", "rtx5090"]),
        ("kg query --op fm", ["fmha", "fmha-backward"]),
        ("kg lineage nano", ["nanogpt"]),
        ("kg explain sm120-fmha-128", ["sm120-fmha-128x128-spills"]),
        ("kg new --because reg", ["register-spill"]),
        (f"kg --laws {LAWS.parent / 'docs'} explain sm", []),
        ("kg --laws /nowhere explain sm", []),
        ("tune rep", ["replay", "report"]),
        ("tune --use", ["--use-laws"]),
        ("tune search --use", ["--use-laws"]),
        ("tune --hw h2", ["h200"]),
    ],
)
def test_a_tab_completes(complete, line, words):
    """The default command of `tune` completes without being named."""
    found = complete(line)
    assert [word for word in found if word in words] == words
    assert len(found) == len(words)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_the_script_of_each_shell_asks_this_program(shell, capsys):
    """The script names the variable that the program listens to."""
    assert (
        run_app(
            build_app(registry=tune.COMMANDS, help_text=".", default="search"), "tune", ["--show-completion", shell]
        )
        == 0
    )
    assert "_TUNE_COMPLETE" in capsys.readouterr().out


def test_bash_loads_what_is_installed(tmp_path, monkeypatch, capsys):
    """The script goes where the shell's start-up file finds it; an unknown shell is bad usage."""
    monkeypatch.setenv("HOME", str(tmp_path))
    command = build_app(registry=kg.COMMANDS, help_text=".")
    assert run_app(command, "kg", ["--install-completion", "bash"]) == 0
    assert "start a new bash" in capsys.readouterr().err
    assert "_KG_COMPLETE" in (tmp_path / ".bash_completions" / "kg.sh").read_text()
    assert "kg.sh" in (tmp_path / ".bashrc").read_text()
    assert run_app(command, "kg", ["--install-completion", "tcsh"]) == 2
    assert "'tcsh' is not one of bash" in capsys.readouterr().err
