"""Every shell block of docs/kernel-tuner-users.md runs, on made-up records under the names it uses."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from spak.cli import kg, tune
from spak.cli.app import build_app, run_app

DOC = Path(__file__).parents[1] / "docs" / "kernel-tuner-users.md"
BLOCKS = re.findall(r"```sh\n(.*?)```", DOC.read_text(), re.DOTALL)


def record(seed):
    rng = np.random.default_rng(seed)
    results = [
        {
            "configuration": {"bx": bx, "by": by, "tile": tile},
            "times": {"compilation": 500.0, "runtimes": [1.0 + abs(bx - 64) / 32 + by + tile * rng.random() / 4] * 3},
            "invalidity": "correct",
            "correctness": 1,
        }
        for bx in (16, 32, 64, 128)
        for by in (1, 2, 4, 8)
        for tile in (1, 2, 3, 4)
    ]
    return json.dumps({"metadata": {"timeunit": "milliseconds"}, "results": results})


def shell(line):
    program, *words = shlex.split(line)
    app = {"kg": kg, "tune": tune}[program]
    default = "search" if app is tune else ""
    return run_app(build_app(registry=app.COMMANDS, help_text="", default=default), program, words)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for seed, name in enumerate(("A100", "A6000", "MI250X", "A4000", "W6600", "W7800")):
        (tmp_path / f"{name}_T4.json.gz").write_text(record(seed))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_every_block_runs_in_order_and_the_saving_shows(folder, capsys):
    outputs = []
    for line in "".join(BLOCKS).strip().splitlines():
        assert shell(line) == 0, (line, capsys.readouterr().err)
        outputs.append(capsys.readouterr().out)
    evaluations = [
        int(re.search(r"to 95% of the recorded optimum: (\d+) evaluations?", text)[1]) for text in outputs[8:10]
    ]
    assert evaluations[1] < evaluations[0]
    assert json.loads(outputs[10])["restrictions"] == []
    assert len(outputs) == 11
