"""Hosts made of network namespaces: each has an address, a name and a cable of its own, which can be pulled.

They hang on one switch in a namespace of its own, from where no packet reaches another network. A host is a thread; what
it starts, sockets, threads and processes, is on that host. All of it is gone when the last process of a host is.
It needs root and the command `ip`.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Self, TypeVar

_Result = TypeVar("_Result")

_NEW_UTS, _NEW_NET = 0x04000000, 0x40000000
"""`CLONE_NEWUTS` and `CLONE_NEWNET` of linux/sched.h."""


def missing() -> str:
    """Why no hosts can be made here; empty if they can."""
    try:
        with Hosts(1):
            return ""
    except OSError as error:
        return str(error)


def _own_network() -> str:
    """Move this thread into a network of its own; why that is not allowed."""
    if not hasattr(os, "geteuid") or ctypes.CDLL(None, use_errno=True).unshare(_NEW_UTS | _NEW_NET):
        return f"a network namespace is not allowed here ({os.strerror(ctypes.get_errno())})"
    return ""


class Host:
    """One host: `run` runs there, with this process's files."""

    def __init__(self, name: str) -> None:
        """Have a network with no cable.

        Raises:
            OSError: If that is not allowed.
        """
        self.name, self.address, self.address6 = name, "", ""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self.thread_id = self.run(self._begin)

    def run(self, what: Callable[..., _Result], *arguments: Any, **named: Any) -> _Result:
        """What `what` gives, called on this host."""
        return self.start(what, *arguments, **named).result()

    def start(self, what: Callable[..., _Result], *arguments: Any, **named: Any) -> Future[_Result]:
        """The same without waiting; one after the other."""
        return self._thread.submit(what, *arguments, **named)

    def ip(self, arguments: str) -> None:
        """Call `ip` on this host.

        Raises:
            OSError: With what it says, if it fails.
        """
        done = self.run(subprocess.run, ["ip", *arguments.split()], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"ip {arguments}: {done.stderr.strip()}")

    def close(self) -> None:
        """End the thread; the network goes with the last process."""
        self._thread.shutdown()

    def _begin(self) -> int:
        if reason := _own_network():
            raise OSError(reason)
        socket.sethostname(self.name)
        return threading.get_native_id()


class Hosts:
    """So many hosts on one switch, `10.77.0.1` and `fd77::1` upwards. Use it in a `with` statement."""

    def __init__(self, count: int) -> None:
        """Make them.

        Raises:
            OSError: If that is not allowed.
        """
        self._stack = ExitStack()
        with ExitStack() as stack:
            self._switch = self._made(stack, "switch")
            self._switch.ip("link add bridge type bridge")
            self._switch.ip("link set bridge up")
            self.hosts = tuple(self._made(stack, f"host{number}") for number in range(1, count + 1))
            for number, host in enumerate(self.hosts, 1):
                self._connect(number, host)
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def pull(self, host: Host) -> None:
        """Pull a host's cable out of the switch: nothing is closed, nothing is answered."""
        self._switch.ip(f"link set port{self.hosts.index(host) + 1} down")

    def plug(self, host: Host) -> None:
        """Put it in again."""
        self._switch.ip(f"link set port{self.hosts.index(host) + 1} up")

    @staticmethod
    def _made(stack: ExitStack, name: str) -> Host:
        host = Host(name)
        stack.callback(host.close)
        return host

    def _connect(self, number: int, host: Host) -> None:
        self._switch.ip(f"link add port{number} type veth peer name eth0 netns {host.thread_id}")
        self._switch.ip(f"link set port{number} master bridge up")
        host.address, host.address6 = f"10.77.0.{number}", f"fd77::{number}"
        host.ip("link set lo up")
        host.ip("link set eth0 up")
        host.ip(f"address add {host.address}/24 dev eth0")
        host.ip(f"-6 address add {host.address6}/64 dev eth0 nodad")
