"""Real Dask processes are killed under the real command: nothing is lost, nothing counted twice, nobody pays without a part in it."""

import os
import signal
import time
from datetime import UTC, datetime

import msgspec
import pytest

pytest.importorskip("distributed", reason="the fleet needs Dask: pip install 'spak[fleet]'")

from bench.fleet import near_seconds, shares_of
from bench.fleet_kills import SCHEDULER, SEARCH, WORKER, KillPlan, kills
from bench.fleet_work import (
    CHECK,
    COMPILE,
    MEASURE,
    DiaryLine,
    RecordedRow,
    Records,
    key_of,
    read_diary,
    write_records,
)
from bench.simulated_fleet import RecordedSweeps, device_id, fleet_of, simulated_members, until_complete
from spak.tuner.fleet.begun import not_survived
from spak.tuner.fleet.dask_executor import DaskExecutor
from spak.tuner.fleet.executor import Piece
from spak.tuner.fleet.orders import (
    CompiledCubins,
    CompileOrder,
    DescribeOrder,
    KernelIdentity,
    MemberDescription,
    decoded,
    encoded,
)

KERNEL = KernelIdentity(op="fmha", arch="sm_90", source_sha256="0" * 64)


def compiling(number):
    order = CompileOrder(kernel=KERNEL, problem={"size": 1}, configuration={"n": number}, facts={})
    return Piece(work=COMPILE, data=encoded(order))


def describing(wants):
    return Piece(work="describe", data=encoded(DescribeOrder()), wants=wants)


def keep_records(folder, seconds, pills=()):
    """Configuration `n` compiles for the `n`-th of `seconds`; `pills` end who compiles them."""
    keys = [key_of({"size": 1}, {"n": number}) for number in range(len(seconds))]
    rows = {
        key: RecordedRow(compile_s=one, time_us=1.0, features={"n": float(number)})
        for number, (key, one) in enumerate(zip(keys, seconds, strict=True))
    }
    write_records(folder, Records(scale=1.0, rows=rows, pills={keys[number]: COMPILE for number in pills}))
    return keys


def compiled(future):
    return decoded(future.result().data, CompiledCubins).features["n"]


def test_a_killed_scheduler_costs_nothing_and_what_an_idle_worker_never_began_is_done_by_the_next(tmp_path):
    members = simulated_members(3, 1)
    keep_records(tmp_path, [0.3] * 4)
    with fleet_of(members, tmp_path) as fleet:
        executor = DaskExecutor(fleet.access)
        until_complete(members, executor.members)
        workers = fleet.workers
        had = [executor.submit(compiling(n)) for n in range(4)]
        os.kill(fleet.scheduler, signal.SIGKILL)
        assert [compiled(future) for future in had] == [0.0, 1.0, 2.0, 3.0]
        until_complete(members, executor.members)
        assert fleet.workers == workers, "they join the scheduler that takes the place of the last one"
        for _ in range(2):
            said = decoded(executor.submit(describing(device_id(0))).result().data, MemberDescription)
            assert said.gpu == "NVIDIA H100 80GB HBM3"
            os.kill(fleet.workers["gpu-0"], signal.SIGKILL)
        executor.close()


def test_what_killed_a_worker_while_no_search_looked_on_kills_no_second_one_once_it_is_resumed(tmp_path):
    """The search ends with the piece under way; the one that goes on is told who ended with it, one that begins is not."""
    members, began = simulated_members(3, 1), datetime.now(UTC)
    pill, harmless = compiling(0), compiling(1)
    keys = keep_records(tmp_path, [0.5, 0.5], pills=[0])
    with fleet_of(members, tmp_path) as fleet:
        first = DaskExecutor(fleet.access)
        until_complete(members, first.members)
        for one in (pill, harmless):
            first.submit(one)
        while {line.key for line in read_diary(tmp_path)} < {*keys}:
            time.sleep(0.01)
        first.close()
        while not not_survived(tmp_path, began.timestamp()):
            time.sleep(0.01)
        resumed = DaskExecutor(fleet.access)
        resumed.recall(began)
        had = resumed.submit(pill).result()
        assert (had.member[:4], had.lost) == ("cpu-", "it ended with this before the search was resumed")
        assert compiled(resumed.submit(harmless)) == 1.0
        resumed.close()
        assert [line.key for line in read_diary(tmp_path)].count(keys[0]) == 1
        fresh = DaskExecutor(fleet.access)
        fresh.recall(datetime.now(UTC))
        assert "did not answer" in fresh.submit(pill).result().lost
        fresh.close()


def test_a_search_that_is_killed_with_its_fleet_is_resumed_and_has_every_configuration_once():
    """`tune --fleet` and `tune --resume` as commands: workers, the scheduler and the search itself are killed meanwhile."""
    plan = KillPlan({WORKER: 3, SCHEDULER: 1, SEARCH: 1}, workers=6, scale=0.01, every_s=0.2, pills=2)
    told = []
    found = kills(plan, lambda so_far: told.append(so_far.trials))
    assert found.is_good, found
    assert told == [324 * number for number in range(1, found.searches + 1)], "said after each search"
    assert found.kills == plan.kills
    assert (found.trials, found.pills_charged) == (324 * found.searches, 2 * found.searches)
    assert found.compile_pill_deaths == found.compile_pills == found.searches


def line(member, begun, ended=0.0, stage=COMPILE, asked=1.0, key="k"):
    return DiaryLine(member=member, stage=stage, key=key, asked_s=asked, begun=begun, ended=ended)


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


def test_near_is_when_each_sweep_had_a_time_near_its_best_and_its_batch_had_ended():
    times = {"n=1 | a=1": 20.0, "n=1 | a=2": 10.1, "n=1 | a=3": 10.0, "n=2 | a=1": 5.0}
    rows = {key: RecordedRow(compile_s=1.0, time_us=value, features={}) for key, value in times.items()}
    recorded = RecordedSweeps(("one", "two"), rows, {"n=1": 10.0, "n=2": 5.0})
    lines = [
        line("gpu-0", 0.0, 2.0, MEASURE),
        *(
            line("gpu-0", moment - 0.1, moment, CHECK, key=key)
            for moment, key in ((1.0, "n=1 | a=1"), (1.5, "n=1 | a=2"))
        ),
        line("gpu-1", 0.0, 9.0, MEASURE),
        line("gpu-1", 3.0, 4.0, CHECK, key="n=2 | a=1"),
        line("gpu-0", 2.5, 6.0, MEASURE),
        line("gpu-0", 5.0, 5.5, CHECK, key="n=1 | a=3"),
    ]
    assert near_seconds(lines, recorded, 0.0) == (2.0 + 9.0) / 2
