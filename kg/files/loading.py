"""The files of a law root read one by one: what is right and what is wrong is kept apart, so that all of it is told at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from spak.kg.errors import InvalidFilesError, Problem
from spak.kg.files import reading
from spak.kg.files.contents import Contents, ReadLaw, file_digest
from spak.kg.files.listing import EVIDENCE, file_kind, run_id
from spak.kg.files.processes import from_processes
from spak.kg.files.root import layers
from spak.kg.law.kinds import AnyLaw
from spak.kg.law.superseding import LayerOrder, Placed, settle

MIN_PARSED_AHEAD = 512
"""Files of laws from which on processes share them."""

PARSED_TOGETHER = 512
"""Laws that a process sends at a time."""

_COLLECTIONS = {"law": "laws", "hardware": "hardware", "op": "ops", "system": "systems"}


class Loading:
    """Reads files one by one and keeps what is right and what is wrong apart."""

    def __init__(self, root: Path, known: Mapping[str, ReadLaw]) -> None:
        self.root = self.folder = root
        self.known = known
        self.parsed: dict[str, ReadLaw] = {}
        self.digests: dict[str, bytes] = {}
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

    def parse_ahead(self, found: Sequence[Sequence[str]], processes: int) -> None:
        """Have `processes` parse the files of laws that are not known: `found` has the files of each layer.

        What is wrong with one is found again when it is taken, where it can be told.
        """
        self.begin(0)
        new = [(number, path) for number, paths in enumerate(found) for path in paths if self._is_new_law(number, path)]
        if processes > 1 and len(new) >= MIN_PARSED_AHEAD:
            shares = [partial(self._parse, new[start::processes]) for start in range(processes)]
            for piece in from_processes(shares):
                self.parsed.update((one.path, one) for one in msgspec.msgpack.decode(piece, type=list[ReadLaw]))

    def _is_new_law(self, number: int, relative: str) -> bool:
        named = str(self.layers[number].folder / relative) if number else relative
        return relative.endswith(".yaml") and file_kind(relative) == "law" and named not in self.known

    def _parse(self, files: Sequence[tuple[int, str]]) -> Iterator[bytes]:
        """Parse some files of laws; gives a list of `ReadLaw`, encoded, of those that are right, some at a time."""
        for start in range(0, len(files), PARSED_TOGETHER):
            read: list[ReadLaw] = []
            for number, relative in files[start : start + PARSED_TOGETHER]:
                self.begin(number)
                with contextlib.suppress(InvalidFilesError, OSError):
                    read.append(self._read_law(relative))
            yield msgspec.msgpack.encode(read)

    def _read_law(self, relative: str) -> ReadLaw:
        """The law in a file.

        Raises:
            InvalidFilesError: With everything that is wrong with it.
            OSError: If it cannot be read.
        """
        named = self._named(relative)
        if named in self.parsed:
            return self.parsed.pop(named)
        raw, held = self._content(relative), self.known.get(named)
        digest = file_digest(raw)
        if held is not None and held.digest == digest:
            return held
        law, misplaced = self._parsed(raw, relative, "law")
        return ReadLaw(path=named, digest=digest, law=law, misplaced=misplaced)

    def _content(self, relative: str) -> bytes:
        path = self.folder / relative
        with reading.unquoted(path, self.folder):
            return reading.content(path, reading.MAX_YAML_BYTES)

    def _take_run(self, relative: str) -> None:
        identifier = run_id(relative.rpartition("/")[2])
        if identifier and self._is_new("run", identifier, relative):
            self.files["run"][identifier] = self._named(relative)
            self.stems["run"].add(identifier)

    def _take_yaml(self, relative: str, kind: str) -> None:
        stem = relative.rpartition("/")[2].removesuffix(".yaml")
        self.stems[kind].add(stem)
        try:
            if kind == "law":
                read = self._read_law(relative)
                self.digests[read.path], model, misplaced = read.digest, read.law, read.misplaced
            else:
                model, misplaced = self._parsed(self._content(relative), relative, kind)
        except InvalidFilesError as error:
            self.problems += error.problems
            return
        if (
            self._place(model, relative) if kind == "law" else self._keep(kind, model, relative)
        ) and misplaced is not None:
            self.misplaced.setdefault(kind, {})[model.id] = misplaced

    def _parsed(self, raw: bytes, relative: str, kind: str) -> tuple[Any, str | None]:
        """The model in a file of those bytes, and the field of its first key that is not in canonical order.

        Raises:
            InvalidFilesError: With everything that is wrong with it.
        """
        from spak.kg.files import fmt, validate, yaml_reader  # noqa: PLC0415 - what a cache answers parses nothing

        path = self.folder / relative
        with reading.unquoted(path, self.folder):
            document = yaml_reader.read(raw, str(path))
            model = validate.model_of(document, kind)
        stem = relative.rpartition("/")[2].removesuffix(".yaml")
        if model.id != stem:
            message = f"the id is the file's stem {stem!r} (got {model.id!r}); rename one"
            raise InvalidFilesError([document.problem("id", message)])
        return model, fmt.misplaced(document.value, kind)

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
            digests=b"".join(map(self.digests.__getitem__, self.files["law"].values())),
            **{name: self.found[kind] for kind, name in _COLLECTIONS.items()},
        )
