"""`tune first`: what to try first on some hardware, new or known."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from spak.cli.app import CommandExamples, globals_of

EXAMPLES: CommandExamples = (
    (
        "tune first --hw rtx5090 --op fmha --problem d64-s1024-causal",
        "ten configurations, from what other hardware recorded",
    ),
)


def command(
    ctx: typer.Context,
    hw: Annotated[str, typer.Option(help="The hardware; need not be known.")],
    op: Annotated[str, typer.Option(help="What will be tuned.")],
    arch: Annotated[str, typer.Option(help="Architecture of hardware the laws do not know.")] = "",
    vendor: Annotated[str, typer.Option(help="Vendor of hardware the laws do not know.")] = "",
    problem: Annotated[str, typer.Option(metavar="NAME|K=V,...", help="Problem size; else the op's defaults.")] = "",
    count: Annotated[int, typer.Option(metavar="N", min=1, help="How many.")] = 10,
    form: Annotated[Literal["text", "json"], typer.Option("--format", help="How to print.")] = "text",
) -> None:
    """Print the configurations to try first on some hardware, and what they come from.

    What was timed there at this problem size comes in the order of its times. The rest comes from what was recorded at
    other sizes and on other hardware, and from the laws; what laws may remove is left out.
    Of an op made from imports, the configurations are those that were recorded anywhere.
    """
    import msgspec

    from spak.cli.render.first import first_text
    from spak.cli.roots import open_laws
    from spak.kg.formats.nodes import HardwareName
    from spak.tuner.first import first

    found = first(open_laws(globals_of(ctx)), HardwareName(hw=hw, arch=arch, vendor=vendor), op, problem)
    configurations = found.best(count)
    if form == "json":
        content = {
            "hw": found.hw,
            "op": found.space.op,
            "problem": found.space.setting.problem,
            "space": len(found.space),
            "knowledge": [{"source": label, "weight": weight} for label, weight in found.sources],
            "configurations": configurations,
        }
        typer.echo(msgspec.json.format(msgspec.json.encode(content), indent=1).decode())
        return
    typer.echo(first_text(found, configurations), nl=False)
