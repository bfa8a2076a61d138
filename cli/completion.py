"""Shell completion: the script a shell loads, and the names that complete an option's value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer

SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")


def variable(program: str) -> str:
    """Environment variable through which the completion script of `program` asks it for words."""
    return f"_{program.upper()}_COMPLETE"


def teach_shells() -> None:
    """Make the program answer the shells' questions; only a process that was asked one needs this."""
    from typer.completion import completion_init  # type: ignore[attr-defined] # not in its __all__

    completion_init()


def show(ctx: typer.Context, value: str | None) -> None:
    """Print the script for the shell `value`, if one is named."""
    if value and not ctx.resilient_parsing:
        from typer.completion import get_completion_script  # type: ignore[attr-defined] # not in its __all__

        name = ctx.find_root().info_name or ""
        typer.echo(get_completion_script(prog_name=name, complete_var=variable(name), shell=_known(value)))
        raise typer.Exit


def install(ctx: typer.Context, value: str | None) -> None:
    """Write the script where the shell `value` finds it, if one is named."""
    if value and not ctx.resilient_parsing:
        from typer.completion import install as write  # type: ignore[attr-defined] # not in its __all__

        name = ctx.find_root().info_name or ""
        _, path = write(shell=_known(value), prog_name=name, complete_var=variable(name))
        typer.echo(f"{path}: start a new {value} to use it", err=True)
        raise typer.Exit


def _known(shell: str) -> str:
    if shell not in SHELLS:
        msg = f"{shell!r} is not one of {', '.join(SHELLS)}."
        raise typer.BadParameter(msg)
    return shell


def _ids(pattern: str) -> Callable[[typer.Context, str], list[str]]:
    """Completes ids from the names of the law root's files, so that a key press reads none; without a root there are none."""

    def ids(ctx: typer.Context, incomplete: str) -> list[str]:
        from spak import KgError, find_root

        try:
            root = find_root(ctx.find_root().params.get("laws"), Path.cwd()).path
        except KgError:
            return []
        return sorted(path.stem for path in root.glob(pattern) if path.stem.startswith(incomplete))

    return ids


hardware, ops = _ids("hardware/*.yaml"), _ids("ops/*.yaml")
systems, laws = _ids("systems/*.yaml"), _ids("*/*/*.yaml")


def mechanisms(incomplete: str) -> list[str]:
    """Mechanisms that start with `incomplete`."""
    from spak.kg.law.mechanisms import MECHANISMS

    return [term for term in MECHANISMS if term.startswith(incomplete)]
