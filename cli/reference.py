"""docs/cli.md, made of the commands themselves: `python -m spak.cli.reference` prints it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

from spak.cli import kg, spak, tune
from spak.cli.app import loaded

PROGRAMS = {
    "kg": (kg.COMMANDS, kg.HELP, ""),
    "tune": (tune.COMMANDS, tune.HELP, "search"),
    "spak": (spak.COMMANDS, spak.HELP, ""),
}
"""Program -> its registry, first line of help, and default command."""

_HEAD = """# Commands

Made by `make docs` from the commands; a test fails if it is out of date.
Every command takes `--laws DIR` (or `KG_LAWS`), else it uses the nearest `laws/` upwards, else the packaged laws.
Exit codes: 0 ok, 1 findings or differences, 2 bad input or usage; 130 interrupted.
What a command answers goes to stdout, everything else to stderr; piped output is plain, and so is a terminal's with `NO_COLOR` set.
`kg --install-completion bash` (zsh, fish, powershell) completes commands, options, and ids of hardware, ops and laws; the same for `tune`.
"""


def command_reference() -> str:
    """The whole page."""
    out = [_HEAD]
    for program, (registry, help_text, default) in PROGRAMS.items():
        out.append(f"\n## {program}\n\n{help_text}\n")
        for name in registry:
            aside = f"\nWithout a command, `{program}` does this." if name == default else ""
            out.append(f"\n### {program} {name}\n\n{_about(loaded(registry, name), aside)}")
    return "".join(out)


def _about(command: Any, aside: str) -> str:
    context = command.context_class(command, info_name=command.name)
    hints = get_type_hints(inspect.unwrap(command.callback))
    paragraphs = [" ".join(part.split()) for part in (command.help or "").split("\n\n")]
    parts = [paragraphs[0] + aside]
    parts += paragraphs[1:]
    rows = [row for param in command.get_params(context) for row in _row(param, hints.get(param.name))]
    if rows:
        parts.append("\n".join(["| | | |", "|---|---|---|", *rows]))
    lines = "".join(f"# {shows}\n{line}\n" for line, shows in command.examples)
    parts.append(f"```sh\n{lines}```")
    return "\n\n".join(parts) + "\n"


def _row(param: Any, kind: Any) -> Iterator[str]:
    """One option or argument of a `kind` as a row of a table; `--help` is not worth one."""
    if param.name == "help":
        return
    names = ", ".join([*param.opts, *param.secondary_opts])
    name = (param.metavar or param.name.upper()) if param.param_type_name == "argument" else names
    need = "required" if param.required else ""
    if not param.required and param.default not in {None, "", False}:
        need = f"default `{param.default}`"
    metavar = f" {param.metavar}" if param.metavar and param.param_type_name != "argument" else ""
    choices = ", ".join(f"`{choice}`" for choice in get_args(kind)) if get_origin(kind) is Literal else ""
    said = _cell(param.help or "") + (f" One of {choices}." if choices else "")
    yield f"| `{name}{metavar}` | {said} | {need} |".replace("|  |", "| |")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def main() -> None:
    """Print the page."""
    sys.stdout.write(command_reference())


if __name__ == "__main__":
    main()
