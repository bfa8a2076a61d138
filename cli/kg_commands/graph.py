"""`kg graph`: the graph for other tools."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from spak.cli.app import CommandExamples, globals_of
from spak.cli.roots import open_library

EXAMPLES: CommandExamples = (
    ("kg graph --format mermaid", "for a Markdown page"),
    ("kg graph", "node-link JSON for NetworkX"),
)


def command(
    ctx: typer.Context,
    form: Annotated[
        Literal["json", "graphml", "dot", "mermaid"],
        typer.Option("--format", help="Node-link JSON, or for a drawing tool."),
    ] = "json",
) -> None:
    """The whole graph: hardware, ops, parameters, systems, kernels, laws and runs, joined by verbs."""
    from spak.kg.answers.graph_export import FORMATS

    typer.echo(FORMATS[form](open_library(globals_of(ctx)).graph()), nl=False)
