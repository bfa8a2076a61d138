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
from spak.kg.files.json_keys import check_keys
from spak.kg.files.remembered import Ledger
from spak.kg.files.root import LAYER_FILE, layer_name, layers
from spak.kg.files.shelf import Shelf, no_collection, toolchains_of
from spak.kg.law.kinds import AnyLaw
from spak.kg.law.superseding import LayerOrder, Placed, Superseded, settle
from spak.kg.model.base import IMPLIED, Model
from spak.kg.model.hardware import Hardware
from spak.kg.model.law import Law
from spak.kg.model.op import Op
from spak.kg.model.run import Run
from spak.kg.model.system import System
from spak.kg.model.taxonomy import alike
from spak.kg.space.completion import completed

if TYPE_CHECKING:
    from spak.kg.evidence.witness import RunWitness
    from spak.kg.files import yaml_reader

EVIDENCE = "evidence"
"""Folder of run files."""

MAX_RUN_BYTES = 256 * 1024 * 1024
"""Largest run file once unpacked; an exhaustive sweep of 20,000 trials has about 20 MB."""

MAX_RUNS_HELD = 1024
"""Runs kept once read: of 200 trials each takes some 0.4 MB, and laws that lie together cite the same few."""

_FOLDERS = {"hardware": "hardware", "ops": "op", "systems": "system"}
"""Top folder -> kind of its files; every other folder holds laws."""

_IGNORED = {"schema", EVIDENCE}
_COLLECTIONS = {"law": "laws", "hardware": "hardware", "op": "ops", "system": "systems"}
_RUN_ENDINGS = (".json", ".json.gz")
_ENDINGS = (".yaml", ".yml", *_RUN_ENDINGS)


class Contents(Model, frozen=True, kw_only=True):
    """The files of a law root by kind and id.

    Attributes:
        files: Kind -> id -> path relative to the root, absolute in a root beneath it; of runs too.
        layers: What it lies over: folder -> what that layer is called.
        superseded: Laws beneath that have no power, because one above supersedes them. `laws` has none of them.
        misplaced: Kind -> id -> field of the first key that is not in canonical order, of the files that have one.
    """

    laws: Mapping[str, AnyLaw]
    hardware: dict[str, Hardware]
    ops: dict[str, Op]
    systems: dict[str, System]
    files: dict[str, dict[str, str]]
    misplaced: dict[str, dict[str, str]]
    layers: dict[str, str]
    superseded: tuple[Superseded, ...]

    def about(self, ops: Collection[str]) -> Iterator[Law]:
        """The laws stated for one of `ops`, by op; others need not be decoded."""
        if isinstance(self.laws, Shelf):
            return self.laws.about(ops)
        found: dict[str, list[Law]] = {op: [] for op in ops}
        for law in self.laws.values():
            if law.scope.op in found:
                found[law.scope.op].append(law)
        return (law for same in found.values() for law in same)

    @property
    def toolchains(self) -> set[str]:
        """Every `name version` that evidence of a law is from."""
        return self.laws.toolchains if isinstance(self.laws, Shelf) else toolchains_of(self.laws.values())

    def layer_of(self, law: str, /) -> str:
        """What the layer is called that a law of `laws` lies in; empty for the root itself."""
        if not self.layers:
            return ""
        path = self.files["law"].get(law, "")
        beneath = self.layers.items() if path.startswith("/") else ()
        return next((name for folder, name in beneath if path.startswith(f"{folder}/")), "")


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
    _witnesses: dict[str, RunWitness] = field(default_factory=dict, repr=False, compare=False)

    @property
    def laws(self) -> Mapping[str, Law]:
        """Every law by id, withdrawn ones included, without those that one above supersedes."""
        return self.contents.laws

    @property
    def superseded(self) -> Sequence[Superseded]:
        """Laws beneath that have no power, because one above supersedes them."""
        return self.contents.superseded

    def about(self, ops: Collection[str], /) -> Iterator[Law]:
        """The laws stated for one of `ops`, by op."""
        return self.contents.about(ops)

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
        if held is not None:
            return held
        path = self.path("run", identifier)
        raw = reading.content(path, MAX_RUN_BYTES)
        self._note_digest(path, identifier, raw)
        with reading.unquoted(path, self.root):
            run = _run_of(raw, path)
        self._forget(len(self._runs) - MAX_RUNS_HELD + 1)
        self._runs[identifier] = completed = completed_run(run, self.ops.get(run.op))
        return completed

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
            path = self.path("run", identifier)
            self._note_digest(path, identifier, reading.content(path, MAX_RUN_BYTES))
        return self._digests[identifier]

    def _note_digest(self, path: Path, identifier: str, raw: bytes) -> None:
        """Keep the digest of a run file; one that a program has read already must not have changed since."""
        digest = hashlib.blake2b(raw, digest_size=20).digest()
        if self._digests.setdefault(identifier, digest) != digest:
            message = "the file changed while it was being read; run the command again"
            raise InvalidFilesError([Problem(str(path), 0, 0, "", message)])

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


