"""Searches over a fleet: the trials of one machine, whoever compiles and measures, and losses that cost who is at fault."""

from __future__ import annotations

import msgspec
import pytest

from spak.kernels.registry import SPECS
from spak.tuner.backend.base import Patience, Request
from spak.tuner.backend.gpu.backend import GpuBackend, TimingMethod
from spak.tuner.backend.gpu.cubins import Cubin, CubinStore
from spak.tuner.backend.gpu.protocol import Batch
from spak.tuner.backend.gpu.supervisor import Supervisor
from spak.tuner.backend.gpu.timing import Plan
from spak.tuner.backend.source import source_of
from spak.tuner.errors import TunerError
from spak.tuner.fleet.backend import FleetBackend, FleetCompiler, FleetLane
from spak.tuner.fleet.executor import CPU, FleetMember, Piece, answered
from spak.tuner.fleet.local import LocalExecutor
from spak.tuner.fleet.measuring import CubinLedger, FleetDevice
from spak.tuner.fleet.orders import (
    CubinReference,
    KernelIdentity,
    MeasuredBatch,
    MeasureOrder,
    decoded,
    digest_of,
    encoded,
)
from spak.tuner.fleet.workbench import Workbench, Workplace
from spak.tuner.fleet.works import keep_code
from tests.tuner.backend.gpu.fake_device import FakeProgram
from tests.tuner.backend.gpu.test_backend import FakeCompiler
from tests.tuner.fleet.fake_works import WORKS

OP = next(iter(SPECS))
DEVICES = ("a" * 12, "b" * 12)
PLAN = Plan(rounds=8, slow_rounds=6)
KERNEL = KernelIdentity(op=OP, arch="sm_90", source_sha256=source_of(OP))


@pytest.fixture
def make(tmp_path):
    """Makes a fleet backend of so many GPUs, whose workers keep everything in `cache`."""
    made = []

    def backend(devices=DEVICES[:1], **method):
        members = [FleetMember(name="cpu", host="h", resources=(CPU,))]
        members += [FleetMember(name=f"gpu-{device[0]}", host="h", resources=(device,)) for device in devices]
        executor = LocalExecutor(members, tmp_path / "cache", WORKS)
        made.append(executor)
        ledger = CubinLedger(KERNEL, {"tileiras": "13.4.92"}, "V13", tmp_path / "own")
        compiler = FleetCompiler(executor, ledger, {})
        timing = TimingMethod(**{"plan": PLAN, "batch_size": 4, **method})
        lanes = [
            FleetLane(FleetDevice(executor, device, ledger), compiler, timing, 4 * len(devices)) for device in devices
        ]
        return FleetBackend(lanes)

    (tmp_path / "cache").mkdir()
    yield backend
    for executor in made:
        executor.close()


def requests(*configurations, seq=64):
    return [Request(configuration, {"seq": seq}, "sweep") for configuration in configurations]


def told(pairs):
    """What a run file keeps of trials of one GPU, by configuration: all but what the clock says of checking."""
    rows = {}
    for request, trial in pairs:
        assert str(request.configuration) not in rows, "no trial twice"
        times = msgspec.structs.replace(trial.times, validation=0.0)
        rows[str(request.configuration)] = msgspec.structs.replace(trial, times=times, machine="")
    return rows


def steps(tmp_path, device):
    log = tmp_path / "cache" / f"steps-{device}"
    return log.read_text().splitlines() if log.exists() else []


def test_the_trials_are_those_of_one_machine(make, tmp_path):
    """Times, intervals, features, checks and failures, on the same fake device through the same supervisor."""
    asked = requests({"us": 10.0}, {"kind": "refused"}, {"kind": "crash"}, {"kind": "wrong"}, {"us": 11.0})
    log = tmp_path / "steps"
    log.write_text("")
    method = TimingMethod(plan=PLAN, batch_size=4)
    local = GpuBackend(Supervisor(FakeProgram(log)), FakeCompiler(), lambda _: {"spill_bytes": 8.0}, method)
    alone = told(local.evaluate(asked))
    references = local.references({"seq": 64})
    local.close()
    fleet = make()
    assert told(fleet.evaluate(asked)) == alone
    assert fleet.references({"seq": 64}) == references
    assert [found and found["spill_bytes"] for found in fleet.features(asked[:2])] == [8.0, None]
    known = fleet.provenance()
    assert (known.tier, known.device.name, known.toolchain) == ("measured", "Fake GPU", {"tileiras": "13.4.92"})


