"""A fleet of real processes on this machine, for benchmarks: over TLS, as `spak fleet up` starts it; and caches that are empty."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from spak.tuner.backend.gpu.cubins import CubinStore
from spak.tuner.errors import TunerError
from spak.tuner.fleet.access import FleetAccess, make_keys
from spak.tuner.fleet.executor import Executor, FleetMember
from spak.tuner.fleet.host import FleetHost, HostSetup

JOIN_LIMIT_S = 120.0

COMPILERS_OWN_CACHES = ("CUDA_TILE_CACHE_DIR", "TRITON_CACHE_DIR")
"""Where cuTile and Triton keep what they compiled for this user, beside what a search keeps: by default in one place for
all, so that whoever compiles second reads what the first one wrote."""


@contextlib.contextmanager
def empty_caches(folder: Path) -> Iterator[None]:
    """The compilers' own caches are in `folder`, for this process and those that it starts meanwhile."""
    before = {name: os.environ.get(name) for name in COMPILERS_OWN_CACHES}
    os.environ.update({name: str(folder / name.lower()) for name in COMPILERS_OWN_CACHES})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def functions_compiled(folder: Path) -> int:
    """How many functions cuTile compiled within `empty_caches(folder)`, by what its own cache took down.

    Raises:
        SystemExit: If the stores of cubins in `folder` hold more: then some came from elsewhere, and no time is to be believed.
    """
    there = {cubin.code for file in folder.rglob("*.cubin") if (cubin := CubinStore(file.parent).get(file.stem))}
    cache = folder / COMPILERS_OWN_CACHES[0].lower() / "cache.db"
    count = 0
    if cache.is_file():
        with contextlib.closing(sqlite3.connect(cache)) as known:
            count = int(known.execute("SELECT COUNT(*) FROM cache").fetchone()[0])
    if count < len(there):
        raise SystemExit(f"{len(there)} functions, of which cuTile compiled {count}: the others were in another cache")
    return count


@contextlib.contextmanager
def local_fleet(folder: Path, members: Sequence[FleetMember]) -> Iterator[tuple[Executor, float]]:
    """A fleet of `members` that have joined, with its keys and caches in `folder`, and the seconds that took.

    Raises:
        SystemExit: If not all have joined after `JOIN_LIMIT_S`.
    """
    from spak.tuner.fleet.dask_executor import DaskExecutor

    begun = time.monotonic()
    host = FleetHost(HostSetup(folder / "cache", "127.0.0.1", say=lambda said: print(f"  {said}", file=sys.stderr)))
    try:
        access = host.start_scheduler(_access(folder / "keys"))
        host.start_workers(access, members)
        executor = DaskExecutor(access)
        try:
            while len(executor.members()) < len(members):
                if time.monotonic() - begun > JOIN_LIMIT_S:
                    raise SystemExit(f"{len(executor.members())} of {len(members)} workers joined in {JOIN_LIMIT_S} s")
                time.sleep(0.05)
            yield executor, time.monotonic() - begun
        finally:
            executor.close()
    finally:
        host.close()


def _access(keys: Path) -> FleetAccess:
    try:
        make_keys(keys)
    except TunerError as error:
        print(f"  without TLS: {error}", file=sys.stderr)
        return FleetAccess("tcp://127.0.0.1:0", None)
    return FleetAccess("tls://127.0.0.1:0", keys)
