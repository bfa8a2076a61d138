"""Work shared by processes: all of it comes back, and one that dies takes nothing with it but its own rest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from spak.kg.files import processes
from spak.kg.files.processes import MAX_NUMBERS, Numbers, from_processes, num_processes

PIECES = [b"", b"x", bytes(300_000)]


def _dying(how):
    def share():
        yield b"before"
        if how == "raises":
            raise ValueError(how)
        os.kill(os.getpid(), signal.SIGKILL)

    return share


def test_what_each_gives_comes_whole_and_in_its_order():
    found = list(from_processes([lambda name=name: (name + piece for piece in PIECES) for name in (b"a", b"b", b"c")]))
    for name in (b"a", b"b", b"c"):
        assert [one[1:] for one in found if one[:1] == name] == PIECES
    assert list(from_processes([])) == []


@pytest.mark.parametrize("how", ["raises", "is killed"])
def test_one_that_dies_has_given_what_came_before(how):
    assert sorted(from_processes([_dying(how), lambda: [b"other"]])) == [b"before", b"other"]


def test_who_stops_asking_leaves_no_process_behind():
    """One that would go on for ever is ended, and waited for."""

    def endless():
        while True:
            yield str(os.getpid()).encode()
            time.sleep(0.01)

    pieces = from_processes([endless])
    child = int(next(pieces))
    pieces.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


BUSY = """
import os, time
from spak.kg.files.processes import from_processes

def busy():
    yield str(os.getpid()).encode()
    time.sleep(3600)

for piece in from_processes([busy]):
    print(piece.decode(), flush=True)
"""


def test_who_is_killed_leaves_no_process_behind():
    """As by `kill` or a time limit: nothing of it runs that could end the others, and they hold what it prints to."""
    asking = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE)
    assert asking.stdout is not None
    child = int(asking.stdout.readline())
    asking.kill()
    try:
        asking.communicate(timeout=60)  # returns when nobody can print any more
    except subprocess.TimeoutExpired:
        os.kill(child, signal.SIGKILL)
        raise


def test_a_process_with_threads_is_not_copied(monkeypatch):
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    assert 1 <= num_processes() <= processes.MAX_PROCESSES
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    assert num_processes() == 1


def test_each_number_is_given_to_one_process_alone():
    numbers = Numbers(MAX_NUMBERS)
    taking = [lambda: (b"%d" % number for number in numbers)] * 4
    found = sorted(int(piece) for piece in from_processes(taking))
    numbers.close()
    assert found == list(range(MAX_NUMBERS))
