"""`spak fleet`: start the processes of a fleet on this machine, and see who is in it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from spak.cli.app import EXIT_INTERRUPTED, CommandExamples
from spak.cli.roots import cache_directory

if TYPE_CHECKING:
    from spak import FleetProcesses, FleetRequest

_Action = Literal["up", "join", "status"]

EXAMPLES: CommandExamples = (
    ("spak fleet up --help", "a scheduler and the workers of this machine, which only it can reach"),
    ("spak fleet status --help", "who is there; then: tune --fleet .spak/fleet"),
)


def command(
    action: Annotated[
        _Action, typer.Argument(help="up: scheduler and workers here; join: workers here; status: who is there.")
    ],
    fleet: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="Of the fleet, or the folder of its keys; not for up.")
    ] = "",
    compilers: Annotated[
        int, typer.Option(min=-1, help="Processes that compile; -1: one for each core; 0: only measure.")
    ] = -1,
    no_gpus: Annotated[bool, typer.Option("--no-gpus", help="Only compile, also if there is a GPU.")] = False,
    listen: Annotated[
        str, typer.Option(metavar="HOST[:PORT]", help="Address at which other machines reach this one.")
    ] = "127.0.0.1",
    keys: Annotated[
        Path, typer.Option(help="Folder of the fleet's certificate and key; whoever has it belongs to the fleet.")
    ] = Path(".spak/fleet"),
    no_tls: Annotated[bool, typer.Option("--no-tls", help="No certificate; then nobody but this machine.")] = False,
) -> None:
    """Start machines that compile and measure for searches: tune --fleet ADDRESS.

    `up` starts a scheduler and workers, one for each GPU and one for each core that compiles, and ends them with Ctrl-C.
    Other machines `join` with a copy of its folder of keys. docs/fleet.md shows Slurm and Kubernetes too.
    It needs Dask: pip install 'spak[fleet]'.
    """
    from spak import FleetRequest, join_fleet, start_fleet

    if action == "status":
        typer.echo(_status(fleet or str(keys), keys), nl=False)
        return
    request = FleetRequest(
        keys=keys,
        compilers=(os.cpu_count() or 1) if compilers < 0 else compilers,
        cache=cache_directory(),
        gpus=not no_gpus,
        listen=listen,
        tls=not no_tls,
        say=lambda sentence: print(sentence, file=sys.stderr),  # noqa: T201 - progress goes to stderr
    )
    started = start_fleet(request) if action == "up" else join_fleet(fleet or str(keys), request)
    _stay(started, request)


def _stay(started: FleetProcesses, request: FleetRequest) -> None:
    """Say what was started, and end it with Ctrl-C: SIGINT too where a shell started it to ignore that, and SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        typer.echo(f"{started.address}  {len(started.members)} workers, keys in {request.keys}; Ctrl-C ends them")
        sys.stdout.flush()
        started.wait()
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    finally:
        started.close()


def _status(fleet: str, keys: Path) -> str:
    """A line for each worker."""
    from spak import open_fleet

    with open_fleet(fleet, keys) as machines:
        members = machines.members()
    rows = [(one.member.name, one.member.host, one.said.gpu or "compiles", one.said.version) for one in members]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, f"{len(rows)} workers"]) + "\n"
