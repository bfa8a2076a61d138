"""`kg schema`: the JSON Schemas of the file formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from spak.cli.app import CommandExamples

_Kind = Literal["law", "hardware", "op", "system", "run"]

EXAMPLES: CommandExamples = (
    ("kg schema law", "what an editor checks a law file with"),
    ("kg schema --write laws/schema", "all five, where the law files name them"),
)


def command(
    kind: Annotated[_Kind, typer.Argument(help="Kind of file.")] = "law",
    write: Annotated[Path | None, typer.Option(metavar="DIR", help="Write all five into this folder instead.")] = None,
) -> None:
    """Print the JSON Schema (2020-12) of a kind of file; editors check and complete law files with it."""
    from spak.kg.files import atomic
    from spak.kg.files.schema import MODELS, file_name, schema_text

    if write is None:
        typer.echo(schema_text(kind), nl=False)
        return
    for name in MODELS:
        path = write / file_name(name)
        atomic.write_text(path, schema_text(name))
        typer.echo(str(path))
