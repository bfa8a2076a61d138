"""`kg export`: what is known, in the formats of other tools."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from spak.cli.app import CommandExamples, globals_of

EXAMPLES: CommandExamples = (
    ("kg export --hw rtx5070 --op fmha", "tune_params and restrictions for tune_kernel"),
    (
        "kg export --hw h200 --op fmha --problem d64-s1024-causal --soft",
        "laws that only postpone are restrictions as well",
    ),
    ("kg export --format t4 --run measured-h200-fmha-d64-s1024-causal", "a run for tools that read T4"),
)


def command(
    ctx: typer.Context,
    form: Annotated[
        Literal["kernel-tuner", "t4"], typer.Option("--format", help="kernel-tuner: restrictions; t4: one run.")
    ] = "kernel-tuner",
    hw: Annotated[str, typer.Option(help="Hardware of the search.")] = "",
    op: Annotated[str, typer.Option(help="Op of the search.")] = "",
    problem: Annotated[str, typer.Option(metavar="NAME|K=V,...", help="Problem size; else the op's defaults.")] = "",
    toolchain: Annotated[str, typer.Option(metavar="'NAME VERSION'", help="Of the search; else not asked.")] = "",
    soft: Annotated[bool, typer.Option("--soft", help="Also forbid what may only be put last.")] = False,
    run: Annotated[str, typer.Option(metavar="RUN", help="With --format t4: the run to write.")] = "",
) -> None:
    """Print restrictions that Kernel Tuner accepts, and what they cannot say; or one run as a T4 file.

    The JSON holds `tune_params` and `restrictions` for `tune_kernel`, `sources` (which law each is) and `cannot_say`.
    """
    import msgspec

    from spak import KgError
    from spak.cli.roots import open_library

    library = open_library(globals_of(ctx), toolchain)
    if form == "t4":
        if not run:
            raise KgError("--format t4: name the run with --run")
        typer.echo(library.t4(run))
        return
    if not hw or not op:
        raise KgError("--format kernel-tuner: name the search with --hw and --op")
    found = library.restrictions(op, hw=hw, problem=problem, soft=soft)
    typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    trials = sum(size.trials for size in found.recorded)
    if trials:
        words = f"{trials:,} recorded trials of {found.op} on {hw} are no restriction: `recorded` has the best of each"
        typer.echo(f"note: {words}\nnote: problem size, and tune first prints the order that they give", err=True)