def test_a_worker_that_falls_charges_who_took_it_down_and_nobody_else(make, tmp_path):
    """Halves of its batch run again until the culprit is alone; one that falls while it compiles is charged at once."""
    asked = requests({"us": 1.0}, {"us": 2.0}, {"kind": "fell"}, {"us": 3.0}, {"kind": "fell", "when": "compile"})
    trials = told(make(batch_size=5).evaluate(asked))
    assert [trials[str(one.configuration)].invalidity for one in asked] == [
        "correct",
        "correct",
        "runtime",
        "correct",
        "compile",
    ]
    fallen, compiling = (trials[str(asked[place].configuration)].failure for place in (2, 4))
    assert (fallen.type, fallen.message) == ("WorkerLost", "gpu-a: its process died (killed by SIGKILL)")
    assert (compiling.type, compiling.message) == ("WorkerLost", "cpu: its process died (killed by SIGKILL)")


def test_two_gpus_share_a_batch_and_each_measures_its_part_whole(make, tmp_path):
    backend = make(DEVICES)
    assert backend.batch_size == 16
    asked = requests(*({"us": float(n)} for n in range(1, 7)))
    pairs = list(backend.evaluate(asked))
    trials = told(pairs)
    assert len(trials) == 6
    assert all(trial.invalidity == "correct" for trial in trials.values())
    assert {trial.machine for _, trial in pairs} == set(DEVICES), "each says which it was"
    assert backend.provenance().apart == ()
    checked = [
        sum(line.startswith("check ") and len(line) < 10 for line in steps(tmp_path, device)) for device in DEVICES
    ]
    assert sum(checked) == 6
    assert set(backend.references({"seq": 64})) == {"cudnn"}


def test_a_gpu_that_fails_leaves_its_part_to_the_others(make, tmp_path):
    """It is named and gets nothing more; without another one the search ends with what it said."""
    (tmp_path / "cache" / f"broken-{DEVICES[0]}").touch()
    backend = make(DEVICES)
    trials = told(backend.evaluate(requests(*({"us": float(n)} for n in range(1, 7)))))
    assert len(trials) == 6
    assert "fleet: gpu-a: the GPU cannot be used: prepare failed" in backend.trust.health.out[DEVICES[0]]
    assert f"measured on {DEVICES[1]}; {DEVICES[0]} was taken out: fleet: gpu-a" in backend.provenance().note
    seen = len(steps(tmp_path, DEVICES[0]))
    assert len(told(backend.evaluate(requests({"us": 9.0})))) == 1
    assert len(steps(tmp_path, DEVICES[0])) == seen
    (tmp_path / "cache" / f"broken-{DEVICES[1]}").touch()
    alone = make(DEVICES[1:])
    for _ in range(2):
        with pytest.raises(TunerError, match=r"^fleet: gpu-b: the GPU cannot be used"):
            list(alone.evaluate(requests({"us": 1.0}, {"us": 2.0})))


def test_a_gpu_that_runs_nothing_any_more_charges_one_and_leaves_the_rest_to_the_others(make, tmp_path):
    backend = make(DEVICES)
    assert all(
        trial.invalidity == "correct" for trial in told(backend.evaluate(requests({"us": 1.0}, {"us": 2.0}))).values()
    )
    (tmp_path / "cache" / f"steps-{DEVICES[1]}.sick").touch()
    trials = told(backend.evaluate(requests(*({"us": float(n)} for n in range(3, 9)))))
    assert sorted(trial.invalidity for trial in trials.values()) == ["correct"] * 5 + ["runtime"]
    assert list(backend.trust.health.out) == [DEVICES[1]]
    assert backend.provenance().device.name == "Fake GPU"


def test_a_context_that_nothing_runs_in_any_more_ends_with_its_process_and_costs_one_configuration(make, tmp_path):
    backend = make()
    told(backend.evaluate(requests({"us": 1.0})))
    trials = told(backend.evaluate(requests({"kind": "sick"}, {"us": 2.0}, {"us": 3.0})))
    assert [trial.invalidity for trial in trials.values()].count("runtime") == 1
    assert trials[str({"kind": "sick"})].failure.message.startswith("CUDA error")
    assert backend.trust.health.out == {}
    assert steps(tmp_path, DEVICES[0]).count("open") == 2


def test_two_gpus_of_one_name_that_disagree_are_not_averaged(make, tmp_path):
    """The faster one has all times; the run says which one measured, and why the other one did not."""
    (tmp_path / "cache" / f"slow-{DEVICES[0]}").touch()
    backend = make(DEVICES)
    trials = told(backend.evaluate(requests(*({"us": float(n)} for n in range(1, 7)))))
    assert sorted(trial.value("time") for trial in trials.values()) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    [apart] = backend.provenance().apart
    assert (apart.device, {trial.machine for trial in apart.trials}) == (DEVICES[0], {DEVICES[0]})
    assert all(trial.value("time") > trial.configuration["us"] for trial in apart.trials), "as it took there"
    assert apart.why.startswith("the reference kernel 'clock' takes")
    note = backend.provenance().note
    assert note.startswith(f"measured on {DEVICES[1]}; {DEVICES[0]} was taken out: the reference kernel 'clock' takes")


