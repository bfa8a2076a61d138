"""The default answer of every command on the shipped laws fits a screen: 40 lines of 80 columns, no id broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from spak.cli.app import build_app, run_app
from spak.cli.kg import COMMANDS as KG
from spak.cli.render.explain import account, explanation
from spak.cli.render.screenful import LINES
from spak.cli.render.short_account import short_account
from spak.cli.render.short_explanation import short_explanation
from spak.cli.render.text import WIDTH, Pen
from spak.cli.tune import COMMANDS as TUNE
from tests.shipped import LAWS, library

ROOT = Path(__file__).parents[2] / "laws"
RUN = ROOT / "evidence" / "measured-h200-fmha-d64-s1024-causal.json"
PLAIN = Pen(colour=False)


def wide(text: str) -> list[str]:
    """Lines that a screen cuts."""
    return [line for line in text.splitlines() if len(line) > WIDTH]


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
    assert wide("\n".join(lines)) == []


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


@pytest.mark.uncounted
def test_every_law_is_explained_on_a_screen_and_at_length_by_whole_ids():
    """An id that is longer than a line stands alone, at the margin, where it can be copied."""
    for law in LAWS.laws.values():
        found = library().explain(law.id)
        short = short_explanation(found, PLAIN)
        assert 5 < len(short.splitlines()) <= LINES, law.id
        whole = explanation(found, PLAIN).splitlines()
        ids = {entry.run for entry in law.evidence} | {link.id for link in law.related}
        assert {*wide(short), *wide("\n".join(whole))} <= ids, law.id
        assert {entry.run for entry in law.evidence} <= {line.split()[-1] for line in whole if line}, law.id


@pytest.mark.uncounted
def test_every_law_is_weighed_on_a_screen():
    """Asked with a configuration of its own examples, or with none."""
    for law in LAWS.laws.values():
        known = LAWS.ops[law.scope.op].parameters
        for example in [*law.examples.avoided[:1], *law.examples.admitted[:1]] or [{}]:
            settings = {name: value for name, value in example.items() if name in known}
            found = library().why(law.scope.op, hw=law.scope.hw, config=settings)
            speaking = {opinion.law.id for opinion in found.opinions}
            assert law.id in speaking or law.status in {"refuted", "withdrawn"}, law.id
            assert wide(account(found, LAWS, PLAIN)) == [], law.id
            short = short_account(found, LAWS, PLAIN)
            assert wide(short) == [], law.id
            assert len(short.splitlines()) <= LINES, law.id
