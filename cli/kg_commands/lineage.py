"""`kg lineage`: the line of systems that led to one."""

from __future__ import annotations

from typing import Annotated

import typer

from spak.cli import completion
from spak.cli.app import CommandExamples, globals_of
from spak.cli.roots import open_library

EXAMPLES: CommandExamples = (("kg lineage nanogpt", "from naive attention to a trained model"),)


def command(
    ctx: typer.Context,
    system: Annotated[
        str, typer.Argument(autocompletion=completion.systems, help="A system: fmha-v4, microgpt, nanogpt.")
    ],
    everything: Annotated[
        bool,
        typer.Option("--all", help="What every step added, each law, and what laws saved, not what fits a screen."),
    ] = False,
) -> None:
    """The line of systems that led to one: what each added, which laws it took over, and how sure those are."""
    from spak.cli.render.lineage import lineage_lines, short_lineage
    from spak.cli.render.text import Pen

    state = globals_of(ctx)
    show = lineage_lines if everything else short_lineage
    typer.echo(show(open_library(state).lineage(system), Pen(state.colour)), nl=False)
