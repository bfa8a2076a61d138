"""The machinery under `kg` and `tune`: lazy commands, global options, exit codes."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer

from spak.cli import app as machinery
from spak.cli.app import CommandEntry, build_app, globals_of, hoist, run_app
from spak.kg.errors import KgError, UnknownNameError


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, CommandEntry]]:
    """Register functions as commands of throw-away modules."""

    def add(**functions: Any) -> dict[str, CommandEntry]:
        for name, function in functions.items():
            module = types.ModuleType(f"fake_{name}")
            module.command = function  # type: ignore[attr-defined]
            monkeypatch.setitem(sys.modules, f"fake_{name}", module)
        return {name: CommandEntry(f"fake_{name}", f"Help of {name}.") for name in functions}

    return add


def test_listing_commands_imports_none_of_them(capsys):
    """`--help` reads names and one-line helps from the registry; a module that cannot even be imported is listed."""
    code = run_app(
        build_app(registry={"broken": CommandEntry("no.such.module", "Never loaded.")}, help_text="Top."),
        "kg",
        ["--help"],
    )
    out = capsys.readouterr().out
    assert code == 0
    assert "Never loaded." in out
    assert "--laws DIR" in out


def test_no_arguments_show_help_when_there_is_no_default(register, capsys):
    """An app without a default command answers a bare call with its help and the code of bad usage."""
    assert run_app(build_app(registry=register(a=lambda: None), help_text="Top."), "kg", []) == 2
    assert "Help of a." in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ("search", "fmha", None)),
        (["matmul"], ("search", "matmul", None)),
        (["search", "matmul"], ("search", "matmul", None)),
        (["--laws", "here", "matmul"], ("search", "matmul", "here")),
        (["matmul", "--laws=here"], ("search", "matmul", "here")),
        (["replay", "--laws", "there"], ("replay", "", "there")),
    ],
)
def test_default_command_and_laws_anywhere(register, monkeypatch, words, expected):
    """A word that is no command goes to the default command, and `--laws` may stand before or after it."""
    monkeypatch.delenv("KG_LAWS", raising=False)
    seen: list[tuple[str, str, str | None]] = []

    def search(ctx: typer.Context, kernel: Annotated[str, typer.Argument()] = "fmha") -> None:
        seen.append(("search", kernel, globals_of(ctx).laws))

    def replay(ctx: typer.Context) -> None:
        seen.append(("replay", "", globals_of(ctx).laws))

    command = build_app(registry=register(search=search, replay=replay), help_text="Top.", default="search")
    assert run_app(command, "tune", words) == 0
    assert seen == [expected]


def test_laws_come_from_the_environment(register, monkeypatch):
    """`KG_LAWS` is the law root when `--laws` is absent."""
    monkeypatch.setenv("KG_LAWS", "/from/env")
    seen: list[str | None] = []

    def look(ctx: typer.Context) -> None:
        seen.append(globals_of(ctx).laws)

    registry = register(look=look)
    assert run_app(build_app(registry=registry, help_text="."), "kg", ["look"]) == 0
    assert run_app(build_app(registry=registry, help_text="."), "kg", ["--laws", "given", "look"]) == 0
    assert seen == ["/from/env", "given"]


def test_hoist_stops_at_a_double_dash():
    """What follows `--` belongs to the command, even if it looks like `--laws`."""
    assert hoist(["a", "--laws", "x", "--", "--laws", "y"]) == (["--laws", "x"], ["a", "--", "--laws", "y"])


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UnknownNameError("op", "atention", ["attention"]), 2, "unknown op 'atention'; nearest: attention"),
        (KgError("laws/x.yaml:1:2: id: bad"), 2, "laws/x.yaml:1:2: id: bad"),
        (FileNotFoundError(2, "No such file or directory", "x.json"), 2, "x.json: No such file or directory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device"), 2, "output: No space left on device; free some space and repeat"),
        (OSError(30, "Read-only file system", "a\nb"), 2, "a\\u000ab: Read-only file system; write somewhere else"),
        (MemoryError(), 2, "out of memory; ask for less at once, or give it more"),
    ],
)
def test_bad_input_ends_in_one_line(register, capsys, error, code, line):
    """Every error a user can cause is one line on stderr with the right exit code and no traceback."""

    def fail() -> None:
        raise error

    assert run_app(build_app(registry=register(fail=fail), help_text="."), "kg", ["fail"]) == code
    captured = capsys.readouterr()
    assert captured.err == line + "\n"
    assert captured.out == ""


@pytest.mark.parametrize("error", [ZeroDivisionError("oops"), OSError("no file name")])
def test_a_bug_is_a_traceback_with_its_own_code(register, capsys, error):
    """An unexpected exception is not dressed up as bad input, nor as findings (1)."""

    def fail() -> None:
        raise error

    assert run_app(build_app(registry=register(fail=fail), help_text="."), "kg", ["fail"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_a_command_chooses_its_exit_code(register):
    """`typer.Exit(1)` means findings or differences."""

    def differ() -> None:
        raise typer.Exit(1)

    assert run_app(build_app(registry=register(differ=differ), help_text="."), "kg", ["differ"]) == 1


def test_unknown_command_names_the_nearest(register, capsys):
    """A typo in a command is bad usage that suggests the command meant."""
    assert run_app(build_app(registry=register(query=lambda: None), help_text="."), "kg", ["qury"]) == 2
    assert "'query'" in capsys.readouterr().err


def test_version(capsys):
    """`--version` prints the program's name and needs no command."""
    assert run_app(build_app(registry={}, help_text="."), "kg", ["--version"]) == 0
    assert capsys.readouterr().out.startswith("kg ")