def test_a_search_waits_for_enough_to_begin_with_and_for_no_less(make):
    """Also with its last requests: what still compiles goes on while the GPUs measure."""
    backend = make(batch_size=1)
    asked = requests({"us": 1.0}, {"us": 2.0})
    assert len(backend.late(asked[:1], Patience(whole=True))) == 0
    few = make(batch_size=8)
    assert list(few.late(asked, Patience(whole=True))) == []


def test_each_gpu_gets_one_batch_at_a_time_of_the_sizes_with_the_most_to_measure(make):
    """What is needed first comes first, however little there is of its size."""
    backend = make(DEVICES)
    sizes = [*[32] * 1, *[64] * 3, *[128] * 4, *[256] * 2]
    asked = [Request({"us": float(place)}, {"seq": size}, "sweep") for place, size in enumerate(sizes)]
    backend.features(asked)  # all of it has compiled
    now = {*range(len(asked))} - set(backend.late(asked, Patience()))
    assert {sizes[place] for place in now} == {64, 128}
    assert len(now) == 7
    now = {*range(len(asked))} - set(backend.late(asked, Patience(needed=[0])))
    assert {sizes[place] for place in now} == {32, 128}
    many = requests(*({"us": float(place)} for place in range(20)))
    backend.features(many)
    now = {*range(len(many))} - set(backend.late(many, Patience()))
    assert len(now) == 8, "two batches of four"
    checked = [trial.invalidity for _, trial in backend.evaluate([many[place] for place in now])]
    assert checked == ["correct"] * 8


@pytest.mark.parametrize(("compilers", "asked"), [(0, 16), (2, 16), (3, 17), (64, 200)])
def test_those_who_compile_have_something_to_do_while_gpus_measure(make, compilers, asked):
    lanes = make(DEVICES)._lanes
    assert FleetBackend(lanes, compilers).batch_size == asked


def test_a_member_that_is_warm_has_opened_its_gpu_and_measured_nothing(make, tmp_path):
    backend = make()
    opening = Piece(work="measure", data=encoded(MeasureOrder(kernel=KERNEL, compiler="V13")), wants=DEVICES[0])
    executor = backend._lanes[0]._supervisor._executor
    assert decoded(answered(executor.submit(opening).result()), MeasuredBatch).machine.device.name == "Fake GPU"
    assert steps(tmp_path, DEVICES[0]) == ["open"]
    told(backend.evaluate(requests({"us": 1.0})))
    assert steps(tmp_path, DEVICES[0]).count("open") == 1


def test_machine_code_that_arrives_damaged_is_not_kept(make, tmp_path):
    """Neither here nor on the host that is to launch it."""
    with pytest.raises(TunerError, match="arrived damaged"):
        list(make().evaluate(requests({"kind": "damaged"})))
    assert not list((tmp_path / "own").glob("*"))


def test_a_host_keeps_what_its_digest_names_and_asks_for_the_rest(tmp_path):
    """Other bytes under a digest, a part of them, and bytes that are no cubin are as good as none; a kept one is replaced."""
    store = CubinStore(tmp_path)
    blob = Cubin("f", b"code").packed()
    one = CubinReference(key="1" * 40, digest=digest_of(blob))
    for bytes_ in (b"", blob[:-1], blob + b"x", b"\xff\n", b"f notanumber\ncode"):
        assert keep_code(store, [one], {one.digest: bytes_}) == (one.digest,)
        assert keep_code(store, [CubinReference(key="1" * 40, digest=digest_of(bytes_))], {one.digest: blob}) != ()
    assert (
        keep_code(store, [CubinReference(key="2" * 40, digest=digest_of(b"\xff\n"))], {digest_of(b"\xff\n"): b"\xff\n"})
        != ()
    )
    assert keep_code(store, [one], {one.digest: blob}) == ()
    assert keep_code(store, [one], {}) == (), "once a host has it, it need not travel again"
    other = Cubin("f", b"other").packed()
    changed = CubinReference(key="1" * 40, digest=digest_of(other))
    assert keep_code(store, [changed], {}) == (changed.digest,)
    assert keep_code(store, [changed], {changed.digest: other}) == ()
    assert store.get("1" * 40).code == b"other"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"source_sha256": "0" * 64},
            "its source of .* that of the search 000000000000; install the same spak on both",
        ),
        ({"op": "no_such"}, "it has no kernel no_such; it has "),
        ({"own": "/etc/kernel.py"}, "/etc/kernel.py: a fleet takes no kernel from a file"),
    ],
)
def test_a_worker_refuses_a_kernel_that_is_not_its_own(tmp_path, change, said):
    kernel = msgspec.structs.replace(KERNEL, **change)
    batch = Batch({}, (), 1, PLAN, 1.0)
    bench = Workbench(Workplace("w", tmp_path), WORKS)
    outcome = bench.perform(Piece(work="measure", data=encoded(MeasureOrder(kernel=kernel, batch=batch))))
    with pytest.raises(TunerError, match=f"^fleet: w: measure: {said}"):
        decoded(answered(outcome), MeasuredBatch)
    bench.close()
