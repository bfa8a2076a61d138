"""Every command of `kg`, `tune` and `spak` has help, examples that run, and its section in docs/cli.md."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from spak.cli import kg, reference, spak, tune
from spak.cli.app import broken, build_app, loaded, run_app
from spak.cli.render.text import WIDTH
from tests import workplace

NOT_RUN = {
    "tune --use-laws": "compiles 48 kernels, minutes on a CPU; the next example is the same search with two trials",
    "tune matmul --problem all --use-laws": "compiles for every problem size, minutes on a CPU; test_tune_targets.py runs two on two devices",
    "kg verify --all": "executes every check that a law names, half a minute; test_verify.py runs it without those of kernels",
    "kg review main~1 main": "executes every such check too; tests/spak/test_reviews.py runs it on a small law root",
    "kg review main": "as the one before",
    "spak mcp --laws laws": "waits for a client; tests/agents/test_stdio.py is one",
}
PROGRAMS = {"kg": (kg.COMMANDS, ""), "tune": (tune.COMMANDS, "search"), "spak": (spak.COMMANDS, "")}
COMMANDS = [(program, name) for program, (registry, _) in PROGRAMS.items() for name in registry]
LINES = [
    (program, line)
    for program, name in COMMANDS
    for line, _ in loaded(PROGRAMS[program][0], name).examples
    if line not in NOT_RUN
]
DIFFERS = {"kg diff", "kg verify"}
"""Commands whose example finds a difference, which is exit code 1."""


def invoke(program: str, words: list[str]) -> int:
    registry, default = PROGRAMS[program]
    return run_app(build_app(registry=registry, help_text=".", default=default), program, words)


@pytest.mark.parametrize(("program", "name"), COMMANDS)
def test_every_command_has_help_for_itself_and_each_option_and_at_least_one_example(program, name):
    """A command that nobody explained fails here."""
    command = loaded(PROGRAMS[program][0], name)
    assert command.help, f"{program} {name} has no docstring"
    assert command.examples, f"cli/{program}_commands/{name}.py has no EXAMPLES"
    assert all(line.startswith(program) and shows for line, shows in command.examples)
    context = command.context_class(command, info_name=name)
    unexplained = [param.name for param in command.get_params(context) if not param.help]
    assert not unexplained


@pytest.mark.parametrize(("program", "name"), COMMANDS)
def test_help_shows_the_examples_and_fits_80_columns(program, name, capsys, monkeypatch):
    """What a person copies from `--help` is whole."""
    monkeypatch.setenv("COLUMNS", "80")
    assert invoke(program, [name, "--help"]) == 0
    out = capsys.readouterr().out
    for line, shows in loaded(PROGRAMS[program][0], name).examples:
        assert broken(line) in out
        assert shlex.split(broken(line).replace("\\\n", "")) == shlex.split(line)
        assert shows in out
    assert max(map(len, out.splitlines())) <= WIDTH


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = workplace.make(tmp_path_factory.mktemp("place") / "work")
    workplace.t4_results(folder / "results.json")
    for name in ("base", "ours", "theirs"):
        (folder / f"{name}.yaml").write_text((folder / workplace.CHANGED).read_text())
    (folder / "work").write_text("an untracked file that no command minds")
    return folder


@pytest.mark.uncounted
@pytest.mark.parametrize(("program", "line"), LINES, ids=[line for _, line in LINES])
def test_examples_run(program, line, place, monkeypatch, capsys):
    """Every example of every `--help`, in a copy of the shipped laws; a cache for all, as a person has."""
    if "--backend compile" in line:
        pytest.importorskip("cuda.tile", reason="needs the compiler: pip install 'spak[compile]'")
    monkeypatch.chdir(place)
    monkeypatch.delenv("KG_LAWS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place.parent / "cache"))
    words = shlex.split(line)
    code = invoke(program, words[1:])
    out, err = capsys.readouterr()
    assert code in ({0, 1} if " ".join(words[:2]) in DIFFERS else {0}), err
    assert out or words[1] in {"fmt", "merge-file", "check", "diff", "seal", "view"}, "it printed nothing"


def test_what_is_not_run_is_still_an_example():
    """An exclusion that no longer names anything goes."""
    shown = {line for program, name in COMMANDS for line, _ in loaded(PROGRAMS[program][0], name).examples}
    assert shown >= NOT_RUN.keys()


def test_the_page_of_commands_is_current():
    """`make docs` was run after the last change of a command."""
    page = Path(__file__).parents[2] / "docs" / "cli.md"
    assert page.read_text() == reference.command_reference(), "run make docs"


def test_the_page_names_every_command_and_option():
    """The page is made from the commands, so that none is missing."""
    page = reference.command_reference()
    for program, name in COMMANDS:
        assert f"\n### {program} {name}\n" in page
    assert "`--use-laws, --no-laws`" in page


def test_the_page_can_be_printed(capsys):
    reference.main()
    assert capsys.readouterr().out == reference.command_reference()
