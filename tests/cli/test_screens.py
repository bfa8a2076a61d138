"""The default answer of every command on the shipped laws fits a screen: 40 lines of 80 columns, no id broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from spak.cli.app import build_app, run_app
from spak.cli.kg import COMMANDS as KG
from spak.cli.render.screenful import LINES
from spak.cli.render.text import WIDTH
from spak.cli.tune import COMMANDS as TUNE

ROOT = Path(__file__).parents[2] / "laws"
RUN = ROOT / "evidence" / "measured-h200-fmha-d64-s1024-causal.json"


@pytest.fixture
def shown(capsys, monkeypatch, tmp_path, laws_cache):
    """What a command prints, wherever it stands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KG_LAWS", str(ROOT))
    monkeypatch.setenv("XDG_CACHE_HOME", str(laws_cache))

    def call(program: str, *words: str) -> list[str]:
        registry = KG if program == "kg" else TUNE
        assert run_app(build_app(registry=registry, help_text=""), program, list(words)) < 2
        return capsys.readouterr().out.splitlines()

    return call


@pytest.mark.parametrize(
    "command",
    [
        "kg query --hw h200 --op fmha",
        "kg why fmha --hw h200 --config tile_m=128,tile_n=128",
        "kg explain sm120-fmha-128x128-spills",
        "kg lineage nanogpt",
        "kg list hardware",
        "kg list ops",
        "kg list systems",
        f"tune replay {RUN} --hw h200 --op fmha --budget 30",
    ],
)
def test_a_default_answer_fits_a_screen(shown, command):
    lines = shown(*command.split())
    assert 5 < len(lines) <= LINES
    assert [line for line in lines if len(line) > WIDTH and len(line.split()) > 1] == []


@pytest.mark.parametrize(
    "command",
    [
        "kg why fmha --hw h200 --config tile_m=128",
        "kg explain sm120-fmha-128x128-spills --trials 0",
        "kg lineage nanogpt",
    ],
)
def test_a_short_answer_says_how_to_see_the_whole_which_is_longer(shown, command):
    short, whole = shown(*command.split()), shown(*command.split(), "--all")
    assert any("--all" in line for line in short)
    assert not any("--all" in line for line in whole)
    assert len(whole) > len(short)
