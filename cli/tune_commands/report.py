"""`tune report`: the engineering report of a kernel, from recorded runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from spak.cli.app import Examples, globals_of

Format = Literal["files", "markdown", "html"]

EXAMPLES: Examples = (
    ("tune report --format markdown", "FMHA on the hardware it was measured on, printed"),
    ("tune report --op matmul --hw h200 --out .", "two files, the page of which needs no network"),
)


def command(
    ctx: typer.Context,
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN...]", help="Run ids or run files; else what is recorded.")
    ] = None,
    op: Annotated[str, typer.Option(help="Kernel to report on when no run is named.")] = "fmha",
    hw: Annotated[str, typer.Option(help="Hardware, when no run is named; else the only one measured.")] = "",
    contrast: Annotated[
        list[str] | None, typer.Option(metavar="RUN", help="Run of another kernel, to tell the kinds of system apart.")
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the two files, OP-HW.html and OP-HW.md.")
    ] = Path(),
    form: Annotated[Format, typer.Option("--format", help="Write two files, or print one of them.")] = "files",
) -> None:
    """Write a kernel's report as one self-contained HTML page and as Markdown.

    It tells the four steps (proof, naive, fused, tuned), what bounds the kernel, the map of its space, what the hints
    do, what the laws say and where every figure comes from. A step without a run says so; nothing is filled in.
    The same runs and laws give the same report.
    """
    from spak.cli.roots import open_laws
    from spak.kg.files.atomic import write_text
    from spak.tuner.report.choose import Choice, choose
    from spak.tuner.report.html import page
    from spak.tuner.report.markdown import markdown
    from spak.tuner.report.tell import tell

    laws = open_laws(globals_of(ctx))
    subject = choose(laws, Choice(tuple(runs or ()), op, hw, tuple(contrast or ())))
    document = tell(subject)
    if form == "markdown":
        typer.echo(markdown(document), nl=False)
        return
    if form == "html":
        typer.echo(page(document), nl=False)
        return
    stem = f"{subject.op}-{subject.hw}"
    for path, text in ((out / f"{stem}.html", page(document)), (out / f"{stem}.md", markdown(document))):
        write_text(path, text)
        typer.echo(path)
