"""`kg explain`: one law whole."""

from __future__ import annotations

from typing import Annotated

import typer

from spak.cli import completion
from spak.cli.app import CommandExamples, globals_of
from spak.cli.roots import open_library

EXAMPLES: CommandExamples = (
    ("kg explain sm120-fmha-128x128-spills", "claim, evidence, trials"),
    ("kg explain sm120-fmha-128x128-spills --trials 0", "without the trials"),
)


def command(
    ctx: typer.Context,
    law: Annotated[str, typer.Argument(autocompletion=completion.laws, help="Id of a law, as `kg query` prints it.")],
    trials: Annotated[int, typer.Option(min=0, help="Trials shown for each side of the claim, best first.")] = 3,
) -> None:
    """What a law says, on whose evidence, down to the trials, and how to repeat them."""
    from spak.cli.render.explain import explanation
    from spak.cli.render.text import Pen

    state = globals_of(ctx)
    found = open_library(state).explain(law, num_trials=trials)
    typer.echo(explanation(found, Pen(state.colour)), nl=False)
