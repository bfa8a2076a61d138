"""`tune learn`: laws from what is recorded, some runs suggesting and the others testing."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from spak.cli.app import CommandExamples, globals_of

EXAMPLES: CommandExamples = (
    ("tune learn matmul --dry-run", "what the recorded runs of matmul teach; nothing is written"),
    ("tune learn matmul --suggest h200 --slowdown 1.1 --dry-run", "runs on one GPU suggest, the others test"),
)


def command(
    ctx: typer.Context,
    op: Annotated[str, typer.Argument(help="An op of which runs are recorded.")],
    suggest: Annotated[
        str, typer.Option(metavar="HW,...", help="Hardware whose runs suggest laws; else drawn. The others test.")
    ] = "",
    slowdown: Annotated[
        float, typer.Option(min=1.05, help="Times the best that a law about what is slow states at least.")
    ] = 1.2,
    seed: Annotated[int, typer.Option(min=0, help="Draws what suggests.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; say what would be written.")] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", help="Every suggestion with its reason, and with --dry-run the files as a diff."),
    ] = False,
    form: Annotated[Literal["text", "json"], typer.Option("--format", help="How to print.")] = "text",
) -> None:
    """Look for laws in recorded runs, imported ones included; nothing is measured.

    One in three problem sizes, or where there are fewer than three one in three
    devices of a family, suggests; all others test, by the statistics of a search.
    What is confirmed there, and adds something to what laws explain, becomes a law.
    What was suggested is noted in the runs that suggested it: they never test it,
    whoever asks again.
    """
    import msgspec

    from spak import LearnRequest, learn
    from spak.cli.render.learned import learned_text
    from spak.cli.roots import open_library

    named = tuple(filter(None, map(str.strip, suggest.split(","))))
    found = learn(open_library(globals_of(ctx)), LearnRequest(op, named, seed, write=not dry_run, slowdown=slowdown))
    if form == "json":
        content = {
            "op": found.op,
            "suggesting": found.suggesting,
            "testing": found.testing,
            "candidates": found.candidates,
            "laws": [{"id": law.id, "status": law.status, "title": law.title} for law in found.laws],
            "written": [] if dry_run else [str(change.path) for change in found.changes if not change.refused],
        }
        typer.echo(msgspec.json.format(msgspec.json.encode(content), indent=1).decode())
        return
    typer.echo(learned_text(found, is_dry=dry_run, verbose=verbose), nl=False)
    if dry_run and verbose:
        typer.echo(found.diff, nl=False)
