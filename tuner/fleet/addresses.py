"""Where a machine is reached by the others: what a person calls it, an address, a name or a network interface, as an address."""

from __future__ import annotations

import ipaddress
import socket

from spak.tuner.errors import TunerError
from spak.tuner.fleet.access import is_loopback


def listening(named: str) -> tuple[str, int]:
    """The address and the port of `HOST[:PORT]`; port 0, any free one, where none is named.

    Args:
        named: HOST is an address (`10.0.0.1`, `[fd00::1]`), every address (`0.0.0.0`, `[::]`), a network interface of this
            machine (`ib0`), or a name.

    Raises:
        TunerError: If it is none of these, or a name by which this machine finds itself and no other finds it.
    """
    host, port = _split(named)
    try:
        return str(ipaddress.ip_address(host)), port
    except ValueError:
        return _of_interface(host) or _of_name(host), port


def bracketed(host: str) -> str:
    """A host as it stands before a port."""
    return f"[{host}]" if ":" in host else host


def check_reached(address: str, named: str) -> None:
    """Refuse an address that a server found for itself and that only this machine reaches.

    Args:
        address: What others are told.
        named: What it was to listen at.

    Raises:
        TunerError: If others were to reach it.
    """
    if is_loopback(address.partition("://")[2].rpartition(":")[0]) and not is_loopback(listening(named)[0]):
        raise TunerError(
            f"--listen {named}: this machine finds no address of its own that others reach; name it, or an interface"
        )


def _split(named: str) -> tuple[str, int]:
    host, _, port = named.rpartition(":")
    if (named.count(":") == 1 or "]:" in named) and port.isdigit() and int(port) < 2**16:
        return host.strip("[]"), int(port)
    return named.strip("[]"), 0


def _of_interface(name: str) -> str:
    """The first IPv4 address of an interface, else the first IPv6 one that other networks reach; empty if it has none."""
    import psutil

    found = [(one.family, one.address) for one in psutil.net_if_addrs().get(name, ())]
    four = [address for family, address in found if family == socket.AF_INET]
    six = [address for family, address in found if family == socket.AF_INET6 and "%" not in address]
    return next(iter([*four, *six]), "")


def _of_name(host: str) -> str:
    """The first address of a name.

    Raises:
        TunerError: If it has none, or stands for this machine alone though it does not say so.
    """
    try:
        found = str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError):
        raise TunerError(
            f"--listen {host}: no address, no interface of this machine, and no name that is known"
        ) from None
    if is_loopback(found) and not is_loopback(host):
        raise TunerError(
            f"--listen {host}: that name is {found} here, which only this machine reaches; name an address or an interface"
        )
    return found
