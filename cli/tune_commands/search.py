"""`tune search`: search a kernel's space under the laws, on this machine's GPU or by the compiler alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from spak.cli import completion
from spak.cli.app import EXIT_INTERRUPTED, CommandExamples, Globals, globals_of
from spak.tuner.backend.registry import AUTO, making
from spak.tuner.strategy import registry

_Format = Literal["table", "json"]
if TYPE_CHECKING:
    from spak import SearchRequest, Surroundings, TargetsRequest

    Backend = str
else:
    Backend = Literal[AUTO, *(entry.name for entry in making())]

EXAMPLES: CommandExamples = (
    ("tune --use-laws", "the default kernel on the GPU found, else by the compiler alone"),
    (
        "tune fmha --hw h200 --backend compile --use-laws --budget 2 --dry-run",
        "two trials without a GPU; writes nothing",
    ),
    ("tune matmul --problem all --use-laws", "every problem size in one search, each hears of the others"),
)

_Kernel = Annotated[
    str,
    typer.Argument(
        autocompletion=completion.ops,
        help="Kernel to search, a file that declares one, or a system; else the default of the laws.",
    ),
]
_Hardware = Annotated[
    str,
    typer.Option(
        autocompletion=completion.hardware,
        help="Hardware to search for, several with commas between, or all; else the GPU found, else the default of the "
        "laws.",
    ),
]
_BackendName = Annotated[
    Backend,
    typer.Option(
        help=f"{'; '.join(f'{e.name}: {e.description}' for e in making())}; {AUTO}: the first that runs here."
    ),
]
_UseLaws = Annotated[
    bool, typer.Option("--use-laws/--no-laws", help="Obey what is known, or search as if nothing were.")
]
_NoTransfer = Annotated[bool, typer.Option("--no-transfer", help="Ignore laws of related hardware, and recorded runs.")]
_Problem = Annotated[
    str,
    typer.Option(
        metavar="NAME|K=V,...|all",
        help="Problem size: a name of the op's list, several with commas between, all of them, or one in values.",
    ),
]
_Fleet = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Compile and measure on a fleet: its address, or the folder of its keys.")
]
_Audit = Annotated[float, typer.Option(min=0, max=1, help="Share of the trials spent where the laws say not to look.")]
_StrategyName = Annotated[
    str,
    typer.Option(
        help=f"How to choose what to try next: {registry.listed()}; else {registry.default(informed=True)} "
        f"under laws, {registry.default(informed=False)} without or with --no-transfer."
    ),
]

_Confirm = Annotated[
    float, typer.Option(min=0, max=0.9, help="Share of trials and seconds kept for testing what the search suggests.")
]
_Weights = Annotated[
    str, typer.Option(metavar="NAME=N,...", help="Of many targets: what the time of a problem size counts; else 1.")
]
_NoFlow = Annotated[bool, typer.Option("--no-flow", help="Of many targets: none hears what the others try.")]


def command(
    ctx: typer.Context,
    kernel: _Kernel = "",
    hw: _Hardware = "",
    backend: _BackendName = AUTO,
    use_laws: _UseLaws = False,
    no_transfer: _NoTransfer = False,
    problem: _Problem = "",
    budget: Annotated[int | None, typer.Option(metavar="N", min=1, help="Most trials.")] = None,
    seconds: Annotated[float | None, typer.Option(metavar="S", min=0, help="Most seconds, tests included.")] = None,
    strategy: _StrategyName = "",
    seed: Annotated[int, typer.Option(min=0, help="Draws everything random.")] = 0,
    audit: _Audit = 0.05,
    confirm: _Confirm = 0.25,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; print the diff of the laws.")] = False,
    no_write: Annotated[bool, typer.Option("--no-write", help="Keep the run file but touch no law.")] = False,
    weights: _Weights = "",
    no_flow: _NoFlow = False,
    resume: Annotated[str, typer.Option(metavar="RUN", help="Go on with an interrupted search.")] = "",
    fleet: _Fleet = "",
    verbose: Annotated[bool, typer.Option("--verbose", help="More rows, and what each law did.")] = False,
    form: Annotated[_Format, typer.Option("--format", help="How to print.")] = "table",
) -> None:
    """Search a kernel's space: compile, check, measure or predict, rank, and write back what was learned.

    With --fleet other machines do it, and this one needs neither GPU nor compiler: see spak fleet --help.
    Without a GPU it searches by the compiler alone: the times are predicted, and nothing is called measured.
    The default configuration is always tried, and a share of the trials goes where the laws say not to look.
    Of a space above 65,536 configurations a strategy that starts from recorded runs searches a part: what was recorded
    elsewhere, what is near the best of it, and a random sample.
    Several problem sizes or devices are one search of many targets, which hear of each other; --budget is that of all.
    The name of a system searches its operators one after the other, those that take the most time first: --budget is then
    that of each, --seconds that of all. Where a kernel has the name too, the kernel is searched.
    """
    from spak import SearchRequest

    state = globals_of(ctx)
    request = SearchRequest(
        kernel=kernel,
        hw=hw,
        backend=backend,
        use_laws=use_laws,
        transfer=not no_transfer,
        problem=problem,
        trials=budget,
        seconds=seconds,
        strategy=strategy,
        seed=seed,
        audit=audit,
        confirm=confirm,
        write="nothing" if dry_run else "run" if no_write else "laws",
        resume=resume,
    )
    with _around(state, _outside(kernel, resume), fleet or _fleet_of(resume), hw) as around:
        shape = _Shape(form, state.colour, verbose)
        text, interrupted = _run(request, {"weights": weights, "flow": not no_flow}, around, shape)
    typer.echo(text, nl=False)
    if interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)


@contextmanager
def _around(state: Globals, own: str, fleet: str, hw: str) -> Iterator[Surroundings]:
    """This machine, or a fleet where one is named."""
    from spak.cli.surroundings import LOCAL, surroundings

    with surroundings(state, own) as around:
        if not fleet:
            yield around
            return
        from spak import open_fleet

        with open_fleet(fleet, LOCAL / "fleet") as machines:
            yield machines.surroundings(around, hw)


def _outside(kernel: str, resume: str) -> str:
    """What names a kernel that lies outside this repository; empty for one of this repository, or a system."""
    from spak import outside_name
    from spak.cli.surroundings import LOCAL

    return outside_name(kernel, LOCAL, resume)


def _fleet_of(resume: str) -> str:
    """The fleet that a search ran on which is resumed, unless another one is named."""
    from spak import fleet_of
    from spak.cli.surroundings import LOCAL

    return fleet_of(LOCAL, resume)


@dataclass(frozen=True)
class _Shape:
    """How the answer is printed."""

    form: _Format
    colour: bool
    verbose: bool


def _run(request: SearchRequest, among: dict[str, Any], around: Surroundings, shape: _Shape) -> tuple[str, bool]:
    """What to print, and whether the search was interrupted: of many targets, dealt with as `among` says, a system, or a kernel."""
    from spak import TargetsRequest, TunerError, names_system, names_targets
    from spak.cli.surroundings import LOCAL

    if names_targets(request, LOCAL):
        return _of_targets(TargetsRequest(**vars(request), **among), around, shape)
    if among != {"weights": "", "flow": True}:
        raise TunerError("--weights and --no-flow are about several problem sizes or devices; name them")
    if names_system(around.laws, request.kernel):
        return _of_system(request, around, shape)
    return _of_kernel(request, around, shape)


def _of_kernel(request: SearchRequest, around: Surroundings, shape: _Shape) -> tuple[str, bool]:
    """What to print, and whether the search was interrupted."""
    from spak import search
    from spak.cli.render import search as render_search
    from spak.cli.render.text import Pen

    found = render_search.from_here(search(request, around), Path.cwd())
    if shape.form == "json":
        return render_search.json_text(found), found.report.interrupted
    return render_search.trial_table(found, Pen(shape.colour), verbose=shape.verbose), found.report.interrupted


def _of_targets(request: TargetsRequest, around: Surroundings, shape: _Shape) -> tuple[str, bool]:
    """The same of many targets."""
    from spak import search_targets
    from spak.cli.render import targets as render_targets
    from spak.cli.render.text import Pen

    found = search_targets(request, around)
    if shape.form == "json":
        return render_targets.targets_json(found), found.interrupted
    text = render_targets.target_table(found, Pen(shape.colour), Path.cwd(), verbose=shape.verbose)
    return text, found.interrupted


def _of_system(request: SearchRequest, around: Surroundings, shape: _Shape) -> tuple[str, bool]:
    """The same of a system."""
    from spak import SystemRequest, search_system
    from spak.cli.render import system as render_system
    from spak.cli.render.text import Pen

    found = search_system(SystemRequest(request.kernel, request), around)
    if shape.form == "json":
        return render_system.operators_json(found), found.interrupted
    return render_system.operator_table(found, Pen(shape.colour)), found.interrupted
