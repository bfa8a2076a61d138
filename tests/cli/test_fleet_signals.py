"""`spak fleet up` ends with SIGINT and SIGTERM, also where a shell started it in the background to ignore SIGINT."""

from __future__ import annotations

import os
import signal
import time
from types import SimpleNamespace

import pytest
import typer

from spak.cli.spak_commands.fleet import _stay


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_fleet_ends_with_all_it_started(number, capsys):
    before = {one: signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, signal.SIGTERM)}
    closed = []

    def wait():
        for _ in range(100):  # another thread may be told first, and what is raised may end a callback alone
            os.kill(os.getpid(), number)
            time.sleep(0.05)
        raise AssertionError("it went on")

    started = SimpleNamespace(
        address="tcp://127.0.0.1:1", members=["one"], keys="k", wait=wait, close=lambda: closed.append(1)
    )
    try:
        with pytest.raises(typer.Exit) as ended:
            _stay(started)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert (ended.value.exit_code, closed) == (130, [1])
    assert "1 workers" in capsys.readouterr().out
