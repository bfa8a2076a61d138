"""`tune report`: the engineering report of a kernel, from recorded runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from spak.cli.app import CommandExamples, globals_of

_Format = Literal["files", "markdown", "html"]

EXAMPLES: CommandExamples = (
    ("tune report --format markdown", "the kernel with most measured trials, on the GPU with most of them"),
    ("tune report --op matmul --hw h200 --out .", "two files, the page of which needs no network"),
)


def command(
    ctx: typer.Context,
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN...]", help="Run ids or run files; else what is recorded.")
    ] = None,
    op: Annotated[str, typer.Option(help="Kernel, when no run is named; else that with most measured trials.")] = "",
    hw: Annotated[str, typer.Option(help="Hardware, when no run is named; else that with most measured trials.")] = "",
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the two files, OP-HW.html and OP-HW.md.")
    ] = Path(),
    form: Annotated[_Format, typer.Option("--format", help="Write two files, or print one of them.")] = "files",
) -> None:
    """Write a kernel's report as one self-contained HTML page and as Markdown.

    It leads with the best recorded configuration and tells every problem size against the default and the libraries, the
    four steps (proof, naive, fused, tuned), what bounds the kernel, the map of its tiles, which settings matter, what the
    laws say and where every figure comes from. A step without a run says so; nothing is filled in. Where nothing was
    measured there is no report. The same runs and laws give the same report.
    """
    from spak import ReportRequest, report
    from spak.cli.roots import open_laws
    from spak.kg.files.atomic import write_text

    found = report(ReportRequest(tuple(runs or ()), op, hw), open_laws(globals_of(ctx)))
    if form != "files":
        typer.echo(found.markdown if form == "markdown" else found.html, nl=False)
        return
    stem = f"{found.op}-{found.hw}"
    for path, text in ((out / f"{stem}.html", found.html), (out / f"{stem}.md", found.markdown)):
        write_text(path, text)
        typer.echo(path)
