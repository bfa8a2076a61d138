"""Real Dask processes are killed: nothing is lost, nothing counted twice, and nobody pays who had no part in it."""

import os
import signal
import time
from datetime import UTC, datetime

import msgspec
import pytest

pytest.importorskip("distributed", reason="the fleet needs Dask: pip install 'spak[fleet]'")

from bench.fleet import near_seconds, shares_of
from bench.fleet_kills import SCHEDULER, WORKER, KillPlan, kills, unfinished
from bench.fleet_work import COMPILE, MEASURE, DiaryLine, RecordedPiece, read_diary
from bench.simulated_fleet import fleet_of, simulated_members, until_complete
from spak.kg.model.run import Measurement, Trial
from spak.tuner.fleet.begun import not_survived
from spak.tuner.fleet.dask_executor import DaskExecutor
from spak.tuner.fleet.executor import CPU, Piece


def piece(key, seconds, stage=COMPILE, wants=CPU, *, kills=False):
    data = RecordedPiece(stage=stage, key=key, seconds=seconds, kills=kills)
    return Piece(work=stage, data=msgspec.msgpack.encode(data), wants=wants)


def test_a_killed_scheduler_costs_nothing_and_what_an_idle_worker_never_began_is_done_by_the_next(tmp_path):
    members = simulated_members(3, 1)
    with fleet_of(members, tmp_path) as fleet:
        executor = DaskExecutor(fleet.access)
        until_complete(members, executor.members)
        workers = fleet.workers
        had = [executor.submit(piece(str(n), 0.3)) for n in range(4)]
        os.kill(fleet.scheduler, signal.SIGKILL)
        assert [future.result().data for future in had] == [b"0", b"1", b"2", b"3"]
        until_complete(members, executor.members)
        assert fleet.workers == workers, "they join the scheduler that takes the place of the last one"
        assert executor.submit(piece("first", 0.0, MEASURE, "gpu-0")).result().data == b"first"
        os.kill(workers["gpu-0"], signal.SIGKILL)
        assert executor.submit(piece("next", 0.0, MEASURE, "gpu-0")).result().data == b"next"
        executor.close()


def test_what_killed_a_worker_while_no_search_looked_on_kills_no_second_one_once_it_is_resumed(tmp_path):
    """The search ends with the piece under way; the one that goes on is told who ended with it, one that begins is not."""
    members, began = simulated_members(3, 1), datetime.now(UTC)
    pill, harmless = piece("pill", 0.5, kills=True), piece("harmless", 0.5)
    with fleet_of(members, tmp_path) as fleet:
        first = DaskExecutor(fleet.access)
        until_complete(members, first.members)
        for one in (pill, harmless):
            first.submit(one)
        while {line.key for line in read_diary(tmp_path)} < {"pill", "harmless"}:
            time.sleep(0.01)
        first.close()
        while not not_survived(tmp_path, began.timestamp()):
            time.sleep(0.01)
        resumed = DaskExecutor(fleet.access)
        resumed.recall(began)
        had = resumed.submit(pill).result()
        assert (had.member[:4], had.lost) == ("cpu-", "it ended with this before the search was resumed")
        assert resumed.submit(harmless).result().data == b"harmless"
        resumed.close()
        assert [line.key for line in read_diary(tmp_path)].count("pill") == 1
        fresh = DaskExecutor(fleet.access)
        fresh.recall(datetime.now(UTC))
        assert "did not answer" in fresh.submit(pill).result().lost
        fresh.close()


def test_a_search_whose_fleet_is_killed_again_and_again_has_every_configuration_once():
    plan = KillPlan({WORKER: 4, SCHEDULER: 1}, workers=6, scale=0.01, every_s=0.1, pills=2)
    told = []
    found = kills(plan, lambda so_far: told.append(so_far.trials))
    assert found.is_good, found
    assert told == [324 * number for number in range(1, found.searches + 1)], "said after each search"
    assert found.kills == plan.kills
    assert (found.trials, found.pills_charged) == (324 * found.searches, 2 * found.searches)


def line(member, begun, ended=0.0, stage=COMPILE, asked=1.0, key="k"):
    return DiaryLine(member=member, stage=stage, key=key, asked_s=asked, begun=begun, ended=ended)


def test_what_was_begun_again_and_ended_then_was_still_left_once():
    assert unfinished([line("a", 0.0), line("b", 2.0), line("b", 2.0, 3.0), line("a", 5.0, key="l")]) == {"k", "l"}
    assert unfinished([line("a", 0.0), line("a", 0.0, 1.0)]) == set()


def test_the_time_of_all_workers_is_told_apart_into_shares_that_add_up():
    done = [
        *(line("cpu-0", 10.0 + n, 11.2 + n) for n in (0, 2)),
        line("cpu-1", 10.5, 11.5),
        line("gpu-0", 13.0, 13.5, MEASURE, 0.5),
    ]
    lines = [part for one in done for part in (msgspec.structs.replace(one, ended=0.0), one)]
    shares = shares_of(lines, 3, 10.0, 5.0)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares == pytest.approx(
        {
            "efficiency": 3.5 / 15,
            "gpu_idle": 4.5 / 15,
            "end": (1.8 + 3.0 + 0.5) / 15,
            "waiting": 1.3 / 15,
            "longer": 0.4 / 15,
        }
    )


def test_near_is_when_each_sweep_had_a_time_near_its_best():
    def trial(size, value):
        return Trial(configuration={}, problem={"n": size}, measurements=(Measurement(name="time", value=value),))

    ended = [(1.0, trial(1, 20.0)), (2.0, trial(1, 10.1)), (3.0, trial(1, 10.0)), (4.0, trial(2, 5.0))]
    assert near_seconds(ended, {"n=1": 10.0, "n=2": 5.0}, 0.0) == 3.0
