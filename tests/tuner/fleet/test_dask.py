"""The fleet on Dask, with real processes and real certificates: who may speak to it, what it reads, what a death costs."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import socket
import time
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import typer

from spak.cli.spak_commands.fleet import StatusQuestion, _tell_status
from spak.fleet import FleetRequest, join_fleet, start_fleet
from spak.kernels.registry import SPECS
from spak.kg.space.completion import complete, completed
from spak.tuner.backend.compile.protocol import Order
from spak.tuner.backend.source import source_of
from spak.tuner.errors import TunerError
from spak.tuner.fleet import workbench
from spak.tuner.fleet.access import FleetAccess, make_keys
from spak.tuner.fleet.backend import FleetPool
from spak.tuner.fleet.executor import CPU, FleetMember, Piece, answered
from spak.tuner.fleet.host import FleetHost, HostSetup
from spak.tuner.fleet.open import describe
from spak.tuner.fleet.orders import KernelIdentity
from tests.shipped import LAWS
from tests.tuner.fleet.odd_works import WORKS

pytest.importorskip("distributed", reason="the fleet needs Dask: pip install 'spak[fleet]'")

GPU = "0123456789ab"
MEMBERS = [
    FleetMember(name="one", host="here", resources=(CPU,)),
    FleetMember(name="gpu", host="here", resources=(GPU,)),
]


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A fleet of a scheduler and two workers, over TLS on this machine."""
    folder = tmp_path_factory.mktemp("fleet")
    make_keys(folder)
    made = FleetHost(HostSetup(folder / "cache", "127.0.0.1", {**workbench.WORKS, **WORKS}))
    try:
        made.access = made.start_scheduler(FleetAccess("tls://127.0.0.1:0", folder))
        made.start_workers(made.access, MEMBERS)
        yield made
    finally:
        made.close()


@pytest.fixture
def fleet(host):
    from spak.tuner.fleet.dask_executor import DaskExecutor

    made = DaskExecutor(host.access)
    until(lambda: len(made.members()) == 2)
    yield made
    made.close()


def until(condition):
    """Wait for what another process does; the test's own time limit ends it if that never happens."""
    while not condition():
        time.sleep(0.02)


def odd(deed: str) -> Piece:
    return Piece(work="odd", data=deed.encode())


def test_pieces_reach_who_offers_what_they_want_and_bytes_come_back(fleet):
    """Also several millions of them."""
    assert [(one.name, one.resources) for one in fleet.members()] == [("gpu", (GPU,)), ("one", (CPU,))]
    large = os.urandom(5_000_000)
    futures = [fleet.submit(Piece(work="echo", data=large if n == 2 else b"small", wants=GPU)) for n in range(4)]
    parts = [future.result().data.rpartition(b"|gpu|0123456789ab|") for future in futures]
    assert [data for data, _, _ in parts] == [b"small", b"small", large, b"small"]
    counts = [int(count) for _, _, count in parts]
    assert counts == list(range(counts[0], counts[0] + 4)), "one after the other, in the order given"
    assert (
        fleet.submit(Piece(work="os:system", data=b"true")).result().error.startswith("os:system: this worker knows no")
    )
    with pytest.raises(TunerError, match="no member of the fleet offers ffff; there is 0123456789ab, cpu"):
        fleet.submit(Piece(work="echo", data=b"", wants="ffff"))


def test_who_is_killed_costs_the_piece_it_had_and_nobody_else_pays(host, fleet, tmp_path):
    """Pieces that wait for the same worker are done by its successor, each once."""
    begun = tmp_path / "begun"
    had = fleet.submit(odd(f"wait {begun}"))
    behind = [fleet.submit(Piece(work="echo", data=b"behind")) for _ in range(3)]
    beside = fleet.submit(Piece(work="echo", data=b"beside", wants=GPU))
    until(lambda: begun.exists() and begun.read_text())
    assert int(begun.read_text()) == host.processes["one"]
    os.kill(host.processes["one"], signal.SIGKILL)
    assert had.result().lost.startswith("it did not answer")
    assert had.result().member == "one"
    assert [future.result().data for future in behind] == [b"behind|one||1", b"behind|one||2", b"behind|one||3"]
    assert beside.result().data.startswith(b"beside|gpu")


def test_who_is_busy_is_seen_and_who_is_told_to_leave_hands_its_piece_back(host, fleet, tmp_path, capsys):
    """As a batch system tells it that preempts: the next member does the piece from its beginning, and nobody is charged.

    `status` waits for no piece; it ends with 1 where fewer are there than asked for, and with an error without a fleet.
    """
    begun, other = tmp_path / "begun", tmp_path / "other"
    had = fleet.submit(odd(f"wait_unless {begun} {other}"))
    until(lambda: begun.exists() and begun.read_text())
    with pytest.raises(typer.Exit) as ended:
        _tell_status(host.access.address, host.access.keys, StatusQuestion(99, form="json"))
    rows = json.loads(capsys.readouterr().out)["workers"]
    assert (ended.value.exit_code, {row["name"]: row["busy"] for row in rows}) == (1, {"one": True, "gpu": False})
    with pytest.raises(TunerError, match="neither an address"):
        _tell_status(str(tmp_path), tmp_path, StatusQuestion(seconds=0.6))
    other.touch()
    os.kill(host.processes["one"], signal.SIGTERM)
    assert had.result().data == b"the second had it"


