"""The fleet of one machine: each piece gets one outcome, whatever becomes of the process that had it."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import wait
from pathlib import Path

import pytest

from spak.tuner.errors import TunerError
from spak.tuner.fleet.executor import CPU, FleetMember, Piece, answered
from spak.tuner.fleet.local import LocalExecutor, local_members
from tests.tuner.fleet.odd_works import WORKS

GPU = "0123456789ab"
MEMBERS = [
    FleetMember(name="one", host="here", resources=(CPU,)),
    FleetMember(name="gpu", host="here", resources=(GPU,)),
]


@pytest.fixture
def fleet(tmp_path):
    made = LocalExecutor(MEMBERS, tmp_path, WORKS)
    yield made
    made.close()


def odd(deed: str) -> Piece:
    return Piece(work="odd", data=deed.encode())


def until(condition):
    """Wait for what another process does; the test's own time limit ends it if that never happens."""
    while not condition():
        time.sleep(0.01)


def test_each_piece_gets_one_outcome_from_who_offers_what_it_wants(fleet):
    """Names and bytes go in, bytes come out; a process keeps what a work keeps, and what it prints is no answer."""
    futures = [fleet.submit(Piece(work="echo", data=bytes([n]), wants=GPU if n % 2 else CPU)) for n in range(4)]
    futures.append(fleet.submit(odd("chatter")))
    assert [future.result().data for future in futures] == [
        b"\0|one||1", b"\1|gpu|0123456789ab|1", b"\2|one||2", b"\3|gpu|0123456789ab|2", b"done",
    ]  # fmt: skip
    assert [one.name for one in fleet.members()] == ["gpu", "one"]


def test_who_dies_costs_the_piece_it_had_and_nobody_else_pays(fleet):
    """A kill, an exit, a bug and a refusal each answer for themselves; what waited behind them is done by the next process."""
    deeds = ["die", "leave", "stumble", "refuse no such kernel"]
    futures = [fleet.submit(odd(deed)) for deed in deeds]
    last = fleet.submit(Piece(work="echo", data=b"last"))
    died, left, stumbled, refused = (future.result() for future in futures)
    assert (died.lost, died.member) == ("its process died (killed by SIGKILL)", "one")
    assert (left.lost, answered(left)) == ("its process died (exit code 7)", None)
    assert stumbled.error == "odd: RuntimeError: two"
    with pytest.raises(TunerError, match=r"^fleet: one: odd: no such kernel$"):
        answered(refused)
    assert answered(last.result()) == b"last|one||1"


def test_a_work_that_a_worker_does_not_know_is_refused(fleet):
    """A name outside the list that the worker started with runs nothing, whatever module or function it names."""
    for name in ("os:system", "spak.tuner.fleet.workbench:Workbench", ""):
        outcome = fleet.submit(Piece(work=name, data=b"true")).result()
        assert (outcome.error, outcome.data) == (f"{name}: this worker knows no such work; it knows echo, odd", b"")


def test_what_nobody_offers_is_said_at_once(fleet):
    with pytest.raises(TunerError, match="no member of the fleet offers ffff; there is 0123456789ab, cpu"):
        fleet.submit(Piece(work="echo", data=b"", wants="ffff"))


def test_closing_ends_members_that_wait_at_one_queue(tmp_path):
    """Any of them may take the end that was put there for another, and none waits for its own."""
    for _ in range(20):
        LocalExecutor(local_members(4), tmp_path, WORKS).close()


def test_closing_loses_what_is_under_way_and_what_waits(fleet, tmp_path):
    """Nobody waits for ever for a piece of a fleet that is gone; what was cancelled stays so."""
    begun = tmp_path / "begun"
    busy, waiting, cancelled = (fleet.submit(odd(f"wait {begun}")) for _ in range(3))
    until(lambda: begun.exists() and begun.read_text())
    assert cancelled.cancel()
    fleet.close()
    fleet.close()
    assert not wait([busy, waiting], timeout=60).not_done
    assert (busy.result().lost, busy.result().member) == ("the fleet was closed", "one")
    assert waiting.result().lost == "the fleet was closed before anybody had it"
    assert cancelled.cancelled()
    with pytest.raises(TunerError, match="closed"):
        fleet.submit(odd("chatter"))


def test_a_killed_search_leaves_no_worker_behind(tmp_path):
    """The process of a member notices that who started it is gone, also in the middle of a piece."""
    begun = tmp_path / "begun"
    script = (
        f"import sys, time; sys.path[:] = {sys.path!r}; from pathlib import Path\n"
        "from tests.tuner.fleet.test_local import *\n"
        f"fleet = LocalExecutor(MEMBERS, Path({str(tmp_path)!r}), WORKS)\n"
        f"fleet.submit(odd('wait {begun}')); time.sleep(3600)\n"
    )
    search = subprocess.Popen([sys.executable, "-c", script])
    until(lambda: search.poll() is not None or (begun.exists() and begun.read_text()))
    worker = int(begun.read_text())
    search.kill()
    search.wait()
    until(lambda: not _lives(worker))


def test_the_members_of_this_machine():
    """So many that compile, and one for each device; all names differ."""
    members = local_members(2, [GPU])
    assert [one.resources for one in members] == [(CPU,), (CPU,), (GPU,)]
    assert len({one.name for one in members}) == 3


def _lives(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected by its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
