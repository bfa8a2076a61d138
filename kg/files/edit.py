"""Edits of one law file that keep its comments, quotes and key order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from spak.kg.errors import KgError
from spak.kg.files import atomic, fmt, reading, tree, validate, yaml_reader
from spak.kg.law.status import status
from spak.kg.model.law import Evidence, Law


class ChangedError(KgError):
    """The file is no longer what it was when it was read."""


@dataclass
class LawFile:
    """One law file, read for editing. Edits are made in memory; `save` writes them if the file is still as `before`."""

    path: Path
    before: bytes
    tree: tree.Branch

    @classmethod
    def read(cls, path: Path) -> LawFile:
        """Open `path` for editing.

        Raises:
            InvalidFilesError: If it cannot be read or is no law.
            OSError: If it cannot be opened.
        """
        data = reading.content(path, reading.MAX_YAML_BYTES)
        document = yaml_reader.read(data, str(path))
        validate.model_of(document, "law")
        return cls(path, data, fmt.tree_of(document))

    @property
    def law(self) -> Law:
        """The law with the edits made so far.

        Raises:
            InvalidFilesError: If an edit made it something that is no law.
        """
        return law_of(self.text, self.path)

    @property
    def text(self) -> str:
        """Canonical text of the file with the edits made so far."""
        return fmt.text_of(self.tree, "law", str(self.path))

    def append_evidence(self, *entries: Evidence) -> bool:
        """Add evidence entries and the status they give; False if the file has those very entries already."""
        law = self.law
        new = tuple(entry for entry in entries if entry not in law.evidence)
        if not new:
            return False
        for entry in new:
            fmt.add_item(self.tree, "evidence", msgspec.to_builtins(entry), str(self.path))
        self.set_key(("status",), status(msgspec.structs.replace(law, evidence=(*law.evidence, *new))))
        return True

    def set_key(self, path: tuple[str, ...], value: Any) -> None:
        """Set the value at a path of mapping keys (`("scope", "toolchain")`); mappings in between are made."""
        fmt.put(self.tree, path, value, str(self.path))

    def save(self) -> bool:
        """Write the edits; False if they change nothing, and then the file is not touched.

        Raises:
            ChangedError: If somebody changed the file since it was read; nothing is written.
            InvalidFilesError: If the edits made it something that is no law; nothing is written.
        """
        text = self.text
        law_of(text, self.path)
        if text.encode() == self.before:
            return False
        if reading.content(self.path, reading.MAX_YAML_BYTES) != self.before:
            raise ChangedError(f"{self.path}: changed since it was read; read it again and repeat the edit")
        atomic.write_text(self.path, text)
        self.before = text.encode()
        return True


def law_of(text: str, path: Path) -> Law:
    """The law in `text`.

    Raises:
        InvalidFilesError: With everything that is wrong with it.
    """
    law: Law = validate.model_of(yaml_reader.read(text.encode(), str(path)), "law")
    return law


def withdraw(file: LawFile, *, date: str, reason: str) -> None:
    """Withdraw the law: the file stays, readers learn when and why.

    Raises:
        KgError: If it is withdrawn already, or the reason is empty.
    """
    if file.law.withdrawn is not None:
        raise KgError(f"{file.path}: withdrawn already, on {file.law.withdrawn.date}")
    if not reason.strip():
        raise KgError("--why: a reason is needed; whoever reads the law later must learn why it was withdrawn")
    file.set_key(("withdrawn",), {"date": date, "reason": reason.strip()})
    file.set_key(("status",), "withdrawn")
