"""`kg import`: other people's measurements become run files of a law root."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from spak.cli.app import CommandExamples, globals_of
from spak.kg.expression.assignment import parse_assignments

EXAMPLES: CommandExamples = (
    (
        "kg import results.json --hw rtx3080 --op convolution --arch ampere --vendor nvidia",
        "a T4 file of a GPU and an op that are new here",
    ),
    (
        "kg import results.json --hw h200 --op blur --problem-parameters use_padding",
        "each value of a parameter is a problem size",
    ),
)

_SHOWN = 8
"""Files named: many problem sizes are as many runs."""


def command(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="T4 results, a Kernel Tuner cache, or a run file; .gz is fine.")],
    hw: Annotated[str, typer.Option(help="Where it was measured; registered if new.")],
    op: Annotated[str, typer.Option(help="What was measured; registered if new.")],
    arch: Annotated[str, typer.Option(help="Architecture or compute capability of new hardware, if you know it.")] = "",
    vendor: Annotated[str, typer.Option(help="Vendor of new hardware, if you know it.")] = "",
    space: Annotated[str, typer.Option(metavar="T1.json", help="T1 file that declares the op's space.")] = "",
    problem: Annotated[str, typer.Option(metavar="NAME=VALUE,...", help="Problem size, over what FILE says.")] = "",
    problem_parameters: Annotated[
        str,
        typer.Option(metavar="NAME,...", help="Parameters of FILE that are of the problem, else those that T1 says."),
    ] = "",
    form: Annotated[Literal["text", "json"], typer.Option("--format", help="How to print.")] = "text",
) -> None:
    """Import one result file, whole or not at all; the same results twice change nothing.

    An op made from results alone is open: its values are the union of its imports. With --space it is closed, and a
    result outside it is refused. Each combination of values of --problem-parameters is a problem size, and a run, of its own.
    """
    import msgspec

    from spak import HardwareName, Import, find_root, import_file

    state = globals_of(ctx)
    if state.laws is not None and not Path(state.laws).exists():
        root = Path(state.laws)
    else:
        found = find_root(state.laws, Path.cwd())
        found.require_writable()
        root = found.path
    what = Import(
        file=file,
        hardware=HardwareName(hw=hw, arch=arch, vendor=vendor),
        op=op,
        space=Path(space) if space else None,
        problem=parse_assignments(problem, what="--problem"),
        problem_parameters=tuple(filter(None, map(str.strip, problem_parameters.split(",")))),
    )
    done = import_file(root, what, datetime.now(UTC))
    if form == "json":
        typer.echo(msgspec.json.format(msgspec.json.encode(done, enc_hook=str), indent=2).decode())
        return
    for note in done.notes:
        typer.echo(f"note: {note}", err=True)
    if not done.written:
        typer.echo(f"{done.run}: these results are there already; nothing changed")
        return
    sizes = f" at {len(done.runs)} problem sizes" if len(done.runs) > 1 else ""
    typer.echo(f"{done.run}:" if not sizes else f"{len(done.runs)} runs, the first {done.run}:")
    typer.echo(f"  {done.trials} configurations of {done.op} on {done.hw}{sizes}, {done.failures} of them failed")
    for path in done.written[:_SHOWN]:
        typer.echo(f"  wrote {path}")
    if len(done.written) > _SHOWN:
        typer.echo(f"  and {len(done.written) - _SHOWN} more files, see --format json")
