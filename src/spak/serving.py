"""The laws as a server that coding agents and editors talk to, and what a client needs to start it."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from spak.kg.errors import KgError
from spak.live import LiveLibrary

_SERVER = "spak.agents.server"
"""By name: it needs the package mcp, and stands on the public face, of which this module is a part."""

_MAJOR = "2"
"""Version of the package `mcp` whose interface the server is written for."""


def serve_agents(path: str | Path | None = None, *, toolchain: str | None = None) -> None:
    """Answer a client over stdin and stdout by the Model Context Protocol until it goes away; nothing is written.

    A law root that is missing or broken is told the client at each question, and seen once it is whole.

    Args:
        path: A folder of laws, as for `load`.
        toolchain: As for `load`.

    Raises:
        KgError: If the package `mcp` is missing or of another major version.
    """
    _require_mcp()
    import_module(_SERVER).run_stdio(LiveLibrary(path, toolchain=toolchain).now)


def client_config(path: str | Path | None = None) -> str:
    """The entry that makes a client start the server, as the JSON most of them read; `path` as for `load`."""
    laws = [] if path is None else ["--laws", str(Path(path).resolve())]
    entry = {"command": sys.executable, "args": ["-m", "spak.cli.spak", "mcp", *laws]}
    return json.dumps({"mcpServers": {"spak": entry}}, indent=2)


def _require_mcp() -> None:
    try:
        found = version("mcp")
    except PackageNotFoundError:
        found = ""
    if found.partition(".")[0] != _MAJOR:
        got = f"version {found} is installed" if found else "it is not installed"
        raise KgError(f"the server needs the package mcp, version {_MAJOR}; {got}: pip install 'spak[mcp]'")