def test_who_has_another_kernel_gets_no_more_pieces_and_somebody_else_does_them(host, fleet, tmp_path):
    """As one that joins a search with another release; where nobody else is left, the search is told."""
    from spak.tuner.fleet.dask_executor import DaskExecutor

    joined = FleetHost(HostSetup(tmp_path, "127.0.0.1", WORKS))
    other = DaskExecutor(host.access)
    try:
        joined.start_workers(host.access, [FleetMember(name="new", host="here", resources=(CPU,))])
        until(lambda: ("new", (CPU,)) in [(one.name, one.resources) for one in other.members()])
        while ("new", ()) not in [(one.name, one.resources) for one in other.members()]:
            done = [other.submit(odd("unless new")) for _ in range(8)]
            assert {future.result().data for future in done} == {b"one"}
    finally:
        other.close()
        joined.close()
    until(lambda: len(fleet.members()) == 2)
    with pytest.raises(TunerError, match="fleet: one: odd: its source is another one"):
        answered(fleet.submit(odd("unless one")).result())


def test_a_search_that_leaves_gives_its_pieces_up_and_the_fleet_serves_the_next(host, fleet):
    from spak.tuner.fleet.dask_executor import DaskExecutor

    other = DaskExecutor(host.access)
    until(lambda: len(other.members()) == 2)
    futures = [other.submit(Piece(work="echo", data=b"x")) for _ in range(50)]
    other.close()
    other.close()
    assert not wait(futures, timeout=60).not_done
    assert all(future.result().lost or future.result().data for future in futures)
    with pytest.raises(TunerError, match="closed"):
        other.submit(Piece(work="echo", data=b"x"))
    assert fleet.submit(Piece(work="echo", data=b"next")).result().data.startswith(b"next|one")


class Payload:
    """A pickle that leaves a file behind when it is read."""

    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return (Path.touch, (Path(self._path),))


async def _send(access, address, message):
    """What a server answers to a raw message of somebody who holds the certificate; None if it hangs up."""
    from distributed.comm import connect
    from distributed.security import Security

    arguments = Security(**access.connection(), require_encryption=True).get_connection_args("client")
    comm = await connect(address, **arguments)
    try:
        await comm.write(message)
        answer = {"begun": True}
        while isinstance(answer, dict) and "begun" in answer:
            answer = await asyncio.wait_for(comm.read(), 20)
    except (OSError, EOFError):
        return None
    else:
        return answer
    finally:
        comm.abort()


def workers(host):
    """Address of each worker, by its name."""
    known = asyncio.run(_send(host.access, host.access.address, {"op": "identity"}))
    return {said["name"]: address for address, said in known["workers"].items()}


def test_nobody_runs_a_function_of_his_own_by_a_pickle(host, fleet, tmp_path):
    """A pickle is not read, wherever in a message it stands and whoever gets it, and the server lives on."""
    from distributed.protocol import Serialize, to_serialize
    from distributed.protocol.serialize import ToPickle

    marker = tmp_path / "pickled"
    body = pickle.dumps(Payload(marker))
    addresses = [host.access.address, *workers(host).values()]
    messages = [
        {"op": "identity", "n_workers": ToPickle(Payload(marker))},
        {"op": "echo", "data": to_serialize(Payload(marker))},
        {"op": "fleet-perform", "piece": Serialize(Payload(marker)), "ticket": "1"},
        {"op": "run", "function": body, "args": body, "kwargs": {}, "wait": True},
        {"op": "run_coroutine", "function": body},
        {"op": "run_function", "function": body, "args": (), "kwargs": {}},
        {"op": "feed", "function": body, "setup": body, "interval": "1s"},
        {"op": "plugin-add", "plugin": body, "name": "x"},
        {"op": "register_scheduler_plugin", "plugin": body, "name": "x"},
        {"op": "register_worker_plugin", "comm": None, "plugin": body, "name": "x"},
        {"op": "upload_file", "filename": "evil.py", "data": b"import pathlib; pathlib.Path('%s').touch()" % str(marker).encode()},
        {"op": "broadcast", "msg": {"op": "run", "function": body}},
    ]  # fmt: skip
    for address in addresses:
        for message in messages:
            asyncio.run(_send(host.access, address, dict(message)))
    assert not marker.exists()
    assert fleet.submit(Piece(work="echo", data=b"alive", wants=GPU)).result().data.startswith(b"alive")
    pickle.loads(body)  # noqa: S301 - it is ours
    assert marker.exists(), "the payload works where it is read"


