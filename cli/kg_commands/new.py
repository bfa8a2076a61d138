"""`kg new`: the file of a new law."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from spak.cli import completion
from spak.cli.app import CommandExamples, globals_of

_Kind = Literal["positive", "negative", "indifferent", "invariant", "transformation"]

EXAMPLES: CommandExamples = (
    (
        "kg new --kind negative --hw sm_90 --op fmha --title 'Tiny tiles are slow' --avoid 'tile_m * tile_n <= 2048' --effect 'slowdown>=1.5'",
        "a claim that waits for evidence",
    ),
    (
        "kg new --kind positive --hw h200 --op fmha --title 'Use 64 x 64' --prefer tile_m=64,tile_n=64",
        "a setting to try first",
    ),
)


def command(
    ctx: typer.Context,
    kind: Annotated[_Kind, typer.Option(help="What the law says: use, avoid, ignore, never break, rewrite.")],
    hw: Annotated[str, typer.Option(autocompletion=completion.hardware, help="Hardware node it holds for.")],
    op: Annotated[str, typer.Option(autocompletion=completion.ops, help="Op it is about.")],
    title: Annotated[str, typer.Option(help="One line.")],
    identifier: Annotated[str, typer.Option("--id", help="Id; else made of hardware, op and title.")] = "",
    when: Annotated[str, typer.Option(metavar="EXPRESSION", help="Problem sizes it holds for.")] = "",
    dtype: Annotated[list[str] | None, typer.Option(help="Input dtype it covers; may be repeated.")] = None,
    toolchain: Annotated[str, typer.Option(help="Versions it holds for: 'tileiras >=13.4,<14'.")] = "",
    avoid: Annotated[str, typer.Option(metavar="EXPRESSION", help="negative: what to avoid.")] = "",
    prefer: Annotated[str, typer.Option(metavar="NAME=VALUE,...", help="positive: the setting to use.")] = "",
    over: Annotated[str, typer.Option(help="indifferent: the parameter; positive: the setting it beats.")] = "",
    values: Annotated[str, typer.Option(metavar="V,...", help="indifferent: values that tie.")] = "",
    within: Annotated[str, typer.Option(metavar="N%", help="indifferent: by how much the time may differ.")] = "",
    require: Annotated[str, typer.Option(metavar="EXPRESSION", help="invariant: what must hold.")] = "",
    otherwise: Annotated[str, typer.Option(help="invariant: what breaks if it does not.")] = "",
    source: Annotated[str, typer.Option("--from", help="transformation: the system it starts from.")] = "",
    to: Annotated[str, typer.Option(help="transformation: the system it leads to.")] = "",
    rewrite: Annotated[str, typer.Option(help="transformation: the rewrite in words.")] = "",
    check: Annotated[str, typer.Option(help="transformation: the check that proves equivalence.")] = "",
    effect: Annotated[
        str, typer.Option(metavar="NAME>=N,...", help="How much: slowdown>=1.2, cost<=0.01, spill_bytes>=1.")
    ] = "",
    because: Annotated[
        str, typer.Option(autocompletion=completion.mechanisms, help="Mechanism, a term of docs/glossary.md.")
    ] = "",
    origin: Annotated[str, typer.Option(help="Who found it, and in which runs or documents.")] = "by hand",
) -> None:
    """Write the file of a new law, proposed and without evidence, and print where it is.

    A law root with the new file in it must load; otherwise nothing is written.
    """
    from spak import Draft, load
    from spak.cli.roots import root_of
    from spak.kg.expression.assignment import parse_assignments, parse_scalar
    from spak.kg.files.scaffold import parse_bounds

    root = root_of(globals_of(ctx))
    root.require_writable()
    claim: dict[str, object] = {
        "prefer": parse_assignments(prefer, what="--prefer"),
        "avoid": avoid,
        "over": over if kind != "positive" or not over else [parse_assignments(over, what="--over")],
        "values": [parse_scalar(value.strip()) for value in values.split(",") if value.strip()],
        "within": within,
        "require": require,
        "otherwise": otherwise,
        "from": source,
        "to": to,
        "rewrite": rewrite,
        "check": check,
        "because": because,
        "effect": parse_bounds(effect),
    }
    scope = {"hw": hw, "op": op, "dtype": dtype or [], "when": when, "toolchain": toolchain}
    path = load(root.path).propose(Draft(kind, title, scope, claim, identifier, origin))
    typer.echo(str(path))
