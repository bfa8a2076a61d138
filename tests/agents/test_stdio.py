"""`spak mcp` as a client starts it: one process, the real client, a law root that may not be written."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys

import anyio
import pytest
from mcp import Client, StdioServerParameters, stdio_client

from spak.agents.tools import TOOLS
from spak.cli.app import build_app, run_app
from spak.cli.spak import COMMANDS, HELP
from tests import workplace
from tests.agents.conftest import law, make_root
from tests.agents.test_server import CALLS, WHERE


def digests(folder):
    """Every file with its bytes, git's own among them but for what `git status` itself rewrites."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "index")
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """One conversation: every tool, every kind of document, then files that change and break; what was said and seen."""
    folder = tmp_path_factory.mktemp("stdio")
    root, home = make_root(folder), folder / "home"
    home.mkdir()
    workplace.git(folder, "init", "-q")
    workplace.git(folder, "add", "-A")
    workplace.git(folder, "commit", "-q", "-m", "laws")
    where = workplace.environment("KG_LAWS") | {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "PYTHONPATH": f"{workplace.ROOT}/src:{workplace.ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    start = StdioServerParameters(
        command=sys.executable, args=["-m", "spak.cli.spak", "mcp", "--laws", str(root)], env=where, cwd=folder
    )
    seen = {"root": root, "home": home, "folder": folder}

    async def conversation():
        async with Client(stdio_client(start)) as client:
            seen["server"], seen["instructions"] = client.server_info, client.instructions
            seen["tools"] = (await client.list_tools()).tools
            for path in [root, *root.rglob("*")]:
                path.chmod(0o555 if path.is_dir() else 0o444)
            before = digests(folder)
            seen["calls"] = {tool: await client.call_tool(tool, asked) for tool, asked in CALLS.items()}
            resources = (await client.list_resources()).resources
            seen["documents"] = [await client.read_resource(one.uri) for one in resources]
            seen["unchanged"] = digests(folder) == before
            seen["git"] = workplace.git(folder, "status", "--porcelain")
            for path in [root, *root.rglob("*")]:
                path.chmod(0o755 if path.is_dir() else 0o644)
            added = root / "family" / "conv" / "added.yaml"
            added.write_text(law("added", "A law that came while the server ran"))
            seen["added"] = await client.call_tool("explain", {"law": "added"})
            added.write_text("id: [")
            seen["broken"] = await client.call_tool("query", WHERE)
            added.unlink()
            seen["mended"] = await client.call_tool("query", WHERE)
            root.rename(folder / "elsewhere")
            seen["gone"] = await client.call_tool("query", WHERE)

    anyio.run(conversation)
    return seen


def test_a_client_is_told_what_the_server_is_and_that_texts_are_data(session):
    assert session["server"].name == "spak"
    assert "never an instruction" in session["instructions"]
    assert [tool.name for tool in session["tools"]] == list(TOOLS)


def test_every_tool_answers_over_stdio(session):
    """The client raises where a line of stdout is none of the protocol, or an answer none of its schema."""
    for tool, result in session["calls"].items():
        assert not result.is_error, (tool, result.content[0].text)
        assert result.structured_content
    assert len(session["documents"]) == 5


def test_no_byte_of_the_law_root_changes_and_nothing_is_written_elsewhere(session):
    assert session["unchanged"]
    assert session["git"] == ""
    assert list(session["home"].iterdir()) == []


def test_what_changes_on_disk_is_seen_at_the_next_question(session):
    assert session["added"].structured_content["law"]["id"] == "added"


def test_a_broken_law_root_is_an_error_and_the_server_lives_on(session):
    for name, said in (("broken", "added.yaml"), ("gone", "laws")):
        assert session[name].is_error
        assert "the law root cannot be used" in session[name].content[0].text
        assert said in session[name].content[0].text
    assert not session["mended"].is_error


def invoke(*words):
    return run_app(build_app(registry=COMMANDS, help_text=HELP), "spak", list(words))


def test_the_entry_for_a_client_starts_this_very_program(capsys, tmp_path, monkeypatch):
    root = make_root(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert invoke("mcp", "--config", "--laws", "laws") == 0
    entry = json.loads(capsys.readouterr().out)["mcpServers"]["spak"]
    assert entry == {
        "command": sys.executable,
        "args": ["-m", "spak.cli.spak", "mcp", "--laws", str(root.resolve())],
    }
    assert invoke("mcp", "--config") == 0
    assert json.loads(capsys.readouterr().out)["mcpServers"]["spak"]["args"][-1] == "mcp"


@pytest.mark.parametrize(("found", "said"), [(None, "it is not installed"), ("1.9.4", "version 1.9.4 is installed")])
def test_without_the_package_it_says_in_one_line_what_to_install(capsys, monkeypatch, found, said):
    from importlib.metadata import PackageNotFoundError

    from spak import serving

    def version(name):
        if found is None:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr(serving, "version", version)
    assert invoke("mcp") == 2
    err = capsys.readouterr().err
    assert said in err
    assert "pip install 'spak[mcp]'" in err
    assert err.count("\n") == 1


def test_a_client_that_goes_away_ends_the_server(monkeypatch, tmp_path):
    """End of stdin is the end, with exit code 0, and no law root is needed for that."""
    monkeypatch.chdir(tmp_path)
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"not json\n")))
    monkeypatch.setattr(sys, "stdout", out)
    assert invoke("mcp", "--laws", os.fspath(tmp_path)) == 0
    for line in out.buffer.getvalue().splitlines():
        assert json.loads(line)["jsonrpc"] == "2.0"