def _typed(
    number: Annotated[int, typer.Option(min=0)] = 3,
    share: Annotated[float, typer.Option(min=0, max=1)] = 0.5,
    form: Annotated[Literal["table", "json"], typer.Option()] = "table",
    word: Annotated[list[str] | None, typer.Option()] = None,
    *,
    flag: bool = False,
) -> None:
    print(repr((number, share, form, word, flag)))


def test_plain_types_arrive_typed(register, capsys):
    """Numbers, choices, lists and flags, given and left out."""
    command = build_app(registry=register(t=_typed), help_text=".")
    words = ["t", "--number", "4", "--share", "0.25", "--form", "json", "--word", "a", "--word", "b", "--flag"]
    assert run_app(command, "kg", words) == 0
    assert run_app(command, "kg", ["t"]) == 0
    out = capsys.readouterr().out
    assert out == "(4, 0.25, 'json', ['a', 'b'], True)\n(3, 0.5, 'table', None, False)\n"


def test_plain_options_import_neither_pydantic_nor_rich():
    """What typer would import for one option costs more than a whole query."""
    program = (
        "import sys, types; from spak.cli.app import build_app, run_app, CommandEntry; from tests.cli.test_app import _typed\n"
        "module = types.ModuleType('plain'); module.command = _typed; sys.modules['plain'] = module\n"
        "app = build_app(registry={'t': CommandEntry('plain', '')}, help_text='')\n"
        "codes = [run_app(app, 'kg', words) for words in (['t', '--number', '4', '--word', 'a'], ['t', '--help'], ['--help'])]\n"
        "sys.exit(f\"{codes} {sorted({'pydantic', 'rich', 'numpy', 'networkx'} & set(sys.modules))}\")\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.stderr == "[0, 0, 0] []\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--number", "x"], "'x' is not an integer"),
        (["--number", "-1"], "-1 is not between 0 and inf"),
        (["--share", "nan"], "nan is not between 0 and 1"),
        (["--share", "a"], "'a' is not a number"),
        (["--form", "xml"], "'xml' is not one of 'table', 'json'"),
    ],
)
def test_plain_types_refuse_what_they_are_not(register, capsys, words, complaint):
    """A value of the wrong type is bad usage and the message holds the value."""
    assert run_app(build_app(registry=register(t=_typed), help_text="."), "kg", ["t", *words]) == 2
    assert complaint in capsys.readouterr().err


def test_a_reader_that_leaves_early_causes_no_noise():
    """`kg ... | head -1` ends without a traceback and with the code a shell shows for a closed pipe."""
    program = (
        "import sys, types; from spak.cli.app import CommandEntry, build_app, run_app\n"
        "module = types.ModuleType('many')\n"
        "def command() -> None:\n    for _ in range(100000): print('x' * 50)\n"
        "module.command = command; sys.modules['many'] = module\n"
        "sys.exit(run_app(build_app(registry={'many': CommandEntry('many', '')}, help_text=''), 'kg', ['many']))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


def test_colour_needs_a_terminal_that_wants_it(monkeypatch):
    """A pipe, `NO_COLOR` and a dumb terminal each switch colour off."""
    monkeypatch.setattr(sys, "stdout", types.SimpleNamespace(isatty=lambda: True))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert machinery._wants_colour()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not machinery._wants_colour()
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not machinery._wants_colour()


def test_output_that_a_full_disk_cannot_hold_is_one_line():
    """Python's own flush at exit would say it a second time, and end with a code of its own."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "spak.cli.kg", "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (2, "output: No space left on device; free some space and repeat\n")
