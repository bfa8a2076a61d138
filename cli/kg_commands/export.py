"""`kg export`: what is known, in the formats of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from spak.cli.app import CommandExamples, globals_of

if TYPE_CHECKING:
    from spak import Library

EXAMPLES: CommandExamples = (
    ("kg export --hw rtx5070 --op fmha", "tune_params and restrictions for tune_kernel"),
    (
        "kg export --hw h200 --op fmha --problem d64-s1024-causal --soft",
        "laws that only postpone are restrictions as well",
    ),
    (
        "kg export --format t4 --set h200-set --hw h200 --op matmul",
        "every run timed of some ops on some devices, with a datasheet",
    ),
    ("kg export --format t4 --run measured-h200-fmha-d64-s1024-causal", "a run for tools that read T4"),
)


def command(
    ctx: typer.Context,
    form: Annotated[
        Literal["kernel-tuner", "t4"], typer.Option("--format", help="kernel-tuner: restrictions; t4: recorded runs.")
    ] = "kernel-tuner",
    hw: Annotated[str, typer.Option(metavar="HW,...", help="Hardware of the search; with --set, some.")] = "",
    op: Annotated[str, typer.Option(metavar="OP,...", help="Op of the search; with --set, some.")] = "",
    problem: Annotated[str, typer.Option(metavar="NAME|K=V,...", help="Problem size; else the op's defaults.")] = "",
    toolchain: Annotated[str, typer.Option(metavar="'NAME VERSION'", help="Of the search; else not asked.")] = "",
    soft: Annotated[bool, typer.Option("--soft", help="Also forbid what may only be put last.")] = False,
    run: Annotated[str, typer.Option(metavar="RUN", help="With --format t4: the run to write.")] = "",
    folder: Annotated[
        Path | None, typer.Option("--set", metavar="DIR", help="With --format t4: a folder to make of every timed run.")
    ] = None,
    licence: Annotated[str, typer.Option(help="With --set: the licence that its datasheet states.")] = "not stated",
) -> None:
    """Print restrictions that Kernel Tuner accepts, and what they cannot say; or write recorded runs as T4 files.

    The JSON holds `tune_params` and `restrictions` for `tune_kernel`, `sources` (which law each is) and `cannot_say`.
    """
    import msgspec

    from spak import KgError
    from spak.cli.roots import open_library

    library = open_library(globals_of(ctx), toolchain)
    if folder is not None:
        _write_set(library, folder, ops=_names(op), hardware=_names(hw), licence=licence)
        return
    if form == "t4":
        if not run:
            raise KgError("--format t4: name the run with --run, or a folder for all with --set")
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


def _names(text: str) -> list[str]:
    return [name for name in map(str.strip, text.split(",")) if name]


def _write_set(library: Library, folder: Path, *, ops: list[str], hardware: list[str], licence: str) -> None:
    """Write an evidence set, and say what it is."""
    found = library.evidence_set(ops=ops, hardware=hardware, licence=licence)
    found.write(folder)
    trials, size = sum(one.trials for one in found.sittings), sum(map(len, found.files.values()))
    typer.echo(f"{folder}: {len(found.sittings)} sittings, {trials:,} trials, {size / 1e6:.1f} MB")
    typer.echo(f"SHA-256 of its checksums: {found.digest}")