def test_a_client_of_dask_that_submits_a_function_gets_nowhere(host, fleet, tmp_path):
    """The ordinary way to use Dask: even with the certificate there is nobody who would take a task."""
    import subprocess
    import sys

    script = (
        "import sys\nfrom pathlib import Path\nfrom distributed import Client\nfrom distributed.security import Security\n"
        f"security = Security(**{host.access.connection()!r}, require_encryption=True)\n"
        f"client = Client({host.access.address!r}, security=security, timeout=3)\n"
        f"print(client.submit(Path.touch, Path({str(tmp_path / 'ran')!r})).result(timeout=3))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert not (tmp_path / "ran").exists()
    assert fleet.submit(Piece(work="echo", data=b"alive")).result().data.startswith(b"alive")


def test_without_the_fleets_certificate_nobody_is_let_in(host, tmp_path):
    """Neither with another certificate nor without one."""
    from spak.tuner.fleet.dask_executor import DaskExecutor

    make_keys(tmp_path / "other")
    said = "its certificate is not that of .*; copy the folder of that fleet"
    with pytest.raises(TunerError, match=said):
        DaskExecutor(FleetAccess(host.access.address, tmp_path / "other"))
    with pytest.raises(TunerError, match=said):
        join_fleet(host.access.address, FleetRequest(keys=tmp_path / "other", compilers=1, gpus=False, cache=tmp_path))
    with pytest.raises(TunerError, match=r"^fleet tcp:"):
        DaskExecutor(FleetAccess(host.access.address.replace("tls", "tcp"), None))


def test_who_joins_before_the_scheduler_is_there_waits_for_it(tmp_path):
    """And is told; whoever wants to search is told at once."""
    from spak.tuner.fleet.dask_executor import DaskExecutor

    with socket.create_server(("127.0.0.1", 0)) as taken:
        access = FleetAccess(f"tcp://127.0.0.1:{taken.getsockname()[1]}", None)
    said = []
    request = FleetRequest(keys=tmp_path, compilers=1, gpus=False, cache=tmp_path, say=said.append)
    joined, scheduler = join_fleet(access.address, request), FleetHost(HostSetup(tmp_path))
    try:
        assert said == [f"nobody answers at {access.address} yet; the workers join when somebody does"]
        with pytest.raises(
            TunerError, match=f"^fleet {access.address}: nobody answers there; is `spak fleet up` running"
        ):
            DaskExecutor(access)
        scheduler.start_scheduler(access)
        fleet = DaskExecutor(access)
        until(lambda: [one.name for one in fleet.members()] == [joined.members[0].name])
        fleet.close()
    finally:
        joined.close()
        scheduler.close()


def test_a_fleet_that_is_gone_for_good_ends_a_search_in_words(tmp_path):
    """After a while, in which it might have come back; its journal has every trial."""
    from spak.tuner.fleet.dask_executor import DaskExecutor

    gone = FleetHost(HostSetup(tmp_path, "127.0.0.1", WORKS))
    access = gone.start_scheduler(FleetAccess("tcp://127.0.0.1:0", None))
    gone.start_workers(access, MEMBERS[:1])
    fleet = DaskExecutor(access, patience_s=1.0)
    until(lambda: len(fleet.members()) == 1)
    gone.close()
    outcome = fleet.submit(Piece(work="echo", data=b"x")).result()
    fleet.close()
    assert outcome.lost == (
        f"the scheduler at {access.address} does not answer, and no member of the fleet offers cpu any more; "
        "once that is mended go on with --resume"
    )


def test_a_member_that_says_it_is_reached_without_tls_is_not_spoken_to():
    """Nor is one that does not say what it is; who has the key may say anything of itself."""
    from spak.tuner.fleet.dask_executor import reached_alike

    said = {"name": "one", "host": "10.0.0.2", "resources": {"cpu": 1}}
    workers = {
        "tcp://10.0.0.2:1": said,
        "ws://10.0.0.2:1": said,
        "tls://10.0.0.2:1": said,
        "tls://10.0.0.2:2": {"name": 1},
    }
    assert [address for address, _ in reached_alike(workers, "tls://10.0.0.1:8786")] == ["tls://10.0.0.2:1"]


def test_who_connects_and_says_nothing_is_hung_up_on(host, monkeypatch):
    """Before TLS anybody could hold connections until no member gets one."""
    from distributed.comm import listen
    from distributed.comm.tcp import TLSBackend
    from distributed.security import Security

    from spak.tuner.fleet import dask_listener

    monkeypatch.setattr(dask_listener, "HANDSHAKE_S", 0.1)
    monkeypatch.setattr(TLSBackend, "_listener_class", TLSBackend._listener_class)
    dask_listener.listen_promptly()

    async def hold():
        security = Security(**host.access.connection(), require_encryption=True)
        listener = await listen("tls://127.0.0.1:0", lambda _: None, **security.get_listen_args("scheduler"))
        reader, writer = await asyncio.open_connection("127.0.0.1", int(listener.listen_address.rpartition(":")[2]))
        try:
            return await reader.read()
        finally:
            writer.close()
            listener.stop()

    assert asyncio.run(hold()) == b""


def test_garbage_does_not_bring_a_worker_down(host, fleet):
    """Bytes that are no piece are refused in words; frames that are no message end their connection and nothing else."""
    address = workers(host)["one"]
    for data in (b"", b"\xc1garbage", b"\x80"):
        answer = asyncio.run(_send(host.access, address, {"op": "fleet-perform", "piece": data, "ticket": "t"}))
        assert b"this is no piece of work" in answer["outcome"]
    asyncio.run(_send(host.access, address, {"op": "fleet-perform", "piece": 7, "ticket": "t"}))
    asyncio.run(_send(host.access, address, ["no", "dictionary"]))
    asyncio.run(_send(host.access, address, {"op": "no such"}))
    assert fleet.submit(Piece(work="echo", data=b"alive")).result().data.startswith(b"alive")


OP = "linear"
ARCHS = ("sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")


@pytest.mark.compiler
@pytest.mark.slow
def test_a_fleet_compiles_for_six_architectures_without_a_gpu(fleet):
    """What the compiler says of one configuration differs with the architecture, and comes back for each."""
    op = LAWS.ops[OP]
    problem, configuration = complete(op, {}), completed(op, {})
    source = source_of(OP, with_spec=True)
    found = {}
    for arch in ARCHS:
        pool = FleetPool(fleet, KernelIdentity(op=OP, arch=arch, source_sha256=source))
        [(place, compiled)] = pool.compile([Order(problem=problem, configuration=configuration)])
        assert (place, compiled.failure) == (0, None), arch
        found[arch] = compiled.features
    assert all(features["registers"] > 0 for features in found.values())
    assert len({tuple(sorted(features.items())) for features in found.values()}) > 1


def test_every_worker_says_what_it_is(fleet):
    """Who does not compile is not asked for a compiler."""
    said = {one.member.name: one.said for one in describe(fleet, next(iter(SPECS)))}
    assert set(said) == {"one", "gpu"}
    assert {one.source_sha256 for one in said.values()} == {source_of(next(iter(SPECS)))}
    assert said["gpu"].toolchain == said["gpu"].features_toolchain == {}


@pytest.mark.compiler
def test_the_compiler_is_imported_once_by_the_process_that_compiles_when_a_worker_joins(host, fleet):
    """Nobody had to ask; and whoever asks a worker for its versions has none imported beside it."""
    worker = psutil.Process(host.processes["one"])
    until(lambda: [one for one in worker.children(recursive=True) if imported(one)])
    assert describe(fleet, next(iter(SPECS)))[1].said.toolchain["cuda-tile"]
    assert not imported(worker)
    assert [imported(one) for one in worker.children(recursive=True)].count(True) == 1
    assert not [one for one in psutil.Process(host.processes["gpu"]).children(recursive=True) if imported(one)]


def imported(process: psutil.Process) -> bool:
    """Whether it has torch, which cuTile imports."""
    try:
        return "libtorch" in Path(f"/proc/{process.pid}/maps").read_text()
    except OSError:  # it has ended
        return False


def test_another_machine_joins_is_seen_and_leaves(host, fleet, tmp_path, capsys):
    """With the folder of keys; what would do nothing, or speak to others without TLS, does not start."""
    request = FleetRequest(keys=host.access.keys, compilers=1, gpus=False, cache=tmp_path)
    joined = join_fleet(host.access.address, request)
    try:
        until(lambda: len(fleet.members()) == 3)
        _tell_status(host.access.address, host.access.keys, StatusQuestion(3, 60))
        text = capsys.readouterr().out
        assert joined.members[0].name in text
        assert text.endswith("3 workers\n")
        assert text.count(" compiles ") == 3
    finally:
        joined.close()
    until(lambda: len(fleet.members()) == 2)
    taken = host.access.address.partition("://")[2]
    with pytest.raises(TunerError, match="neither compile nor measure"):
        join_fleet(host.access.address, replace(request, compilers=0))
    for wrong, said in (
        ({"listen": taken}, f"does not listen at tls://{taken}: OSError: .*Address already in use"),
        ({"tls": False, "listen": "0.0.0.0:1"}, "TLS only"),
    ):
        with pytest.raises(TunerError, match=said):
            start_fleet(replace(request, **wrong))
