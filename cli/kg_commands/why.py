"""`kg why`: which laws speak for or against one configuration."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from spak.cli import completion
from spak.cli.app import CommandExamples, globals_of
from spak.cli.roots import AskedToolchain, KnownProblem, asked_toolchain, open_library
from spak.kg.expression.assignment import parse_assignments

EXAMPLES: CommandExamples = (
    (
        "kg why fmha --hw rtx5070 --config tile_m=128,tile_n=128,occupancy=2",
        "which laws are against it, and whether they may remove it",
    ),
)


def command(
    ctx: typer.Context,
    op: Annotated[str, typer.Argument(autocompletion=completion.ops, help="Op: an id or an alias.")],
    hw: Annotated[
        str,
        typer.Option(
            autocompletion=completion.hardware, help="Hardware: rtx5070, sm_120, or what a driver calls the device."
        ),
    ],
    config: Annotated[
        str, typer.Option(metavar="NAME=VALUE,...", help="The configuration; what is missing is unknown.")
    ],
    problem: KnownProblem = "",
    toolchain: AskedToolchain = "",
    everything: Annotated[
        bool, typer.Option("--all", help="In a table, every law with its evidence, not what fits a screen.")
    ] = False,
    form: Annotated[Literal["table", "json"], typer.Option("--format", help="How to print.")] = "table",
) -> None:
    """Which laws speak for or against a configuration, which cannot tell, and what they would need."""
    from spak.kg.answers.why import account_json

    state = globals_of(ctx)
    library = open_library(state, asked_toolchain(toolchain))
    found = library.why(op, hw=hw, config=parse_assignments(config, what="--config"), problem=problem)
    if form == "json":
        typer.echo(account_json(found), nl=False)
        return
    from spak.cli.render.explain import account
    from spak.cli.render.short_account import short_account
    from spak.cli.render.text import Pen

    show = account if everything else short_account
    typer.echo(show(found, library.laws, Pen(state.colour)), nl=False)