def load(root: Path) -> Laws:
    """Load every file under `root`.

    Raises:
        InvalidFilesError: With every problem of every file: format, types, ids, references, expressions, cycles.
        OSError: If a file cannot be opened.
    """
    from spak.kg.files import references  # noqa: PLC0415 - what a cache answers checks nothing

    loading = _Loading(root)
    with no_collection():
        for number, layer in enumerate(loading.layers):
            loading.begin(number)
            for relative in sorted(path for path, _ in files(os.fspath(layer.folder))):
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
    return _run_of(reading.content(path, MAX_RUN_BYTES), path)


def _run_of(raw: bytes, path: Path) -> Run:
    from spak.kg.files import schema  # noqa: PLC0415 - only who asks for trials reads run files

    try:
        text = _text(raw, path)
        run = schema.decode_run(text)
        check_keys(text, path)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InvalidFilesError([Problem(str(path), 0, 0, "", f"not a run file: {error}")]) from None
    if run.id != run_id(path.name):
        message = f"the id is the file's stem {run_id(path.name)!r} (got {run.id!r}); rename one of them"
        raise InvalidFilesError([Problem(str(path), 0, 0, "id", message)])
    return run


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


def run_id(name: str) -> str:
    """Id of the run in a file called `name`; empty if it is no run file."""
    ending = next((ending for ending in reversed(_RUN_ENDINGS) if name.endswith(ending)), None)
    return name.removesuffix(ending) if ending else ""


def run_text(path: Path) -> bytes:
    """The JSON text of a run file, unpacked.

    Raises:
        InvalidFilesError: If it is no plain file, too large, or no gzip file though it is called one.
        OSError: If it cannot be read.
    """
    return _text(reading.content(path, MAX_RUN_BYTES), path)


def _text(raw: bytes, path: Path) -> bytes:
    return reading.unpacked(path, raw, MAX_RUN_BYTES) if path.name.endswith(".gz") else raw


