"""`kg merge-file`: the git merge driver for law files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from spak.cli.app import CommandExamples

EXIT_REFUSED = 1

EXAMPLES: CommandExamples = (
    (
        "kg merge-file base.yaml ours.yaml theirs.yaml laws/sm_120/fmha/law.yaml",
        "what git runs; the result is in ours.yaml",
    ),
)


def command(
    base: Annotated[Path, typer.Argument(metavar="%O", help="The common ancestor.")],
    ours: Annotated[Path, typer.Argument(metavar="%A", help="Our version; the result is written here.")],
    theirs: Annotated[Path, typer.Argument(metavar="%B", help="Their version.")],
    path: Annotated[str, typer.Argument(metavar="%P", help="Where the file lies, for messages.")] = "",
) -> None:
    """Merge two branches' versions of one law: evidence adds up and the status is computed from it.

    Set up once per clone:
    git config merge.law.driver 'kg merge-file %O %A %B %P', and `laws/**/*.yaml merge=law` in .gitattributes.
    Exit 1: a person must decide; the file then has git's own conflict markers.
    """
    from spak.kg.errors import KgError
    from spak.kg.files import atomic, reading
    from spak.kg.files.merge import merge_files

    try:
        before, mine, other = (reading.content(version, reading.MAX_YAML_BYTES) for version in (base, ours, theirs))
        merged = merge_files(before, mine, other, path or str(ours))
    except KgError as error:
        typer.echo(str(error), err=True)
        subprocess.run(["git", "merge-file", "-q", str(ours), str(base), str(theirs)], check=False, stdin=sys.stdin)
        raise typer.Exit(EXIT_REFUSED) from None
    atomic.write_text(ours, merged)
