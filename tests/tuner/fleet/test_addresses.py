"""Where a machine listens: addresses, interfaces and names that others reach, never by mistake one that only it reaches."""

from __future__ import annotations

import socket

import pytest

from spak.tuner.errors import TunerError
from spak.tuner.fleet.addresses import bracketed, check_reached, listening

pytest.importorskip("psutil", reason="interfaces are asked for through psutil, which comes with Dask")


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("10.0.0.1", ("10.0.0.1", 0)),
        ("10.0.0.1:8786", ("10.0.0.1", 8786)),
        ("0.0.0.0:8786", ("0.0.0.0", 8786)),  # noqa: S104
        ("fd00::1", ("fd00::1", 0)),
        ("[fd00::1]:8786", ("fd00::1", 8786)),
        ("[::]", ("::", 0)),
        ("lo:1", ("127.0.0.1", 1)),
        ("localhost", ("127.0.0.1", 0)),
    ],
)
def test_addresses_interfaces_and_names(named, found, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, 1, 6, "", ("127.0.0.1", 0))])
    assert listening(named) == found


@pytest.mark.parametrize("named", ["no-such-host.invalid", "10.0.0.1:99999", "", "x" * 300, "10.0.0.256"])
def test_what_is_no_address_is_named(named, monkeypatch):
    def unknown(host, *_, **__):
        raise UnicodeError if len(host) > 200 else OSError

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(TunerError, match=f"^--listen {named}: no address, no interface"):
        listening(named)


def test_a_name_that_only_its_own_machine_finds_is_refused(monkeypatch):
    """As Debian writes the name of a machine into its own list of hosts."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, 1, 6, "", ("127.0.1.1", 0))])
    with pytest.raises(TunerError, match=r"^--listen node1: that name is 127\.0\.1\.1 here, which only this machine"):
        listening("node1:8786")


def test_a_server_that_finds_only_itself_is_not_told_to_others():
    check_reached("tls://127.0.0.1:8786", "127.0.0.1")
    check_reached("tls://10.0.0.1:8786", "0.0.0.0:8786")
    check_reached("tls://[fd00::1]:8786", "[::]:8786")
    for found, named in (("tls://127.0.0.1:8786", "0.0.0.0:8786"), ("tls://[::1]:8786", "[::]")):
        with pytest.raises(TunerError, match="finds no address of its own"):
            check_reached(found, named)
    assert (bracketed("fd00::1"), bracketed("10.0.0.1")) == ("[fd00::1]", "10.0.0.1")
