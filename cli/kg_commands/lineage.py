"""`kg lineage`: the line of systems that led to one."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import completion
from cli.app import Examples, globals_of
from cli.roots import open_laws

EXAMPLES: Examples = (("kg lineage nanogpt", "from naive attention to a trained model"),)


def command(
    ctx: typer.Context,
    system: Annotated[
        str, typer.Argument(autocompletion=completion.systems, help="A system: fmha-v4, microgpt, nanogpt.")
    ],
) -> None:
    """The line of systems that led to one: what each added, which laws it took over, and how sure those are."""
    from cli.render import Pen
    from cli.render_lineage import lines
    from kg.lineage import lineage

    state = globals_of(ctx)
    typer.echo(lines(lineage(open_laws(state), system), Pen(state.colour)), nl=False)
