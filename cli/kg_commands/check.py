"""`kg check`: everything that is wrong with the laws, at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from spak.cli.app import EXIT_BAD_INPUT, CommandExamples, globals_of

_Format = Literal["text", "json", "github", "sarif", "junit"]

EXAMPLES: CommandExamples = (
    ("kg check", "everything"),
    ("kg check laws/sm_120", "only what is below a folder"),
    ("kg check --format github", "annotations in a GitHub workflow"),
    ("kg check --format sarif", "for code-scanning systems"),
    ("kg check --format junit", "for test-report systems"),
)


def command(
    ctx: typer.Context,
    paths: Annotated[list[Path] | None, typer.Argument(help="Report only on these files and folders.")] = None,
    form: Annotated[_Format, typer.Option("--format", help="How to print.")] = "text",
) -> None:
    """Read every file of the law root and hold it against its own evidence.

    Exit code 0: nothing found (notes are no findings); 1: findings; 2: files that cannot be used.
    """
    from spak import InvalidFilesError, load
    from spak.cli.render.findings import FINDINGS_FORMATS
    from spak.cli.roots import cache_directory, is_chosen, root_of
    from spak.cli.terminal import obeyed

    root = root_of(globals_of(ctx)).path
    wanted = paths or []
    is_chosen(root, root, wanted)
    try:
        library = load(root, cache=cache_directory())
        laws, problems = library.laws, list(library.check())
        gone = f" ({len(laws.superseded)} more superseded)" if laws.superseded else ""
        summary = f"{len(laws.laws)} laws{gone}, {len(laws.hardware)} hardware nodes, {len(laws.ops)} ops, {len(laws.systems)} systems"
    except InvalidFilesError as error:
        problems, summary = error.problems, "not every file can be used"
    problems = [problem for problem in problems if is_chosen(Path(problem.path), root, wanted)]
    text = FINDINGS_FORMATS[form](problems)
    typer.echo(obeyed(text) if form == "github" else text, nl=False)
    counts = {level: sum(problem.severity == level for problem in problems) for level in ("error", "finding", "note")}
    shown = ", ".join(f"{count} {level}{'s' if count != 1 else ''}" for level, count in counts.items())
    typer.echo(f"{summary}: {shown}", err=True)
    if counts["error"]:
        raise typer.Exit(EXIT_BAD_INPUT)
    if counts["finding"]:
        raise typer.Exit(1)
