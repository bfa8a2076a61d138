"""`kg withdraw`: the one act by hand."""

from __future__ import annotations

from typing import Annotated

import typer

from spak.cli import completion
from spak.cli.app import CommandExamples, globals_of

EXAMPLES: CommandExamples = (
    (
        "kg withdraw blackwell-fmha-v-latency-5 --why 'measured on another kernel'",
        "says when and why, and keeps the file",
    ),
)


def command(
    ctx: typer.Context,
    law: Annotated[str, typer.Argument(autocompletion=completion.laws, help="Id of the law.")],
    why: Annotated[str, typer.Option(help="Reason, for whoever reads the law later.")],
    date: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="Day of the withdrawal; else today.")] = "",
) -> None:
    """Withdraw a law: it says when and why, its file and evidence stay, and nothing obeys it any more."""
    from datetime import UTC, datetime

    from spak import load
    from spak.cli.roots import root_of

    root = root_of(globals_of(ctx))
    root.require_writable()
    path = load(root.path).withdraw(law, reason=why, date=date or datetime.now(UTC).date().isoformat())
    typer.echo(str(path))
