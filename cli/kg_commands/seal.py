"""`kg seal`: what older files lack so that they can be checked."""

from __future__ import annotations

import typer

from spak.cli.app import CommandExamples, globals_of

EXAMPLES: CommandExamples = (("kg seal", "run files get the digest of their trials, evidence entries the occasion"),)


def command(ctx: typer.Context) -> None:
    """Give run files written by hand or long ago the digest of their trials, and evidence entries the occasion of their run.

    What a file states already stays as it is: `kg check` says where it is wrong. Names of changed files go to stdout.
    """
    from spak import load, seal_root
    from spak.cli.roots import root_of

    root = root_of(globals_of(ctx))
    root.require_writable()
    with root.locked():
        for path in seal_root(load(root.path).laws):
            typer.echo(str(path))
