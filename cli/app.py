"""The machinery that `kg` and `tune` share: lazy commands, `--laws`, examples, completion, exit codes, errors in one line."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from spak.cli import completion, terminal
from spak.cli.arguments import make_light
from spak.kg.visible import line as one_line

CommandExamples = tuple[tuple[str, str], ...]
"""Command lines, each with what it shows. A command module's `EXAMPLES` end its `--help`; a test runs every one."""

_EXAMPLE_WIDTH = 78

EXIT_BAD_INPUT = 2
EXIT_BUG = 70  # EX_SOFTWARE of sysexits.h: Python's own 1 would read as "findings"
EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_PIPE_CLOSED = 128 + signal.SIGPIPE  # what a shell reports for `cat` in the same place

ERROR_BASES = (("spak.kg.errors", "KgError"), ("spak.tuner.errors", "TunerError"))
"""Base class of each package's user-facing errors. A module nobody imported raised nothing, so none is imported here."""

_FREE_SPACE = "; free some space and repeat"
_REMEDIES = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EFBIG: "; raise the limit on the size of files and repeat",
    errno.EROFS: "; write somewhere else",
    errno.EIO: "; see to the disk and repeat",
}
"""What to do about an error that is the disk's; where output goes to it, it names no file."""

_HOISTED = "--laws"
_OWN_OPTIONS = {"--help", "--version", "--show-completion", "--install-completion"}
"""Options of the program itself, which name no command and want none."""


@dataclass(frozen=True)
class CommandEntry:
    """One command of an app: the module that defines its function `command`, and a line to list it without importing that."""

    module: str
    help: str


@dataclass(frozen=True)
class Globals:
    """What every command may ask its context for (`spak.cli.app.globals_of`).

    Attributes:
        laws: Law root as given by `--laws` or `KG_LAWS`; None: find it.
        colour: Whether stdout may carry colour (a terminal that wants it).
        is_whole_process: Whether the process ends with the command; another goes on, and may run thousands.
    """

    laws: str | None
    colour: bool
    is_whole_process: bool = False


class LightCommand(TyperCommand):
    """A command whose plain options, `--help` included, are read without pydantic, and whose help ends in examples."""

    examples: CommandExamples = ()

    def get_params(self, ctx: Any) -> list[Any]:
        """The command's parameters, made light."""
        return make_light(super().get_params(ctx))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the overridden method's signature
        """Write the examples, each whole on its line so that it can be copied."""
        if self.examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {broken(line)}\n      {shows}\n" for line, shows in self.examples))


