"""A law root to typed collections; everything wrong in the whole folder is reported at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from spak.kg.errors import InvalidFilesError, KgError, Problem, UnknownNameError
from spak.kg.files import reading
from spak.kg.files.contents import Contents, ReadLaw
from spak.kg.files.json_keys import check_keys
from spak.kg.files.listing import files, run_id
from spak.kg.files.loading import Loading
from spak.kg.files.remembered import Ledger
from spak.kg.files.root import layer_name
from spak.kg.files.shelf import no_collection
from spak.kg.law.superseding import Superseded
from spak.kg.model.base import IMPLIED
from spak.kg.model.cohort import Cohort
from spak.kg.model.hardware import Hardware
from spak.kg.model.law import Law, Related
from spak.kg.model.op import Op
from spak.kg.model.run import Run
from spak.kg.model.system import System
from spak.kg.model.taxonomy import alike
from spak.kg.space.completion import completed

if TYPE_CHECKING:
    from spak.kg.evidence.witness import RunWitness
    from spak.kg.files import yaml_reader

MAX_RUN_BYTES = 256 * 1024 * 1024
"""Largest run file once unpacked; an exhaustive sweep of 20,000 trials has about 20 MB."""

MAX_RUNS_HELD = 1024
"""Runs kept once read: of 200 trials each takes some 0.4 MB, and laws that lie together cite the same few."""


@dataclass(frozen=True)
class Laws:
    """One law root, loaded. Run files are read when asked for.

    Attributes:
        ledger: What was worked out from its files before.
    """

    root: Path
    contents: Contents
    ledger: Ledger = field(default_factory=Ledger, repr=False, compare=False)
    _runs: dict[str, Run] = field(default_factory=dict, repr=False, compare=False)
    _digests: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)
    _last: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)
    _witnesses: dict[str, RunWitness] = field(default_factory=dict, repr=False, compare=False)

    @property
    def laws(self) -> Mapping[str, Law]:
        """Every law by id, withdrawn ones included, without those that one above supersedes."""
        return self.contents.laws

    @property
    def superseded(self) -> Sequence[Superseded]:
        """Laws beneath that have no power, because one above supersedes them."""
        return self.contents.superseded

    @property
    def links(self) -> Mapping[str, Sequence[Related]]:
        """Id of each law that says how it relates to others -> what it says."""
        return self.contents.links

    def about(self, ops: Collection[str], /) -> Iterator[Law]:
        """The laws stated for one of `ops`, by op."""
        return self.contents.about(ops)

    def cohorts(self, ops: Collection[str], /) -> Iterator[Cohort]:
        """The same laws by what they share, by op."""
        return self.contents.cohorts(ops)

    def layer_of(self, law: str, /) -> str:
        """What the layer is called that a law of `laws` lies in; empty for the root itself."""
        return self.contents.layer_of(law)

    @property
    def hardware(self) -> Mapping[str, Hardware]:
        """Every hardware node by id."""
        return self.contents.hardware

    @property
    def ops(self) -> Mapping[str, Op]:
        """Every op node by id."""
        return self.contents.ops

    @property
    def systems(self) -> Mapping[str, System]:
        """Every system node by id."""
        return self.contents.systems

    @property
    def run_ids(self) -> list[str]:
        """Ids of the run files, sorted; none is opened."""
        return sorted(self.contents.files["run"])

    @property
    def paths(self) -> Mapping[str, Mapping[str, str]]:
        """`law`, `hardware`, `op`, `system`, `run` -> id -> path relative to the root; absolute beneath it."""
        return self.contents.files

    def is_beneath(self, kind: str, identifier: str) -> bool:
        """Whether a file is in a root beneath this one, so that it is read here and never written."""
        return self.contents.files[kind][identifier].startswith("/")

    def own_path(self, kind: str, identifier: str) -> Path:
        """`path` of a file that may be written.

        Raises:
            UnknownNameError: If there is none of that id.
            KgError: If it is in a root beneath this one.
        """
        path = self.path(kind, identifier)
        if self.is_beneath(kind, identifier):
            raise KgError(f"{path}: in a root beneath {self.root}, which is only read; write there with --laws DIR")
        return path

    def under(self, root: Path) -> Laws:
        """The same laws beneath a root that is still to be made."""
        folder, own = self.root.resolve(), layer_name(self.root)
        found = {kind: {name: str(folder / path) for name, path in paths.items()} for kind, paths in self.paths.items()}
        beneath = {str(folder): own, **self.contents.layers}
        gone = tuple(msgspec.structs.replace(one, by_layer=one.by_layer or own) for one in self.superseded)
        contents = msgspec.structs.replace(self.contents, files=found, layers=beneath, superseded=gone)
        return replace(self, root=root, contents=contents)

    def path(self, kind: str, identifier: str) -> Path:
        """The file of a law, hardware, op, system or run.

        Raises:
            UnknownNameError: If there is none of that id; carries the nearest ids.
        """
        files = self.contents.files[kind]
        if identifier not in files:
            raise UnknownNameError(kind, identifier, alike(identifier, files))
        return self.root / files[identifier]

    def run(self, identifier: str) -> Run:
        """The run file `identifier`, `completed_run` for its op; read once, unless many others were read since.

        Raises:
            UnknownNameError: If there is none.
            InvalidFilesError: If it cannot be read.
        """
        held = self._runs.get(identifier)
        return self.run_with_trials(identifier)[0] if held is None else held

    def run_with_trials(self, identifier: str) -> tuple[Run, bytes]:
        """`run`, and beside it the trials of its file as JSON with sorted keys, without the defaults; the file is read.

        Raises:
            UnknownNameError: If there is none.
            InvalidFilesError: If it cannot be read.
        """
        path = self.path("run", identifier)
        raw = self._content(path, identifier)
        self._last.clear()
        with reading.unquoted(path, self.root):
            run, trials = _run_of(raw, path)
        self._forget(len(self._runs) - MAX_RUNS_HELD + 1)
        self._runs[identifier] = completed = completed_run(run, self.ops.get(run.op))
        return completed, trials

    def close_runs(self) -> None:
        """Let go of every run that is held."""
        self._forget(len(self._runs))

    @property
    def digests(self) -> Mapping[str, bytes]:
        """Digest of each run file that was read so far, by id."""
        return self._digests

    def believe(self, digests: Mapping[str, bytes]) -> None:
        """Take the digests of run files that a process of this program has read; one that is known stays."""
        for identifier, digest in digests.items():
            self._digests.setdefault(identifier, digest)

    def _forget(self, count: int) -> None:
        """Let go of the runs that were read first, as many; they are read again when asked for."""
        for identifier in list(self._runs)[: max(count, 0)]:
            self._runs.pop(identifier, None)  # another thread may have let go of it
            self._witnesses.pop(identifier, None)

    def run_digest(self, identifier: str) -> bytes:
        """Digest of the bytes of the run file `identifier`, as they are and as `run` decodes them.

        Raises:
            UnknownNameError: If there is none.
            InvalidFilesError: If it is too large, or no longer what `run` gave.
            OSError: If it cannot be read.
        """
        if identifier not in self._digests:
            raw = self._content(self.path("run", identifier), identifier)
            self._last.clear()
            self._last[identifier] = raw  # who asks for a digest is likely to open the file next
        return self._digests[identifier]

    def _content(self, path: Path, identifier: str) -> bytes:
        """The bytes of a run file; one that a program has read already must not have changed since."""
        held = self._last.get(identifier)
        if held is not None:
            return held
        raw = reading.content(path, MAX_RUN_BYTES)
        digest = hashlib.blake2b(raw, digest_size=20).digest()
        if self._digests.setdefault(identifier, digest) != digest:
            message = "the file changed while it was being read; run the command again"
            raise InvalidFilesError([Problem(str(path), 0, 0, "", message)])
        return raw

    def witness(self, identifier: str) -> RunWitness | None:
        """The run file `identifier`, to be asked what its trials say; None if there is none that can be read."""
        from spak.kg.evidence.witness import RunWitness  # noqa: PLC0415 - only who asks for trials needs NumPy

        witness = self._witnesses.get(identifier)
        if witness is None:
            try:
                self._witnesses[identifier] = witness = RunWitness(self.run(identifier), self)
            except KgError:
                return None
        return witness

    def document(self, kind: str, identifier: str) -> yaml_reader.YamlDocument:
        """The file of a law, hardware, op or system with the places of its values, read again."""
        from spak.kg.files import yaml_reader  # noqa: PLC0415 - what a cache answers parses nothing

        path = self.path(kind, identifier)
        return yaml_reader.read(reading.content(path, reading.MAX_YAML_BYTES), str(path))


def load(root: Path, *, known: Mapping[str, ReadLaw] | None = None, processes: int = 1) -> Laws:
    """Load every file under `root`.

    Args:
        root: A folder of laws.
        known: What files of laws came to before, by path: one whose bytes are the same is not parsed again.
        processes: How many parse, if there is much to parse.

    Raises:
        InvalidFilesError: With every problem of every file: format, types, ids, references, expressions, cycles.
        OSError: If a file cannot be opened.
    """
    from spak.kg.files import references  # noqa: PLC0415 - what a cache answers checks nothing

    loading = Loading(root, known or {})
    with no_collection():
        found = [sorted(path for path, _ in files(os.fspath(layer.folder))) for layer in loading.layers]
        loading.parse_ahead(found, processes)
        for number, relatives in enumerate(found):
            loading.begin(number)
            for relative in relatives:
                loading.take(relative)
        laws = Laws(root, loading.contents())
        problems = [*loading.problems, *references.problems(laws.contents, loading.stems, laws.document)]
    if problems:
        raise InvalidFilesError(problems)
    return laws


def read_run(path: Path) -> Run:
    """One run file, `.json` or `.json.gz`.

    Raises:
        InvalidFilesError: If it is damaged, too large, not a run, or its id is not its stem.
    """
    return _run_of(reading.content(path, MAX_RUN_BYTES), path)[0]


def _run_of(raw: bytes, path: Path) -> tuple[Run, bytes]:
    """The run in a file, and its trials as JSON with sorted keys, without the defaults."""
    from spak.kg.files import schema  # noqa: PLC0415 - only who asks for trials reads run files

    try:
        text = _text(raw, path)
        run = schema.decode_run(text)
        if _is_written(run, text):
            trials = msgspec.json.encode(run.trials, order="sorted")
        else:
            written = _written(msgspec.json.decode(text))
            check_keys(text, path, written)
            trials = written[0] if written else b""
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InvalidFilesError([Problem(str(path), 0, 0, "", f"not a run file: {error}")]) from None
    if run.id != run_id(path.name):
        message = f"the id is the file's stem {run_id(path.name)!r} (got {run.id!r}); rename one of them"
        raise InvalidFilesError([Problem(str(path), 0, 0, "id", message)])
    return run, trials


def _is_written(run: Run, text: bytes) -> bool:
    """Whether `text` is what this package writes of `run`, byte for byte: then it has no key twice, and says nothing else."""
    try:
        content = msgspec.json.encode(run)
    except UnicodeEncodeError:
        return False
    return text == content or (text.endswith(b"}\n") and text == msgspec.json.format(content, indent=1) + b"\n")


def _written(values: dict[str, Any]) -> tuple[bytes, ...]:
    """The trials of a run as JSON with sorted keys, and the rest of it; nothing if no file can hold its text."""
    rest = {**values, "trials": 0} if "trials" in values else values
    try:
        trials = msgspec.json.encode(values.get("trials", []), order="sorted")
        return trials, msgspec.json.encode(rest)
    except UnicodeEncodeError:
        return ()


def completed_run(run: Run, op: Op | None) -> Run:
    """`run` with the defaults of parameters that its op has gained since it was recorded, problem parameters among them.

    What is only reported or computed stays as it is: there a missing parameter is one that nobody stated.
    """
    if op is None or run.tier not in {"compiled", "measured"}:
        return run
    implied = {name: value for name, value in IMPLIED.items() if name in op.problem}
    run = msgspec.structs.replace(run, problem=implied | run.problem) if implied else run
    if all(trial.configuration.keys() >= op.parameters.keys() for trial in run.trials):
        return run
    replace, defaults = msgspec.structs.replace, completed(op, {})
    trials = tuple(replace(trial, configuration=defaults | trial.configuration) for trial in run.trials)
    return replace(run, trials=trials)


def run_text(path: Path) -> bytes:
    """The JSON text of a run file, unpacked.

    Raises:
        InvalidFilesError: If it is no plain file, too large, or no gzip file though it is called one.
        OSError: If it cannot be read.
    """
    return _text(reading.content(path, MAX_RUN_BYTES), path)


def _text(raw: bytes, path: Path) -> bytes:
    return reading.unpacked(path, raw, MAX_RUN_BYTES) if path.name.endswith(".gz") else raw
