"""`kg` from the command line to the exit code, over the shipped laws."""

from __future__ import annotations

import gc
import importlib
import json
from pathlib import Path

import pytest
import yaml

from spak.cli.app import build_app, run_app
from spak.cli.kg import COMMANDS
from spak.cli.roots import asked_toolchain, cache_directory, installed_toolchain

LAWS = Path(__file__).parents[2] / "laws"
QUERY = ["query", "--hw", "NVIDIA GeForce RTX 5070", "--op", "Attention"]


@pytest.fixture(autouse=True)
def elsewhere(laws_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(laws_cache))
    monkeypatch.setenv("KG_LAWS", str(LAWS))


def kg(*words: str) -> int:
    return run_app(build_app(registry=COMMANDS, help_text="."), "kg", words)


def test_every_registered_command_has_a_module_with_help():
    """A registry line that leads nowhere, or a command without a docstring, fails here."""
    for name, entry in COMMANDS.items():
        function = importlib.import_module(entry.module).command
        assert function.__doc__, name
        assert entry.help.endswith("."), name


def test_query_prints_the_same_laws_in_every_format(capsys):
    """Table, JSON, YAML and Markdown are one answer; the second call comes from the cache."""
    assert kg(*QUERY, "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["hw"], found["op"]) == ("rtx5070", "attention")
    assert found["laws"]
    assert kg(*QUERY, "--format", "yaml") == 0
    assert yaml.safe_load(capsys.readouterr().out) == found
    for form in ("table", "markdown"):
        assert kg(*QUERY, "--format", form, "--all") == 0
        out = capsys.readouterr().out
        assert "\x1b" not in out
        joined = "".join(out.split())
        assert all(law["id"] in joined for law in found["laws"])


def test_filters_reach_the_library(capsys):
    """Each option narrows the answer."""
    words = [
        "--kind",
        "invariant",
        "--status",
        "confirmed,proposed",
        "--param",
        "mask_value",
        "--toolchain",
        "tileiras 13.4.92",
    ]
    assert kg(*QUERY, *words, "--problem", "causal=true,head_dim=64", "--format", "json") == 0
    laws = json.loads(capsys.readouterr().out)["laws"]
    assert laws
    assert {law["kind"] for law in laws} == {"invariant"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["query", "--hw", "rtx5071", "--op", "fmha"], "unknown hardware 'rtx5071'; nearest: rtx5070"),
        (["query", "--hw", "rtx5070", "--op", "atention"], "unknown op 'atention'; nearest: attention"),
        ([*QUERY, "--kind", "negativ"], "unknown --kind 'negativ'; nearest: negative"),
        ([*QUERY, "--problem", "causal=true,head_dim"], "--problem: expected name=value"),
        ([*QUERY, "--problem", "causal"], "unknown problem size 'causal'"),
        (["why", "fmha", "--hw", "rtx5070", "--config", "tile_m=129"], "tile_m=129: tile_m of op 'fmha' is one of"),
        ([*QUERY, "--toolchain", "tileiras"], "a toolchain is"),
        (["explain", "no-such-law"], "unknown law 'no-such-law'"),
        (["lineage", "nanogtp"], "unknown system 'nanogtp'; nearest: nanogpt"),
        (["why", "fmha", "--hw", "rtx5070", "--config", "tile_x=1"], "unknown parameter 'tile_x'"),
        (["--laws", "/nowhere", *QUERY], "/nowhere: no such folder of laws"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(capsys, words, message):
    """No traceback, nothing on stdout, and what was probably meant."""
    assert kg(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(message)
    assert captured.err.count("\n") == 1


def test_the_other_commands_answer(capsys):
    """why, explain, lineage and graph over the shipped laws."""
    assert kg("why", "fmha", "--hw", "rtx5070", "--config", "tile_m=128,tile_n=128") == 0
    assert "Against it" in capsys.readouterr().out
    assert kg("why", "fmha", "--hw", "rtx5070", "--config", "tile_m=128", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["opinions"]
    assert kg("explain", "attention-finite-mask-floor", "--all", "--trials", "1") == 0
    out = capsys.readouterr().out
    assert "repeat: " in out
    assert "Why confirmed: " in out
    assert kg("lineage", "nanogpt") == 0
    assert "NanoGPT" in capsys.readouterr().out
    assert kg("graph") == 0
    assert json.loads(capsys.readouterr().out)["nodes"]


def test_a_program_that_runs_commands_and_goes_on_keeps_none_of_their_garbage(capsys):
    """Thousands of them in one process filled its memory, and each counted all that was kept."""
    before = gc.get_freeze_count()
    assert kg(*QUERY) == 0
    assert gc.get_freeze_count() == before


def test_the_cache_directory_follows_the_xdg_rule(monkeypatch, tmp_path):
    """A relative XDG_CACHE_HOME is to be ignored, says the specification."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "spak"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory() == tmp_path / ".cache" / "spak"


def test_the_toolchain_is_the_given_one_else_the_installed_one(monkeypatch, tmp_path):
    """The compiler's version comes from the folder its installer left."""
    (tmp_path / "nvidia_cuda_tileiras-99.1.2.dist-info").mkdir()
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert installed_toolchain() == "tileiras 99.1.2"
    assert asked_toolchain("tileiras 13.4") == "tileiras 13.4"
    assert asked_toolchain("") == "tileiras 99.1.2"
    monkeypatch.setattr("sys.path", [str(tmp_path / "missing")])
    assert installed_toolchain() == ""
    assert asked_toolchain("") is None
