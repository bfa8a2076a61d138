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
) -> None:
    """The line of systems that led to one: what each added, which laws it took over, and how sure those are."""
    from spak.cli.render.lineage import lineage_lines
    from spak.cli.render.text import Pen

    state = globals_of(ctx)
    typer.echo(lineage_lines(open_library(state).lineage(system), Pen(state.colour)), nl=False)
