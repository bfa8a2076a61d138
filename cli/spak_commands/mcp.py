"""`spak mcp`: the laws as a server for coding agents and editors."""

from __future__ import annotations

from typing import Annotated

import typer

from spak.cli.app import CommandExamples, globals_of
from spak.cli.roots import AskedToolchain, asked_toolchain, open_root

EXAMPLES: CommandExamples = (
    ("spak mcp --config", "what to paste into a client's configuration"),
    ("spak mcp --laws laws", "the server itself, which a client starts"),
)


def command(
    ctx: typer.Context,
    config: Annotated[bool, typer.Option("--config", help="Print the entry for a client's JSON, and end.")] = False,
    toolchain: AskedToolchain = "",
) -> None:
    """Answer coding agents and editors about laws and recorded runs, by the Model Context Protocol on stdin and stdout.

    A client starts it; docs/agents.md shows how. It writes no file, and what changes in the law root is seen at the next
    question. It needs the package mcp: pip install 'spak[mcp]'.
    """
    from spak import client_config, serve_agents

    state = globals_of(ctx)
    if config:
        typer.echo(client_config(open_root(state).path if state.laws else None))
        return
    serve_agents(state.laws, toolchain=asked_toolchain(toolchain))
