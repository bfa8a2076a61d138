"""The digest a run file carries of its own trials: what was edited after it was written shows.

It protects against slips and careless edits, not against somebody who computes it anew (docs/how-evidence-works.md).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from spak.kg.files import atomic
from spak.kg.files.edit import LawFile
from spak.kg.files.loader import Laws, run_text
from spak.kg.model.law import Law
from spak.kg.model.run import Run

_TRIALS = re.compile(rb'"trials"\s*:')


def sealed(run: Run) -> Run:
    """`run` as it is to be written: with the digest of its trials."""
    trials = msgspec.json.decode(msgspec.json.encode(run.trials))
    return msgspec.structs.replace(run, trials_sha256=trials_digest(trials))


def run_content(run: Run, *, packed: bool) -> bytes:
    """`run` as a file has it, with the digest of its trials; `packed`: gzipped, the same bytes whenever it is made."""
    content = msgspec.json.encode(sealed(run))
    return (
        gzip.compress(content, compresslevel=6, mtime=0) if packed else msgspec.json.format(content, indent=1) + b"\n"
    )


def trials_digest(trials: Any) -> str:
    """SHA-256 of the trials as a file has them: JSON with sorted keys, no spaces, ASCII, numbers as Python writes them.

    Layout and key order of the file do not matter, the order of the trials does.
    """
    return hashlib.sha256(json.dumps(trials, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def recorded_digest(trials: bytes, stated: str) -> str:
    """`trials_digest` of `trials`, as msgspec writes them with sorted keys, whose file states that it is `stated`.

    What is stated is compared with that text first. Equal texts hold equal trials, so that it agrees with no trials but
    those; where the two writers write a number differently, the digest is computed as it is defined.
    """
    if hashlib.sha256(trials).hexdigest() == stated:
        return stated
    return trials_digest(msgspec.json.decode(trials))


def seal_root(laws: Laws) -> Iterator[Path]:
    """Give run files the digest, and evidence entries the occasion, that they were written without; each file changed.

    What is there already stays as it is, right or wrong: `kg check` judges it.

    Raises:
        InvalidFilesError: If a run file cannot be read.
        KgError: If a law file cannot be edited.
        OSError: If a file cannot be written.
    """
    for identifier in laws.run_ids:
        path = laws.path("run", identifier)
        if not laws.run(identifier).trials_sha256 and seal_file(path):
            yield path
    for law in laws.laws.values():
        path = laws.path("law", law.id)
        if date_entries(path, law, laws):
            yield path


def seal_file(path: Path) -> bool:
    """Put the digest of its trials before them in the run file `path`; no other byte changes. False if it has one.

    Raises:
        OSError: If it cannot be written.
    """
    before = run_text(path)
    run = msgspec.json.decode(before)
    if "trials_sha256" in run:
        return False
    digest = trials_digest(run.get("trials", []))
    after = next(text for text in _insertions(before, digest) if _adds(text, run, digest))
    atomic.write(path, gzip.compress(after, mtime=0) if path.name.endswith(".gz") else after)
    return True


def _insertions(text: bytes, digest: str) -> Iterator[bytes]:
    """`text` with the digest before each key that may be the trials', then before the last brace."""
    field = f'"trials_sha256": "{digest}"'.encode()
    for found in _TRIALS.finditer(text):
        start = found.start()
        space = text[len(text[:start].rstrip()) : start]
        yield text[:start] + field + b"," + space + text[start:]
    end = len(text[: text.rindex(b"}")].rstrip())
    yield text[:end] + b"," + field + text[end:]


def _adds(text: bytes, run: dict[str, object], digest: str) -> bool:
    """Whether `text` is `run` and the digest, and nothing else."""
    try:
        return bool(msgspec.json.decode(text) == {**run, "trials_sha256": digest})
    except msgspec.DecodeError:
        return False


def date_entries(path: Path, law: Law, laws: Laws) -> bool:
    """Write into the law file `path` the occasion of each run that an entry cites without; False if none lacks it.

    Raises:
        KgError: If it cannot be edited.
        OSError: If it cannot be written.
    """
    found = {
        index: laws.run(entry.run).occasion
        for index, entry in enumerate(law.evidence)
        if not entry.occasion and entry.run in laws.run_ids
    }
    if not any(found.values()):
        return False
    file = LawFile.read(path)
    for index, occasion in found.items():
        if occasion:
            file.tree["evidence"][index].put("occasion", occasion)
    return file.save()
