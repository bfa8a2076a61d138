"""`kg verify`: a law's own experiment again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from spak.cli import completion
from spak.cli.app import Globals, globals_of
from spak.cli.roots import open_library, open_root
from spak.kg.errors import KgError
from spak.tuner.backend.registry import BACKENDS

if TYPE_CHECKING:
    from spak import Library, Verification, VerifyRequest

    Backend = str
else:
    Backend = Literal[tuple(reversed(BACKENDS))]

EXAMPLES = (
    ("kg verify sm120-fmha-128x128-spills", "each run that can speak: verdict, effect, and the status that gives"),
    ("kg verify attention-finite-mask-floor --probe", "its check again on fresh inputs, written as evidence"),
    (
        "kg verify sm120-fmha-128x128-spills --note --found compiled-sm_120-fmha-d128-causal-fp16",
        "add what recorded runs say; the one in which it was found suggests",
    ),
    ("kg verify --all", "every law; exit 1 if its evidence is not what the recorded runs say"),
)


def command(
    ctx: typer.Context,
    law: Annotated[str, typer.Argument(autocompletion=completion.laws, help="Id of a law; left out with --all.")] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Every law, by replay; exit 1 only on differences.")
    ] = False,
    backend: Annotated[Backend, typer.Option(help="Judge recorded trials, or make new ones.")] = "replay",
    hw: Annotated[str, typer.Option(help="Where to try it; else the law's hardware, or the GPU found.")] = "",
    problems: Annotated[int, typer.Option(min=1, help="Most problem sizes for new trials.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Draws the configurations of new trials, and a check's inputs.")] = 0,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Break a law about safety on purpose, in a process of its own, or execute a check for evidence.",
        ),
    ] = False,
    note: Annotated[
        bool, typer.Option("--note", help="With replay: add what recorded runs say and the law's file lacks.")
    ] = False,
    found: Annotated[
        list[str] | None,
        typer.Option(
            "--found", metavar="RUN", help="With --note: a run in which the law was found, which never confirms it."
        ),
    ] = None,
    form: Annotated[
        Literal["text", "json"], typer.Option("--format", help="With --all: json is what kg review compares.")
    ] = "text",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; show how the laws would change.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Every judgement, not the most telling.")] = False,
) -> None:
    """Repeat a law's experiment; exit 0 if trials support it, 1 if they refute it, differ or cannot tell.

    Replay judges the law by every recorded run that can speak of it, and checks that its evidence is what the trials
    of its runs say; the check that it names is executed too. It writes nothing but, with --note, what the
    evidence lacks. Compile and gpu try configurations that the law names, and others, at its problem sizes, and write
    the run and what it says; so does --probe with a law's check.
    """
    state = globals_of(ctx)
    library = open_library(state)
    if everything == bool(law) or (everything and (probe or backend != "replay")):
        raise KgError("name one law, or --all with --backend replay")
    if note and (probe or backend != "replay"):
        raise KgError("--note is for recorded runs; new trials are noted unless --dry-run says not to")
    _refuse_alone(form, found, law, note=note)
    if note:
        open_root(state).require_writable()
    if everything:
        _every(library, seed, note=note, form=form)
    library.laws.path("law", law)  # names the nearest if there is none
    if backend == "replay" and not probe:
        from spak import verify

        _replayed(state, library, verify(library, [law], seed=seed, found=found or ()), note=note, verbose=verbose)
    else:
        from spak import VerifyRequest

        _repeated(state, VerifyRequest(law, backend, hw, problems, seed, not dry_run, probe), verbose=verbose)


def _refuse_alone(form: str, found: list[str] | None, law: str, *, note: bool) -> None:
    """Refuse options without what they are for.

    Raises:
        KgError: If there is one.
    """
    if form != "text" and (note or law):
        raise KgError("--format json is for --all, without --note")
    if found and not (law and note):
        raise KgError("--found says of one law, with --note, in which run it was found")


def _every(library: Library, seed: int, *, note: bool, form: str) -> None:
    from spak import statuses, verify
    from spak.cli.render.verify import statuses_json, summary

    found = verify(library, seed=seed)
    if form == "json":
        typer.echo(statuses_json(statuses(library, found)), nl=False)
    for one in found:
        if form == "text":
            typer.echo(summary(one))
        if note:
            _note(library, one)
    raise typer.Exit(any(one.differing or (one.after != one.before and not note) for one in found))


def _replayed(state: Globals, library: Library, judged: tuple[Verification, ...], *, note: bool, verbose: bool) -> None:
    from spak.cli.render.text import Pen
    from spak.cli.render.verify import verification

    (found,) = judged
    typer.echo(verification(found, Pen(state.colour), verbose=verbose), nl=False)
    if note:
        _note(library, found)
    raise typer.Exit(not found.holds)


def _note(library: Library, found: Verification) -> None:
    from spak import note

    if count := note(library.laws, found):
        typer.echo(f"{found.law}: noted {count} run{'s' if count > 1 else ''}")


def _repeated(state: Globals, request: VerifyRequest, *, verbose: bool) -> None:
    from spak import repeat
    from spak.cli.render.text import Pen
    from spak.cli.render.verify import verification
    from spak.cli.surroundings import surroundings
    from spak.tuner.learn.writeback import diff

    with surroundings(state) as around:
        done = repeat(request, around)
    typer.echo(verification(done.found, Pen(state.colour), verbose=verbose), nl=False)
    if request.write:
        for change in done.changes:
            typer.echo(f"law: {change.law}: {change.words}")
    else:
        typer.echo(diff(done.changes), nl=False)
    raise typer.Exit(not done.found.holds)
