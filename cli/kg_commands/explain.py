"""`kg explain`: one law whole."""

from __future__ import annotations

from typing import Annotated

import typer

from spak.cli import completion
from spak.cli.app import CommandExamples, globals_of
from spak.cli.roots import open_library

EXAMPLES: CommandExamples = (
    ("kg explain sm120-fmha-128x128-spills", "claim, how sure, on whose evidence"),
    (
        "kg explain sm120-fmha-128x128-spills --all --trials 1",
        "every entry, how to repeat it, and a trial of each side",
    ),
)


def command(
    ctx: typer.Context,
    law: Annotated[str, typer.Argument(autocompletion=completion.laws, help="Id of a law, as `kg query` prints it.")],
    everything: Annotated[
        bool, typer.Option("--all", help="Every entry with its trials and how to repeat it.")
    ] = False,
    trials: Annotated[
        int, typer.Option(min=0, help="With --all: trials shown for each side of the claim, best first.")
    ] = 3,
) -> None:
    """What a law says, on whose evidence, down to the trials, and how to repeat them."""
    from spak.cli.render.explain import explanation
    from spak.cli.render.short_explanation import short_explanation
    from spak.cli.render.text import Pen

    state = globals_of(ctx)
    found = open_library(state).explain(law, num_trials=trials if everything else 1)
    show = explanation if everything else short_explanation
    typer.echo(show(found, Pen(state.colour)), nl=False)
