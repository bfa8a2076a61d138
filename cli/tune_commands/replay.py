"""`tune replay`: search recorded measurements as if they were live."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from spak.cli.app import CommandExamples, globals_of
from spak.tuner.strategy import registry

EXAMPLES: CommandExamples = (
    (
        "tune replay laws/evidence/measured-h200-fmha-d64-s1024-causal.json --hw h200 --op fmha --budget 30",
        "30 trials of a search, times from the record",
    ),
)


def command(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="T4 results, a Kernel Tuner cache, or a run file; .gz is fine.")],
    hw: Annotated[str, typer.Option(help="Where it was measured; need not be known.")],
    op: Annotated[str, typer.Option(help="What was measured; need not be known.")],
    arch: Annotated[str, typer.Option(help="Architecture of hardware the laws do not know.")] = "",
    vendor: Annotated[str, typer.Option(help="Vendor of hardware the laws do not know.")] = "",
    use_laws: Annotated[
        bool, typer.Option("--use-laws/--no-laws", help="Use laws and runs of other hardware.")
    ] = False,
    own_runs: Annotated[
        Literal["none", "other-problems", "all"], typer.Option(help="Which runs of this hardware and op take part.")
    ] = "none",
    budget: Annotated[int | None, typer.Option(metavar="N", min=1, help="Most trials; else the whole space.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws everything random.")] = 0,
    strategy: Annotated[
        str,
        typer.Option(
            help=f"{', '.join(registry.STRATEGIES)}; else {registry.default(informed=True)} if anything is known."
        ),
    ] = "",
    audit: Annotated[float, typer.Option(min=0, max=1, help="Share spent where laws say not to look.")] = 0.05,
    form: Annotated[Literal["text", "json"], typer.Option("--format", help="How to print.")] = "text",
) -> None:
    """Search recorded measurements as if they were live, and say how many evaluations it took.

    The same loop and strategies as a live search; what a trial cost is read from the record.
    Runs of the same hardware and op in the law root take no part unless asked for.
    """
    from spak.cli.render.replay import as_json, as_text
    from spak.cli.roots import open_laws
    from spak.kg.formats.nodes import HardwareName
    from spak.kg.formats.reader import read_recording
    from spak.tuner.replay import Replay, replay

    what = Replay(
        hardware=HardwareName(hw=hw, arch=arch, vendor=vendor),
        op=op,
        laws=open_laws(globals_of(ctx)) if use_laws else None,
        strategy=strategy,
        budget=budget,
        seed=seed,
        audit=audit,
        own_runs=own_runs,
    )
    recording = read_recording(file)
    for note in recording.notes:
        typer.echo(f"note: {note}", err=True)
    done = replay(recording, what)
    typer.echo(as_json(done, what) if form == "json" else as_text(done), nl=False)
