"""`kg query`: what is known about an op on a piece of hardware, why, and how sure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

import typer

from spak.cli import completion
from spak.cli.app import CommandExamples, globals_of
from spak.cli.roots import AskedToolchain, KnownProblem, asked_toolchain, open_library
from spak.kg.expression.assignment import check_names

_Format = Literal["table", "json", "yaml", "markdown"]
_STATUSES = ("proposed", "confirmed", "contested", "refuted", "withdrawn")

EXAMPLES: CommandExamples = (
    ("kg query --hw rtx5070 --op attention", "everything known, inherited and transferred laws included"),
    (
        "kg query --hw sm_120 --op fmha --problem head_dim=64,causal=true --kind negative",
        "what to avoid at one problem size",
    ),
    ("kg query --hw h200 --op fmha --format json", "the same for a program"),
)


def command(
    ctx: typer.Context,
    hw: Annotated[
        str,
        typer.Option(
            autocompletion=completion.hardware,
            help="Hardware: rtx5070, sm_120, blackwell, or what a driver calls the device.",
        ),
    ],
    op: Annotated[str, typer.Option(autocompletion=completion.ops, help="Op: an id or an alias.")],
    kind: Annotated[str, typer.Option(metavar="KIND,...", help="Only laws of these kinds.")] = "",
    status: Annotated[str, typer.Option(metavar="STATUS,...", help="Only these; else all but withdrawn.")] = "",
    param: Annotated[str, typer.Option(metavar="NAME,...", help="Only laws about these names.")] = "",
    problem: KnownProblem = "",
    toolchain: AskedToolchain = "",
    everything: Annotated[
        bool, typer.Option("--all", help="In a table, every law of relatives, not the nearest 20.")
    ] = False,
    form: Annotated[_Format, typer.Option("--format", help="How to print.")] = "table",
) -> None:
    """What is known about an op on a piece of hardware: per knob what to use, avoid, ignore, and never do.

    Laws stated for what the hardware is (rtx5070 is an sm_120) are inherited; laws of relatives are transferred and
    only order a search. A law with a condition is shown with it unless --problem decides it.
    """
    from spak.cli.render.text import Pen
    from spak.kg.answers.query import answer_json
    from spak.kg.law.kinds import KINDS

    state = globals_of(ctx)
    library = open_library(state, asked_toolchain(toolchain))
    kinds, statuses = _chosen(kind, KINDS, what="--kind"), _chosen(status, _STATUSES, what="--status")
    params, pen = frozenset(_names(param)), Pen(state.colour)
    if form == "table" and not everything:
        from spak.cli.render.short_answer import short_table

        few = library.brief(hw=hw, op=op, problem=problem, kinds=kinds, statuses=statuses, params=params)
        typer.echo(short_table(few, library.laws, pen), nl=False)
        return
    answer = library.query(hw=hw, op=op, problem=problem, kinds=kinds, statuses=statuses, params=params)
    if form == "json":
        typer.echo(answer_json(answer), nl=False)
        return
    from spak.cli.render import query as render_query

    if form == "table":
        typer.echo(render_query.table(answer, library.laws, pen), nl=False)
    elif form == "markdown":
        typer.echo(render_query.answer_markdown(answer, library.laws), nl=False)
    else:
        typer.echo(render_query.answer_yaml(answer), nl=False)


def _chosen(text: str, choices: Collection[str], *, what: str) -> frozenset[str]:
    """The choices named in `text` (`negative,positive`); empty means none was made."""
    names = _names(text)
    check_names(names, choices, kind=what)
    return frozenset(names)


def _names(text: str) -> list[str]:
    return [name for name in map(str.strip, text.split(",")) if name]