class LazyGroup(TyperGroup):
    """A command group that lists its commands without importing them, and may have a default command."""

    registry: Mapping[str, CommandEntry] = {}
    default = ""
    """Command that runs when the first word is not a command; empty: none."""

    def __init__(self, **attrs: Any) -> None:
        attrs["commands"] = dict.fromkeys(self.registry)  # the names; `get_command` has the commands
        attrs["no_args_is_help"] = not self.default
        super().__init__(**attrs)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the overridden method's signature
        """The command, imported now."""
        return loaded(self.registry, cmd_name) if cmd_name in self.registry else None

    def get_params(self, ctx: Any) -> list[Any]:
        """The group's parameters, made light."""
        return make_light(super().get_params(ctx))

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the overridden method's signature
        """Write the list of commands from the registry alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self.registry.items()])

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Let `--laws` stand anywhere, and put the default command where no command is named."""
        hoisted, rest = hoist(args)
        named = bool(rest) and (rest[0] in self.registry or rest[0].partition("=")[0] in _OWN_OPTIONS)
        completing_first_word = ctx.resilient_parsing and not rest
        if self.default and not named and not completing_first_word:
            rest = [self.default, *rest]
        return super().parse_args(ctx, [*hoisted, *rest])

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Commands and options that start with `incomplete`; the default command's own as well."""
        found = super().shell_complete(ctx, incomplete)
        if self.default:
            command = self.get_command(ctx, self.default)
            with command.make_context(self.default, [], parent=ctx, resilient_parsing=True) as inner:
                found += [item for item in command.shell_complete(inner, incomplete) if item.value not in _OWN_OPTIONS]
        return found

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a reader that went away ends it quietly (typer's own exit code, 1, means findings here)."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _silence_stdout()
            raise typer.Exit(EXIT_PIPE_CLOSED) from None


def broken(line: str) -> str:
    """A command line as a shell reads it over several lines, broken before options where it is too long for one."""
    first, *options = line.split(" --")
    lines = [first]
    for option in (f"--{rest}" for rest in options):
        if len(lines[-1]) + len(option) + 2 < _EXAMPLE_WIDTH - 2:
            lines[-1] += f" {option}"
        else:
            lines.append(f"    {option}")
    return " \\\n  ".join(lines)


def hoist(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split `args` into every `--laws DIR` (or `--laws=DIR`) before a `--`, and the rest in its order."""
    hoisted: list[str] = []
    rest: list[str] = []
    words = iter(args)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word == _HOISTED:
            hoisted += [word, *(value for value in [next(words, None)] if value is not None)]
        elif word.startswith(_HOISTED + "="):
            hoisted.append(word)
        else:
            rest.append(word)
    return hoisted, rest


def build_app(*, registry: Mapping[str, CommandEntry], help_text: str, default: str = "") -> Any:
    """The command group of an app: its commands by name, the first lines of its `--help`, what runs when none is named."""
    group = type("Group", (LazyGroup,), {"registry": registry, "default": default})
    app = typer.Typer(
        cls=group, help=help_text, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
    )

    @app.callback()
    def _globals(
        ctx: typer.Context,
        laws: Annotated[
            str | None,
            typer.Option("--laws", metavar="DIR", envvar="KG_LAWS", help="Law root; else the nearest laws/."),
        ] = None,
        version: Annotated[  # noqa: ARG001 - its callback acts before any command is looked for
            bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
        ] = False,
        show: Annotated[  # noqa: ARG001 - as above
            str | None,
            typer.Option(
                "--show-completion",
                metavar="SHELL",
                is_eager=True,
                callback=completion.show,
                help=f"Print the completion script of a shell: {', '.join(completion.SHELLS)}.",
            ),
        ] = None,
        install: Annotated[  # noqa: ARG001 - as above
            str | None,
            typer.Option(
                "--install-completion",
                metavar="SHELL",
                is_eager=True,
                callback=completion.install,
                help="Write that script where the shell finds it.",
            ),
        ] = None,
    ) -> None:
        ctx.color = True  # typer would take escapes out of text for a pipe; a screen shows them
        ctx.obj = replace(globals_of(ctx), laws=laws or None, colour=_wants_colour())

    return get_command(app)


def globals_of(ctx: typer.Context) -> Globals:
    """The global options of the app that `ctx` runs in."""
    found = ctx.find_root().obj
    return found if isinstance(found, Globals) else Globals(laws=None, colour=False)


def run_app(command: Any, name: str, args: Sequence[str] | None = None) -> int:
    """Run what `build_app` returned as the program `name`, on `args` or the process's own words, and return its exit code.

    Bad input ends in one line on stderr. Processes that the program starts import nothing from the folder that a person
    stands in, which may be somebody else's checkout.
    """
    if args is None:
        os.environ["PYTHONSAFEPATH"] = "1"
    with terminal.screens():
        return _run(command, name, args)


def _run(command: Any, name: str, args: Sequence[str] | None) -> int:
    try:
        code = _exit_code(command, name, args)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
        return EXIT_PIPE_CLOSED
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the outermost frame: bad input or a bug, both end here
        message = _user_message(error)
        if isinstance(error, OSError):
            _silence_stdout()  # what it still holds would fail again
        return _bug() if message is None else _fail(message, EXIT_BAD_INPUT)
    return _fail("interrupted", code) if code == EXIT_INTERRUPTED else code


def _exit_code(command: Any, name: str, args: Sequence[str] | None) -> int:
    if completion.variable(name) in os.environ:
        completion.teach_shells()
    try:
        given = Globals(laws=None, colour=False, is_whole_process=args is None)
        command.main(args=None if args is None else list(args), prog_name=name, obj=given)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    return 0


def loaded(registry: Mapping[str, CommandEntry], name: str) -> Any:
    """The command `name`, built from its module's function `command`."""
    entry = registry[name]
    module = importlib.import_module(entry.module)
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name, cls=LightCommand, short_help=entry.help)(module.command)
    command: Any = get_command(app)
    command.examples = getattr(module, "EXAMPLES", ())
    return command


def _user_message(error: Exception) -> str | None:
    """What to tell a person whose input caused `error`; None if it is a bug."""
    if isinstance(error, OSError) and (error.filename is not None or error.errno in _REMEDIES):
        name = one_line(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else "output"
        return f"{name}: {error.strerror}{_REMEDIES.get(error.errno or 0, '')}"
    if isinstance(error, MemoryError):
        return "out of memory; ask for less at once, or give it more"
    if isinstance(error, UnicodeEncodeError):
        return "a name that is not UTF-8, or half of a surrogate pair, cannot be written; rename it"
    bases = (getattr(sys.modules.get(module), name, None) for module, name in ERROR_BASES)
    return str(error) if any(isinstance(base, type) and isinstance(error, base) for base in bases) else None


def _fail(message: str, code: int) -> int:
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr)  # noqa: T201 - this is the one place that reports an error
    return code


def _bug() -> int:
    import traceback

    traceback.print_exc()
    return EXIT_BUG


def _silence_stdout() -> None:
    """Point stdout at the null device, so that the interpreter's last flush does not fail again."""
    with contextlib.suppress(OSError, ValueError):  # ValueError: a captured stdout has no file descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _wants_colour() -> bool:
    """A terminal, `NO_COLOR` unset or empty (no-color.org), and not a dumb one."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _print_version(ctx: typer.Context, value: bool) -> None:
    if value:
        typer.echo(f"{ctx.find_root().info_name} {_version()}")
        raise typer.Exit


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("spak")
    except PackageNotFoundError:
        return "(not installed)"