def all_files(root: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """`files` of a law root, and by their absolute paths those of the roots beneath it.

    Raises:
        InvalidFilesError: If what it lies over cannot be told.
    """
    own, *beneath = (layer.folder for layer in layers(root))
    yield from files(os.fspath(own))
    for folder in map(Path.resolve, beneath):
        yield from ((str(folder / relative), entry) for relative, entry in files(os.fspath(folder)))


def files(folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Relative path and entry of each file below `folder`; hidden ones and links to folders are left out.

    What is called like a file of a law root and is none (a pipe, a link to nothing) is not: who reads it is told.
    """
    waiting = [(folder, "")]
    while waiting:
        where, prefix = waiting.pop()
        with os.scandir(where) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, f"{prefix}{entry.name}/"))
                elif entry.is_file() or entry.name.endswith(_ENDINGS):
                    yield prefix + entry.name, entry


def file_kind(relative: str) -> str:
    """Kind of the YAML file at a path below a root: `hardware`, `op`, `system`, `law`; empty if a load reads it not."""
    top, _, rest = relative.partition("/")
    return "" if (top in _IGNORED and rest) or relative == LAYER_FILE else _FOLDERS.get(top, "law") if rest else "law"


class _Loading:
    """Reads files one by one and keeps what is right and what is wrong apart."""

    def __init__(self, root: Path) -> None:
        self.root = self.folder = root
        self.layers = layers(root)
        self.number = 0
        self.problems: list[Problem] = []
        self.placed: dict[str, list[Placed]] = {}
        self.found: dict[str, dict[str, Any]] = {kind: {} for kind in _COLLECTIONS}
        self.files: dict[str, dict[str, str]] = {kind: {} for kind in (*_COLLECTIONS, "run")}
        self.misplaced: dict[str, dict[str, str]] = {}
        self.stems: dict[str, set[str]] = {kind: set() for kind in self.files}

    def begin(self, number: int) -> None:
        """Read files of that layer from now on: 0 is the root, the others lie beneath it."""
        self.number, self.folder = number, self.layers[number].folder

    def take(self, relative: str) -> None:
        """Read the file at `relative` to the folder if it is of a kind that a law root holds."""
        top, _, rest = relative.partition("/")
        if not relative.isprintable():
            self._note(relative, "", "the name has a character that cannot be shown, or is not UTF-8; rename it")
        elif top == EVIDENCE and rest:
            self._take_run(relative)
        elif relative.endswith(".yml"):
            self._note(relative, "", "ends in .yml and would be overlooked; call it .yaml")
        elif relative.endswith(".yaml") and file_kind(relative):
            self._take_yaml(relative, file_kind(relative))

    def _take_run(self, relative: str) -> None:
        identifier = run_id(relative.rpartition("/")[2])
        if identifier and self._is_new("run", identifier, relative):
            self.files["run"][identifier] = self._named(relative)
            self.stems["run"].add(identifier)

    def _take_yaml(self, relative: str, kind: str) -> None:
        from spak.kg.files import fmt, validate, yaml_reader  # noqa: PLC0415 - what a cache answers parses nothing

        path = self.folder / relative
        stem = relative.rpartition("/")[2].removesuffix(".yaml")
        self.stems[kind].add(stem)
        try:
            with reading.unquoted(path, self.folder):
                document = yaml_reader.read(reading.content(path, reading.MAX_YAML_BYTES), str(path))
                model = validate.model_of(document, kind)
        except InvalidFilesError as error:
            self.problems += error.problems
            return
        if model.id != stem:
            message = f"the id is the file's stem {stem!r} (got {model.id!r}); rename one"
            self.problems.append(document.problem("id", message))
        if self._place(model, relative) if kind == "law" else self._keep(kind, model, relative):
            field = fmt.misplaced(document.value, kind)
            if field is not None:
                self.misplaced.setdefault(kind, {})[model.id] = field

    def _place(self, law: AnyLaw, relative: str) -> bool:
        """Keep a law; two of one id in one layer are a problem, in two layers `settle` decides."""
        same = self.placed.setdefault(law.id, [])
        placed = Placed(law, self.folder, relative, self.number)
        if same and same[-1].layer == self.number:
            self._note(relative, "id", f"law {law.id} is in {same[-1].file} already; ids are unique, rename one")
            return False
        same.append(placed)
        return len(same) == 1

    def _keep(self, kind: str, model: Any, relative: str) -> bool:
        """Keep what is no law, unless there is one of its id."""
        is_new = self._is_new(kind, model.id, relative)
        if is_new:
            self.found[kind][model.id] = model
            self.files[kind][model.id] = self._named(relative)
        return is_new

    def _named(self, relative: str) -> str:
        return str(self.folder / relative) if self.number else relative

    def _is_new(self, kind: str, identifier: str, relative: str) -> bool:
        first = self.files[kind].get(identifier)
        if first is not None:
            message = f"{kind} {identifier} is in {self.root / first} already; ids are unique, rename one"
            self._note(relative, "id", message)
        return first is None

    def _note(self, relative: str, where: str, message: str) -> None:
        self.problems.append(Problem(str(self.folder / relative), 0, 0, where, message))

    def contents(self) -> Contents:
        """What was right; what is wrong between the layers is noted."""
        from spak.kg.files import yaml_reader  # noqa: PLC0415 - what a cache answers parses nothing

        settled = settle(self.placed, [LayerOrder(layer.name, layer.beneath) for layer in self.layers])
        for one, where, message in settled.flaws:
            document = yaml_reader.read(reading.content(one.file, reading.MAX_YAML_BYTES), str(one.file))
            self.problems.append(document.problem(where, message))
        self.found["law"] = {name: one.law for name, one in settled.laws.items()}
        self.files["law"] = {name: one.path for name, one in settled.laws.items()}
        return Contents(
            files=self.files,
            misplaced=self.misplaced,
            layers={str(layer.folder): layer.name for layer in self.layers[1:]},
            superseded=settled.superseded,
            **{name: self.found[kind] for kind, name in _COLLECTIONS.items()},
        )
