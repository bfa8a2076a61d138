"""A copy of the shipped laws in a git repository of two commits, where commands may be tried without harm."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHANGED = str(min((ROOT / "laws/sm_90/matmul").glob("*.yaml")).relative_to(ROOT))
"""A law about a small space, so that its difference is told quickly."""


def git(folder: Path, *arguments: str) -> str:
    """What a git command prints, with an identity and without the user's settings."""
    settings = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *settings, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def make(folder: Path) -> Path:
    """The workplace in `folder`: `main` has the shipped laws, `main~1` one of them with a lower bound."""
    shutil.copytree(ROOT / "laws", folder / "laws")
    git(folder, "init", "-q", "-b", "main")
    law = folder / CHANGED
    text = law.read_text()
    assert "{at_least: 1.2}" in text
    law.write_text(text.replace("{at_least: 1.2}", "{at_least: 1.1}"))
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "laws as they were")
    law.write_text(text)
    git(folder, "commit", "-q", "-a", "-m", "laws as they are")
    return folder


def environment(*without: str) -> dict[str, str]:
    """This process's environment, in which programs do not count towards coverage: tests in this process run their code too.

    Counting makes a program, pip not least, several times slower.
    """
    return {
        name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_") and name not in without
    }


def programs(folder: Path) -> Path:
    """A folder for PATH in which `kg`, `tune`, `spak` and `python` are those of this checkout and this interpreter."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, words in {
        "kg": "-m spak.cli.kg",
        "tune": "-m spak.cli.tune",
        "spak": "-m spak.cli.spak",
        "python": "",
    }.items():
        path = folder / name
        path.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}/src:{ROOT}" exec "{sys.executable}" {words} "$@"\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return folder


def t4_results(path: Path) -> None:
    """A small T4 file: six results over two parameters."""
    results = [
        {
            "timestamp": "2024-01-01 00:00:00+00:00",
            "configuration": {"block_size_x": x, "use_padding": y},
            "times": {"compilation": 100.0, "runtimes": [x + y, x + y + 0.1]},
            "invalidity": "correct",
            "correctness": 1,
            "measurements": [{"name": "time", "value": x + y + 0.05, "unit": ""}],
            "objectives": ["time"],
        }
        for x in (1.0, 2.0, 4.0)
        for y in (0, 1)
    ]
    path.write_text(
        json.dumps({"metadata": {"timeunit": "miliseconds"}, "results": results, "schema_version": "1.0.0"})
    )
