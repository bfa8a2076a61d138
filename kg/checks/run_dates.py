"""A run was made before the commit that brought its file, and before now."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from spak.kg.errors import InvalidFilesError, Problem
from spak.kg.files.git import git
from spak.kg.files.listing import EVIDENCE
from spak.kg.files.loader import Laws
from spak.kg.model.run import utc

CLOCKS = timedelta(hours=1)
"""By how much the clocks of two machines may differ: the one that measured and the one that committed, or checks."""

_COMMIT = "commit "


def check(laws: Laws) -> Iterator[Problem]:
    """A finding for each run that says it was made later than it can have been; see `dated`."""
    return dated(laws, datetime.now(UTC), committed(laws.root))


def dated(laws: Laws, now: datetime, committed: Mapping[str, datetime]) -> Iterator[Problem]:
    """A finding for each run made after `now`, or after the commit that its file is from, as `committed` has it.

    A run that cannot be read, or whose time cannot, is another check's.
    """
    for identifier in laws.run_ids:
        if laws.is_beneath("run", identifier):
            continue
        path = laws.path("run", identifier)
        made = utc(of_run(laws, identifier))
        added = committed.get(laws.paths["run"][identifier])
        if made is None:
            continue
        if made > now + CLOCKS:
            message = f"says that it was made on {made:%Y-%m-%d %H:%M}, and that is to come; write when it was"
        elif added is not None and made > added + CLOCKS:
            message = (
                f"says that it was made on {made:%Y-%m-%d %H:%M}, and was committed on {added:%Y-%m-%d %H:%M} already"
            )
        else:
            continue
        yield Problem(str(path), 0, 0, "created", message, "finding", "run-date")


def of_run(laws: Laws, identifier: str) -> str:
    """When the run says that it was made; empty if it cannot be read."""
    try:
        inputs = (b"created", laws.run_digest(identifier))
        return laws.ledger.remembered(inputs, lambda: laws.run(identifier).created, str)
    except InvalidFilesError:
        return ""


def committed(root: Path, revision: str = "") -> dict[str, datetime]:
    """Path relative to the root -> when git got the file as it is; nothing outside a work tree, or where git cannot tell.

    It is the file at `revision`, a commit; without one that of the work tree.

    Of a file that was replaced, as one is when an experiment is repeated, the last commit counts; one that differs from
    what is committed is not there. Two calls for all files.
    """
    words = ("--no-renames", "--relative", "--name-only", "-z")
    try:
        history = git(root, "log", *words, f"--format={_COMMIT}%cI", revision or "HEAD", "--", EVIDENCE)
        edited = git(root, "diff", *words, *([revision, revision] if revision else ["HEAD"]), "--", EVIDENCE)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    if history.returncode or edited.returncode:
        return {}
    found: dict[str, datetime] = {}
    when = None
    for word in filter(None, re.split("[\\0\\n]", _text(history))):
        if word.startswith(_COMMIT):
            when = utc(word.removeprefix(_COMMIT))
        elif when is not None:
            found.setdefault(word, when)
    return {path: when for path, when in found.items() if path not in set(_text(edited).split("\0"))}


def _text(done: subprocess.CompletedProcess[bytes]) -> str:
    return done.stdout.decode(errors="surrogateescape")
