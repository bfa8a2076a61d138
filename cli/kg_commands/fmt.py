"""`kg fmt`: canonical key order and layout, comments kept."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from spak.cli.app import EXIT_BAD_INPUT, CommandExamples, globals_of

EXAMPLES: CommandExamples = (
    ("kg fmt laws/systems", "rewrites what is out of order below a folder"),
    ("kg fmt --check laws/ops", "writes nothing, names the files"),
)


def command(
    ctx: typer.Context,
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files and folders; all of the law root without any.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if a file would change.")] = False,
) -> None:
    """Put keys into canonical order and indent alike; what a file means and its comments stay.

    Names of files that change (or would, with --check) go to stdout.
    """
    from spak import KgError, format_text
    from spak.cli.roots import chosen_files, root_of
    from spak.kg.files.atomic import write_text
    from spak.kg.files.reading import MAX_YAML_BYTES, content, unquoted

    root = root_of(globals_of(ctx))
    if not check:
        root.require_writable()
    changed, failed = 0, 0
    for path, kind in chosen_files(root.path, paths or []).items():
        with nullcontext() if check else root.locked():
            try:
                with unquoted(path, root.path):
                    before = content(path, MAX_YAML_BYTES)
                    after = format_text(before, str(path), kind)
            except KgError as error:
                typer.echo(str(error), err=True)
                failed += 1
                continue
            if after.encode() != before:
                changed += 1
                typer.echo(str(path))
                if not check:
                    write_text(path, after)
    if failed:
        raise typer.Exit(EXIT_BAD_INPUT)
    if check and changed:
        raise typer.Exit(1)
