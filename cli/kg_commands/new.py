"""`kg new`: the file of a new law."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from cli.app import globals_of

Kind = Literal["positive", "negative", "indifferent", "invariant", "transformation"]


def command(
    ctx: typer.Context,
    kind: Annotated[Kind, typer.Option(help="What the law says: use, avoid, ignore, never break, rewrite.")],
    hw: Annotated[str, typer.Option(help="Hardware node it holds for.")],
    op: Annotated[str, typer.Option(help="Op it is about.")],
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
    because: Annotated[str, typer.Option(help="Mechanism, a term of docs/glossary.md.")] = "",
) -> None:
    """Write the file of a new law, proposed and without evidence, and print where it is.

    A law root with the new file in it must load; otherwise nothing is written.
    """
    from cli.law_files import root_of
    from kg.assignment import parse_assignments, parse_scalar
    from kg.loader import load
    from kg.scaffold import Draft, write_new

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
    }
    scope = {"hw": hw, "op": op, "dtype": dtype or [], "when": when, "toolchain": toolchain}
    path = write_new(load(root.path), Draft(kind, title, scope, claim, identifier))
    typer.echo(str(path))
