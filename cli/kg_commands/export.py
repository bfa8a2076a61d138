"""`kg export`: what is known, in the formats of other tools."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from spak.cli.app import CommandExamples, globals_of
from spak.kg.expression.assignment import parse_assignments

EXAMPLES: CommandExamples = (
    ("kg export --hw rtx5070 --op fmha", "tune_params and restrictions for tune_kernel"),
    (
        "kg export --hw h200 --op fmha --problem head_dim=64 --soft",
        "laws that only postpone are restrictions as well",
    ),
    ("kg export --format t4 --run measured-h200-fmha-d64-s1024-causal", "a run for tools that read T4"),
)


def command(
    ctx: typer.Context,
    form: Annotated[
        Literal["kernel-tuner", "t4"], typer.Option("--format", help="kernel-tuner: restrictions; t4: one run.")
    ] = "kernel-tuner",
    hw: Annotated[str, typer.Option(help="Hardware of the search.")] = "",
    op: Annotated[str, typer.Option(help="Op of the search.")] = "",
    problem: Annotated[str, typer.Option(metavar="NAME=VALUE,...", help="Problem size; else the op's defaults.")] = "",
    toolchain: Annotated[str, typer.Option(metavar="'NAME VERSION'", help="Of the search; else not asked.")] = "",
    soft: Annotated[bool, typer.Option("--soft", help="Also forbid what may only be put last.")] = False,
    run: Annotated[str, typer.Option(metavar="RUN", help="With --format t4: the run to write.")] = "",
) -> None:
    """Print restrictions that Kernel Tuner accepts, and what they cannot say; or one run as a T4 file.

    The JSON holds `tune_params` and `restrictions` for `tune_kernel`, `sources` (which law each is) and `cannot_say`.
    """
    import msgspec

    from spak.cli.roots import open_laws
    from spak.kg.errors import KgError
    from spak.kg.formats.kernel_tuner_export import export
    from spak.kg.formats.t4_writer import write_t4
    from spak.kg.model.taxonomy import Taxonomy

    laws = open_laws(globals_of(ctx))
    if form == "t4":
        if not run:
            raise KgError("--format t4: name the run with --run")
        typer.echo(write_t4(laws.run(run)).decode())
        return
    if not hw or not op:
        raise KgError("--format kernel-tuner: name the search with --hw and --op")
    op_id = Taxonomy("op", laws.ops).resolve(op)
    defaults = {name: parameter.default for name, parameter in laws.ops[op_id].problem.items()}
    hardware = Taxonomy("hardware", laws.hardware).resolve(hw)
    known = {**defaults, **parse_assignments(problem, what="--problem")}
    found = export(laws, hardware, op_id, known, toolchain=toolchain, soft=soft)
    typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
