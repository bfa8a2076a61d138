"""Checks run in a process of their own: what hangs or dies costs its own trial, and every answer is its own request's."""

from __future__ import annotations

import os
from functools import partial

import pytest

from spak.kernels.checks import CHECKS, CheckResult
from spak.kg.model.run import Failure
from spak.tuner.backend.base import Request
from spak.tuner.backend.check import Checker
from spak.tuner.errors import TunerError
from tests.tuner.backend import hanging

NAME = "attention-mask-floor"


def echo(hangs, connection, name, seed):
    """Answers with the number asked; hangs on 2, dies on 3, fails on 4, finds 5 wrong."""
    while True:
        try:
            _, configuration = connection.recv()
        except EOFError:
            return
        number = configuration["number"]
        if number == 2:
            hangs.hang()
        if number == 3:
            os._exit(1)
        answer = CheckResult({"number": number, "seed": seed}, ("Odd", name) if number == 5 else None)
        connection.send(("runtime", Failure(type="X", message="x")) if number == 4 else answer)


def test_each_trial_is_its_own_requests_whatever_happened_before(tmp_path, monkeypatch):
    hangs = hanging.noticing(monkeypatch, tmp_path / "hangs")
    requests = [Request({"number": number}, {"size": 1}, "probe") for number in (0, 1, 2, 3, 4, 5, 6)]
    made = list(Checker(NAME, seed=9, limit_s=3.0, serve=partial(echo, hangs)).execute(requests))
    assert [trial.configuration["number"] for trial in made] == [0, 1, 2, 3, 4, 5, 6]
    assert [trial.invalidity for trial in made] == [
        "correct",
        "correct",
        "timeout",
        "runtime",
        "runtime",
        "correctness",
        "correct",
    ]
    assert all(trial.value("number") == trial.configuration["number"] for trial in made if trial.measurements)
    assert [trial.failure.type for trial in made if trial.failure] == ["TimeLimit", "WorkerDied", "X", "Odd"]
    assert made[6].value("seed") == 9


def test_the_checks_own_process_computes():
    size = {"seq_q": 4, "seq_kv": 64, "head_dim": 8, "masked_tiles": 1}
    floors = [(-1e20, -1e20), ("-inf", "-inf"), (-1e20, "never")]
    requests = [
        Request({"mask_value": mask, "initial_max": first, "score_dtype": "fp32", "tile_n": 32}, size, "probe")
        for mask, first in floors
    ]
    right, wrong, unknown = Checker(NAME).execute(requests)
    assert (right.invalidity, right.value("nan_rows")) == ("correct", 0)
    assert (wrong.invalidity, wrong.value("nan_rows")) == ("correctness", 2)
    assert unknown.invalidity == "constraints"
    assert Checker(NAME).kernel.name == NAME


def test_an_unknown_check_is_refused_with_those_there_are():
    with pytest.raises(TunerError, match="no check 'flor'; there are attention-gradients, attention-mask-floor, "):
        Checker("flor")


def test_a_check_whose_kernels_cannot_run_here_says_what_to_install(monkeypatch):
    """It runs kernels on the simulator, which `pip install spak` does not bring."""
    monkeypatch.setitem(CHECKS, "elsewhere", "no_such_module_anywhere:check")
    with pytest.raises(TunerError, match=r"needs no_such_module_anywhere, .* pip install 'spak\[sim\]'"):
        _ = Checker("elsewhere").check
