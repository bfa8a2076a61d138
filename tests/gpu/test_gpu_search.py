"""`tune fmha` on a real GPU: it finds the card, measures, and a killed search goes on without losing a trial."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spak.tuner.backend.gpu.detect import detect

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(detect() is None, reason="no NVIDIA GPU with a driver here"),
]
ROOT = Path(__file__).parents[2]
BUDGET = 40


def tune(folder, *words):
    pytest.importorskip("torch", reason="needs torch")
    command = [sys.executable, "-m", "spak.cli.tune", "--laws", str(ROOT / "laws"), *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])}
    environment["XDG_CACHE_HOME"] = str(folder / "cache")
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def trials_in(journal):
    return [json.loads(line) for line in journal.read_bytes().split(b"\n")[1:-1]]


def test_a_search_of_few_seconds_says_what_compiles_and_measures_what_has(tmp_path):
    """MicroGPT's kernels compile for longer than that; the default is among what is measured."""
    search = tune(tmp_path, "search", "microgpt", "--seconds", "30", "--no-write")
    output, errors = search.communicate()
    assert search.returncode == 0, errors.decode()[-2000:]
    assert "compiling: 0 of " in errors.decode()
    assert "reading, checking and timing what compiled" in errors.decode()
    assert output
    [path] = (tmp_path / ".spak/runs").glob("*.json")
    run = json.loads(path.read_bytes())
    assert "default" in [trial["origin"] for trial in run["trials"]]


def test_a_killed_search_goes_on_and_keeps_every_finished_trial(tmp_path):
    words = ["search", "fmha", "--problem", "d64-s1024-causal", "--budget", str(BUDGET), "--no-write"]
    search = tune(tmp_path, *words)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and search.poll() is None:
        journals = list((tmp_path / ".spak/journal").glob("*.jsonl"))
        if journals and len(trials_in(journals[0])) >= 8:
            break
        time.sleep(0.05)
    search.send_signal(signal.SIGKILL)
    _, errors = search.communicate()
    [journal] = (tmp_path / ".spak/journal").glob("*.jsonl")
    before = trials_in(journal)
    assert 8 <= len(before) < BUDGET, errors.decode()[-2000:]

    resumed = tune(tmp_path, "search", "fmha", "--resume", journal.stem, "--no-write")
    output, errors = resumed.communicate(timeout=250)
    assert resumed.returncode == 0, errors.decode()[-2000:]
    [path] = (tmp_path / ".spak/runs").glob("*.json")
    run = json.loads(path.read_bytes())
    configurations = [trial["configuration"] for trial in run["trials"]]
    assert len(configurations) == BUDGET
    assert configurations[: len(before)] == [trial["configuration"] for trial in before]
    assert run["tier"] == "measured"
    assert run["device"]["name"] == detect().name
    assert set(run["reference_times"]) >= {"sdpa-cudnn"}
    correct = [trial for trial in run["trials"] if trial.get("invalidity", "correct") == "correct"]
    assert len(correct) > BUDGET / 2
    assert all(trial["measurements"][0]["name"] == "time" for trial in correct)
    assert output
