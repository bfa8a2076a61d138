"""`kg view`: the graph as one HTML page to explore in a browser, or as text for another tool."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from spak.cli.app import CommandExamples, globals_of
from spak.cli.roots import open_library

EXAMPLES: CommandExamples = (
    ("kg view", "kg-view.html, for any browser"),
    ("kg view --out laws.html", "add #law=ID or #hw=rtx5070 to its address for a link to that view"),
    ("kg view --format dot", "for Graphviz"),
)
DEFAULT_FILE = "kg-view.html"
STDOUT = "-"


def command(
    ctx: typer.Context,
    form: Annotated[
        Literal["html", "json", "graphml", "dot", "mermaid"],
        typer.Option("--format", help="A page for people, or the graph for another tool."),
    ] = "html",
    out: Annotated[
        str, typer.Option("--out", metavar="FILE", help=f"Where to; - is stdout. html: {DEFAULT_FILE}, others: stdout.")
    ] = "",
) -> None:
    """The graph as one self-contained HTML page: lineage, ops, laws, evidence.

    It needs no network and no server. Search, filters and the chosen law are
    in the address, so any view can be sent as a link (#law=ID, #kind=negative).
    """
    library = open_library(globals_of(ctx))
    if form == "html":
        text = library.page()
    else:
        from spak.kg.answers.graph_export import FORMATS

        text = FORMATS[form](library.graph())
    _deliver(text, out or (DEFAULT_FILE if form == "html" else STDOUT), len(library.laws.laws))


def _deliver(text: str, out: str, num_laws: int) -> None:
    """Write `text` to stdout or to the file `out`, and then say on stderr what was written."""
    from spak.kg.files.atomic import write_text

    if out == STDOUT:
        typer.echo(text, nl=False)
        return
    write_text(Path(out), text)
    sys.stderr.write(f"{out}: {num_laws} laws, {len(text.encode()) / 1000:.0f} kB\n")
