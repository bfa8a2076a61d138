"""`spak fleet`: start the processes of a fleet on this machine, and see who is in it."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from spak.cli.app import EXIT_INTERRUPTED, CommandExamples
from spak.cli.roots import cache_directory
from spak.kg.visible import line

if TYPE_CHECKING:
    from spak import FleetProcesses, SeenWorker

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
        str, typer.Option(metavar="HOST[:PORT]", help="Address, name or interface by which others reach this machine.")
    ] = "127.0.0.1",
    keys: Annotated[
        Path, typer.Option(help="Folder of the fleet's certificate and key; whoever has it belongs to the fleet.")
    ] = Path(".spak/fleet"),
    workers: Annotated[
        int, typer.Option(min=0, metavar="N", help="status: ends with 1 unless so many workers are there.")
    ] = 0,
    seconds: Annotated[float, typer.Option(min=0, help="status: wait so long for the fleet and its workers.")] = 0.0,
    form: Annotated[Literal["text", "json"], typer.Option("--format", help="How to print status.")] = "text",
    no_tls: Annotated[bool, typer.Option("--no-tls", help="No certificate; then nobody but this machine.")] = False,
) -> None:
    """Start machines that compile and measure for searches: tune --fleet ADDRESS.

    `up` starts a scheduler and workers, one for each GPU and one for each core that compiles, and ends them with Ctrl-C.
    Other machines `join` with a copy of its folder of keys. docs/fleet.md shows Slurm and Kubernetes too.
    It needs Dask: pip install 'spak[fleet]'.
    """
    from spak import FleetRequest, join_fleet, start_fleet

    if action == "status":
        _tell_status(fleet or str(keys), keys, StatusQuestion(workers, seconds, form))
        return
    request = FleetRequest(
        keys=keys,
        compilers=None if compilers < 0 else compilers,
        cache=cache_directory(),
        gpus=not no_gpus,
        listen=listen,
        tls=not no_tls,
        say=lambda sentence: print(sentence, file=sys.stderr),  # noqa: T201 - progress goes to stderr
    )
    started = start_fleet(request) if action == "up" else join_fleet(fleet or str(keys), request)
    _stay(started)


def _stay(started: FleetProcesses) -> None:
    """Say what was started, and end it with Ctrl-C: SIGINT too where a shell started it to ignore that, and SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        typer.echo(f"{started.address}  {len(started.members)} workers, keys in {started.keys}; Ctrl-C ends them")
        sys.stdout.flush()
        started.wait()
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    finally:
        started.close()


@dataclass(frozen=True)
class StatusQuestion:
    """What `status` is asked: for how many workers and how long to wait, and how to print."""

    workers: int = 0
    seconds: float = 0.0
    form: str = "text"


def _tell_status(fleet: str, keys: Path, asked: StatusQuestion) -> None:
    """Print who is there; 1 if these are too few."""
    from spak import open_fleet

    until = time.monotonic() + asked.seconds
    with open_fleet(fleet, keys, within_s=asked.seconds) as machines:
        enough = machines.gather(asked.workers, max(0.0, until - time.monotonic()))
        seen = machines.seen()
    data = {"workers": [asdict(worker) for worker in seen]}
    typer.echo(json.dumps(data, indent=2) + "\n" if asked.form == "json" else _status(seen), nl=False)
    if not enough:
        raise typer.Exit(1)


def _status(seen: Sequence[SeenWorker]) -> str:
    """A line for each worker."""
    table = [[line(text) for text in (one.name, one.host, _does(one), one.version)] for one in seen]
    widths = [max((len(row[column]) for row in table), default=0) for column in range(4)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join([*lines, f"{len(table)} workers"]) + "\n"


def _does(worker: SeenWorker) -> str:
    return worker.gpu or ("busy" if worker.busy else "compiles")
