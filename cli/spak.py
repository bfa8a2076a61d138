"""`spak`: what other programs talk to. One line here for each command; its module loads when it is invoked."""

from __future__ import annotations

import os
import sys

from spak.cli.app import CommandEntry, build_app, run_app

COMMANDS: dict[str, CommandEntry] = {
    "fleet": CommandEntry("spak.cli.spak_commands.fleet", "Machines that work for a search: start them, see them."),
    "mcp": CommandEntry("spak.cli.spak_commands.mcp", "Laws for coding agents and editors: an MCP server."),
}

HELP = "What is known about kernels on GPUs, for other programs."


def main() -> None:
    """Run `spak` on the process's arguments and exit."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in `tune`
    sys.exit(run_app(build_app(registry=COMMANDS, help_text=HELP), "spak"))


if __name__ == "__main__":
    main()
