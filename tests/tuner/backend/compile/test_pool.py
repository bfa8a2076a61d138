"""The worker pool: whatever happens to a compiling process costs one configuration."""

from __future__ import annotations

import os

import pytest

from spak.tuner.backend.compile import pool as pools
from spak.tuner.backend.compile.pool import Pool
from spak.tuner.backend.compile.protocol import Order, Setup, shorten
from spak.tuner.errors import TunerError
from tests.tuner.backend.compile import broken


def setup(time_limit_s: float = 60.0) -> Setup:
    return Setup(
        spec=f"{broken.__name__}:SPEC",
        arch="sm_120",
        tileiras="/nonexistent/tileiras",
        nvdisasm="/nonexistent/nvdisasm",
        time_limit_s=time_limit_s,
        memory_limit_bytes=2 << 30,
    )


def orders(*deeds: str) -> list[Order]:
    return [Order(problem={}, configuration={"do": deed}) for deed in deeds]


@pytest.fixture
def pool():
    made = Pool(setup(), workers=2)
    yield made
    made.close()


def test_every_failure_costs_one_configuration(pool):
    """A crash, an exit, memory, a refusal and a bug each answer for themselves, and the pool works on."""
    deeds = ["die", "refuse", "leave", "eat", "stumble", "chatter", "refuse"]
    results = dict(pool.compile(orders(*deeds)))
    assert sorted(results) == list(range(len(deeds)))
    assert [results[i].invalidity for i in range(len(deeds))] == [
        "compile", "constraints", "compile", "compile", "compile", "constraints", "constraints",
    ]  # fmt: skip
    kinds = [(results[i].failure.type, results[i].failure.message) for i in range(len(deeds))]
    assert kinds[0] == ("WorkerDied", "the compiling process died (killed by SIGABRT)")
    assert kinds[1] == ("ValueError", "tile_m must be even")
    assert kinds[2] == ("WorkerDied", "the compiling process died (exit code 7)")
    assert kinds[3][0] == "MemoryError"
    assert kinds[4] == ("RuntimeError", "two | lines")
    assert kinds[5] == ("ValueError", "after the noise")


def test_what_may_be_the_machines_doing_is_not_lasting(pool):
    """Crashes of the process, memory and time are not remembered as facts about the configuration; refusals are."""
    results = dict(pool.compile(orders("die", "eat", "refuse")))
    assert [results[i].lasting for i in range(3)] == [False, False, True]


def test_a_full_disk_ends_the_search_and_says_nothing_of_a_configuration(pool):
    """It was cached as a configuration that does not compile, and became evidence."""
    with pytest.raises(TunerError, match=r"kernel\.tileirbc: No space left on device; .* --resume"):
        dict(pool.compile(orders("fill")))
    assert dict(pool.compile(orders("refuse")))[0].failure.type == "ValueError"


def test_a_hang_ends_at_the_deadline(monkeypatch):
    """A process that never answers is ended with its children and reported as a timeout; the next order is served."""
    monkeypatch.setattr(pools, "GRACE_S", 0.5)
    pool = Pool(setup(time_limit_s=1.5), workers=1)
    results = pool.compile(orders("hang", "refuse"))
    place, hung = next(results)
    pool._limit_s = 200.0  # a busy machine may take long to start the process that refuses
    [(_, refused)] = results
    pool.close()
    assert (place, hung.invalidity) == (0, "timeout")
    assert "did not answer within 2 s" in hung.failure.message
    assert refused.invalidity == "constraints"


def test_stopping_early_leaves_no_process_behind(pool):
    """A caller that stops listening ends the processes nobody waits for; the pool can be used again, and closed twice."""
    results = pool.compile(orders("refuse", "hang", "hang"))
    next(results)
    pids = [worker.process.pid for worker in pool._workers if worker.ticket is not None]
    results.close()
    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert dict(pool.compile(orders("refuse")))[0].invalidity == "constraints"
    pool.close()
    pool.close()


def test_workers_are_kept_between_calls(pool):
    """Importing cuTile costs a second; it is paid once for each process."""
    list(pool.compile(orders("refuse", "refuse", "refuse")))
    before = {worker.process.pid for worker in pool._workers}
    list(pool.compile(orders("refuse", "refuse")))
    assert {worker.process.pid for worker in pool._workers} == before


def test_nothing_to_do_starts_nothing(pool):
    """An empty list of orders needs no process."""
    assert list(pool.compile([])) == []
    assert pool._workers == []


def test_messages_fit_a_report():
    """A message is one line and not longer than a report can show."""
    assert shorten("a\n\n b ") == "a | b"
    assert len(shorten("x" * 10_000)) == 500
