"""`kg review`: everything that the reviewer of a change is told, by code that the change cannot touch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from spak.cli.app import EXIT_BAD_INPUT, CommandExamples, globals_of
from spak.cli.roots import asked_toolchain, root_of

_Format = Literal["text", "markdown", "github"]
_EXIT = {"clean": 0, "findings": 1, "unusable": EXIT_BAD_INPUT}

EXAMPLES: CommandExamples = (
    ("kg review main~1 main", "what a pull request's check says of the last commit"),
    ("kg review main", "the same of what is not committed yet"),
)


def command(
    ctx: typer.Context,
    base: Annotated[str, typer.Argument(metavar="BASE", help="A git revision: the branch that the change is for.")],
    head: Annotated[
        str, typer.Argument(metavar="[HEAD]", help="A git revision with the change; else the working tree.")
    ] = "",
    statuses: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What other code says of HEAD's laws (kg verify --all --format json)."),
    ] = None,
    toolchain: Annotated[
        str, typer.Option(metavar="'NAME VERSION'", help="Decides which laws may remove; else the installed one.")
    ] = "",
    form: Annotated[_Format, typer.Option("--format", help="How to print.")] = "text",
    comment: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it as Markdown there too; empty if nothing is to be read."),
    ] = None,
) -> None:
    """Check the laws as HEAD has them, ask every recorded run, and say what differs from BASE in meaning.

    Exit 0: laws and evidence agree, whatever changed; 1: they do not; 2: files that cannot be used. Nothing of BASE or
    HEAD is executed: the code that is installed judges.
    """
    from spak import review
    from spak.cli.render.review import REVIEW_FORMATS, review_markdown
    from spak.cli.render.text import Pen
    from spak.cli.terminal import obeyed

    state = globals_of(ctx)
    root = root_of(state).path
    found = review(base, root, head=head, toolchain=asked_toolchain(toolchain), other=statuses)
    if comment:
        comment.write_text("" if found.is_silent else review_markdown(found), encoding="utf-8")
    text = REVIEW_FORMATS[form](found, root.as_posix(), Pen(state.colour))
    typer.echo(obeyed(text) if form == "github" else text, nl=False)
    raise typer.Exit(_EXIT[found.verdict])
