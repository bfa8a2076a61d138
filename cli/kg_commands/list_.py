"""`kg list`: what there is to ask about, by id."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from spak.cli.app import CommandExamples, globals_of
from spak.cli.roots import open_library
from spak.kg.answers.listing import ListedKind

EXAMPLES: CommandExamples = (
    ("kg list ops", "what can be asked about with --op"),
    ("kg list laws --format json", "every law with its status and title, for a program"),
)


def command(
    ctx: typer.Context,
    what: Annotated[ListedKind, typer.Argument(help="What to list.")],
    form: Annotated[Literal["table", "json"], typer.Option("--format", help="How to print.")] = "table",
) -> None:
    """List hardware, ops, kernels, laws, systems or runs: ids as commands take them, and what each is."""
    from spak.cli.render.listing import entry_lines, listing_json

    entries = open_library(globals_of(ctx)).listing(what)
    typer.echo(listing_json(entries) if form == "json" else entry_lines(entries), nl=False)
