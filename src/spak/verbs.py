"""The verbs that meet a machine or a tool: what they need of it, taken from this one."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

from spak.kg.files.root import LawRoot
from spak.kg.formats import importing
from spak.kg.formats.importing import Imported
from spak.kg.formats.tried import ToolRun
from spak.library import Library
from spak.tuner import verify as verification
from spak.tuner.backend.cores import usable_cores
from spak.tuner.engine.checking import executed
from spak.tuner.engine.surroundings import Surroundings
from spak.tuner.learn.records import LearnedRecords, LearnRequest, learn_records
from spak.tuner.verify import Verification


def here(library: Library, *, cache: Path, local: Path | None = None) -> Surroundings:
    """This machine, its clocks and its GPU, for `search` and `repeat`.

    Args:
        library: The laws.
        cache: Folder that keeps what is compiled; safe to delete.
        local: Folder for journals and for run files that no law root takes; None if nothing is to be written.
    """
    return Surroundings(
        laws=library.laws,
        root=LawRoot(library.root, library.writable, library.over),
        now=lambda: datetime.now(UTC),
        clock=time.monotonic,
        cache=cache,
        local=local,
        workers=usable_cores(),
        device=_device,
    )


def _device() -> str:
    """What the driver calls this machine's GPU; empty if there is none."""
    from spak.tuner.backend.gpu.detect import detect  # noqa: PLC0415 - asks the driver

    gpu = detect()
    return "" if gpu is None else gpu.name


def verify(
    library: Library, laws: Sequence[str] = (), *, seed: int = 0, found: Collection[str] = ()
) -> tuple[Verification, ...]:
    """Judge laws by every recorded run that can speak of them, and their evidence by its runs.

    The check that a law names is executed as well, in a process of its own.

    Args:
        library: The laws and their runs.
        laws: Ids; empty means all.
        seed: Draws the inputs and sizes of the checks.
        found: Runs in which the laws were found: they suggest them, and never confirm them.

    Raises:
        UnknownNameError: If there is no such law or run; carries the nearest.
        InvalidFilesError: If a run file cannot be read, or a law names a check that there is not.
    """
    for law in laws:
        library.laws.path("law", law)
    for run in found:
        library.laws.path("run", run)
    named = [library.laws.laws[law] for law in laws or library.laws.laws]
    runs = executed(named, library.laws, seed, datetime.now(UTC))
    known = verification.witnesses(library.laws)
    judged = [(law, verification.replay_law(law, known, found)) for law in named]
    return tuple(
        verification.with_check(one, law, runs[law.id], library.laws) if law.id in runs else one for law, one in judged
    )


def record(laws: Library | Path, run: ToolRun) -> Imported:
    """Write what another tool measured as a run file, failures included: from then on it is known here.

    The same trials twice change nothing. A library stays as loaded; `load` it again to see them.

    Args:
        laws: Whose folder to write into; or a folder of laws, which is made if it is not there.
        run: The trials, and who measured them where and when.

    Raises:
        KgError: If the laws may not be written, or a trial, a name or the space does not fit; nothing is written then.
    """
    if isinstance(laws, Library):
        LawRoot(laws.root, laws.writable).require_writable()
    return importing.record(laws.root if isinstance(laws, Library) else laws, run)


def learn(library: Library, request: LearnRequest) -> LearnedRecords:
    """Look for laws in recorded runs of an op, imported ones included, and test them on the runs that did not suggest.

    Nothing is measured. With `request.write` confirmed laws are written, and into the runs what they suggested; the
    library stays as loaded.

    Raises:
        UnknownNameError: If op or hardware is unknown; carries the nearest.
        TunerError: If too little is recorded to suggest something and to test it.
        KgError: If the laws may not be written, or a file cannot be read.
    """
    if request.write:
        LawRoot(library.root, library.writable).require_writable()
    return learn_records(library.laws, request)
