"""The fleet over three hosts with networks of their own: who is reached, a cable that is pulled, what a stolen key is good for."""

from __future__ import annotations

import socket
import time
from types import SimpleNamespace

import pytest

from bench.hosts import Hosts, missing
from spak.tuner.errors import TunerError
from spak.tuner.fleet.access import FleetAccess, make_keys
from spak.tuner.fleet.dask_executor import GO_ON
from spak.tuner.fleet.executor import CPU, FleetMember, Piece
from spak.tuner.fleet.host import FleetHost, HostSetup
from tests.tuner.fleet.odd_works import WORKS

pytest.importorskip("distributed", reason="the fleet needs Dask: pip install 'spak[fleet]'")
MISSING = missing()
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"hosts of one's own need root and the command ip: {MISSING}")

CABLE_S = 11
"""Seconds after which a peer that answers nothing is given up: the least that Dask takes; 30 where nothing is said."""


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    """A scheduler with an IPv6 address, two hosts with a worker each, and one from where the search is made."""
    folder = tmp_path_factory.mktemp("fleet")
    make_keys(folder)
    with Hosts(4) as made, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP", f"{CABLE_S}s")
        first, one, two, last = made.hosts
        scheduler, workers = FleetHost(HostSetup(folder / "first")), {}
        try:
            access = first.run(scheduler.start_scheduler, FleetAccess(f"tls://[{first.address6}]:0", folder))
            for host in (one, two):
                workers[host] = FleetHost(HostSetup(folder / host.name, works=WORKS))
                host.run(workers[host].start_workers, access, [FleetMember(name=host.name, host="", resources=(CPU,))])
            yield SimpleNamespace(net=made, access=access, workers=workers, one=one, two=two, last=last, folder=folder)
        finally:
            for processes in (*workers.values(), scheduler):
                processes.close()


@pytest.fixture
def fleet(machines):
    import dask

    from spak.tuner.fleet.dask_executor import DaskExecutor

    with dask.config.set({"distributed.comm.timeouts.tcp": f"{CABLE_S}s"}):
        made = machines.last.run(DaskExecutor, machines.access, patience_s=0.5)
        until(lambda: len(made.members()) == 2)
        yield made
        machines.last.run(made.close)


def until(condition):
    while not condition():
        time.sleep(0.02)


def begun(machines, fleet, host):
    """A piece that a host's worker has begun and never ends."""
    note = machines.folder / f"begun-{host.name}"
    piece = fleet.submit(Piece(work="odd", data=f"wait {note}".encode(), wants=host.name))
    until(lambda: note.exists() and note.read_text())
    return piece


def test_hosts_with_names_and_networks_of_their_own_are_one_fleet_over_ipv6(machines, fleet):
    assert machines.one.run(socket.gethostname) == "host2"
    assert socket.gethostname() != "host2"
    answers = [fleet.submit(Piece(work="echo", data=b"x", wants=name)).result() for name in ("host2", "host3")]
    assert [one.member for one in answers] == ["host2", "host3"]
    assert {member.host for member in fleet.members()} == {"fd77::2", "fd77::3"}


def test_another_fleets_keys_and_no_keys_are_refused_from_another_host(machines, tmp_path):
    from spak.tuner.fleet.dask_executor import DaskExecutor

    make_keys(tmp_path)
    plain = FleetAccess(machines.access.address.replace("tls", "tcp"), None)
    for access in (FleetAccess(machines.access.address, tmp_path), plain):
        with pytest.raises(TunerError, match=r"^fleet t"):
            machines.last.run(DaskExecutor, access)


def test_a_host_whose_cable_is_pulled_costs_what_it_had_and_comes_back(machines, fleet):
    """Nothing is closed and nothing answered; what waits is done by the others meanwhile."""
    had = begun(machines, fleet, machines.one)
    machines.net.pull(machines.one)
    waiting = [fleet.submit(Piece(work="echo", data=b"x")) for _ in range(3)]
    assert {future.result().member for future in waiting} == {"host3"}
    outcome = had.result()
    assert (outcome.member, outcome.lost.startswith("it did not answer")) == ("host2", True)
    until(lambda: [one.name for one in fleet.members()] == ["host3"])
    machines.net.plug(machines.one)
    until(lambda: len(fleet.members()) == 2)


def test_a_piece_that_is_handed_back_and_that_nobody_else_takes_is_nobodys_loss(machines, fleet):
    """It does not wait for ever, and it charges no member."""
    had = begun(machines, fleet, machines.two)
    machines.workers[machines.two].close()
    outcome = had.result()
    assert (outcome.member, outcome.lost) == ("", f"no member of the fleet offers host3 any more; {GO_ON}")
    away = fleet.submit(Piece(work="echo", data=b"x", wants="host3"))
    assert away.result().lost == outcome.lost, "a member that was there may come back; that is waited for, not refused"
