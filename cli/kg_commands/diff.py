"""`kg diff`: what changed in meaning between two sets of laws, and what a search does differently."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from spak.cli.app import CommandExamples, globals_of
from spak.cli.roots import asked_toolchain, open_root

_Format = Literal["text", "markdown", "json", "github"]
EXIT_DIFFERS = 1

EXAMPLES: CommandExamples = (
    ("kg diff HEAD", "what is not committed yet"),
    ("kg diff main~1 main --format markdown", "what a pull request shows"),
    ("kg diff main~1 --toolchain 'tileiras 13.4'", "as a search with this compiler would see it"),
)


def command(
    ctx: typer.Context,
    before: Annotated[str, typer.Argument(metavar="A", help="A git revision or a folder of laws.")],
    after: Annotated[
        str, typer.Argument(metavar="[B]", help="A git revision or a folder; else the law root as it is on disk.")
    ] = "",
    toolchain: Annotated[
        str, typer.Option(metavar="'NAME VERSION'", help="Decides which laws may remove; else the installed one.")
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="As text: every change with its evidence, not what fits a screen.")
    ] = False,
    form: Annotated[_Format, typer.Option("--format", help="How to print.")] = "text",
) -> None:
    """What changed in meaning from A to B: claims, evidence, verdicts, and what a search does differently.

    Exit 0: nothing, 1: something, 2: it cannot be said. A reformatted file is no change.
    """
    from spak import diff, revision
    from spak.cli.render import diff as render_diff
    from spak.cli.render.short_diff import short_diff
    from spak.cli.render.text import Pen
    from spak.cli.roots import root_of
    from spak.cli.terminal import obeyed

    state = globals_of(ctx)
    root, compiler = open_root(state).path, asked_toolchain(toolchain)
    with revision(before, root, toolchain=compiler) as old, revision(after, root, toolchain=compiler) as new:
        found = diff(old, new)
        if form == "json":
            typer.echo(render_diff.json(found), nl=False)
        elif form == "markdown":
            typer.echo(render_diff.diff_markdown(found), nl=False)
        elif form == "github":
            folder = root_of(state).path
            paths = {name: (folder / path).as_posix() for name, path in new.laws.paths.get("law", {}).items()}
            typer.echo(obeyed(render_diff.github(found, paths)), nl=False)
        else:
            show = render_diff.diff_text if everything else short_diff
            typer.echo(show(found, Pen(state.colour)), nl=False)
    if found:
        raise typer.Exit(EXIT_DIFFERS)
