"""What a law root holds once it is loaded, and what a file of a law came to, for whoever meets the same bytes again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from hashlib import blake2b

from spak.kg.files.shelf import Shelf, toolchains_of
from spak.kg.law.kinds import AnyLaw
from spak.kg.law.superseding import Superseded
from spak.kg.model.base import Model
from spak.kg.model.cohort import Cohort, cohorts, links_of
from spak.kg.model.hardware import Hardware
from spak.kg.model.law import Law, Related
from spak.kg.model.op import Op
from spak.kg.model.system import System

DIGEST_BYTES = 16


def file_digest(content: bytes) -> bytes:
    """Digest of the bytes of a file."""
    return blake2b(content, digest_size=DIGEST_BYTES).digest()


class ReadLaw(Model, frozen=True, kw_only=True):
    """What the file of a law came to.

    Attributes:
        path: As in `Contents.files`.
        digest: Of its bytes.
        misplaced: Field of the first key that is not in canonical order; None if all are.
    """

    path: str
    digest: bytes
    law: AnyLaw
    misplaced: str | None


class Contents(Model, frozen=True, kw_only=True):
    """The files of a law root by kind and id.

    Attributes:
        files: Kind -> id -> path relative to the root, absolute in a root beneath it; of runs too.
        layers: What it lies over: folder -> what that layer is called.
        superseded: Laws beneath that have no power, because one above supersedes them. `laws` has none of them.
        misplaced: Kind -> id -> field of the first key that is not in canonical order, of the files that have one.
        digests: Of the file of each law, in the order of `files`, `DIGEST_BYTES` each.
    """

    laws: Mapping[str, AnyLaw]
    hardware: dict[str, Hardware]
    ops: dict[str, Op]
    systems: dict[str, System]
    files: Mapping[str, Mapping[str, str]]
    misplaced: dict[str, dict[str, str]]
    layers: dict[str, str]
    superseded: tuple[Superseded, ...]
    digests: bytes = b""

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
    def links(self) -> Mapping[str, tuple[Related, ...]]:
        """Id of each law that says how it relates to others -> what it says; no law is decoded."""
        return self.laws.links if isinstance(self.laws, Shelf) else links_of(self.laws.values())

    def cohorts(self, ops: Collection[str]) -> Iterator[Cohort]:
        """The same laws by what they share, by op; they need not be decoded."""
        if isinstance(self.laws, Shelf):
            yield from self.laws.cohorts(ops)
            return
        for op in ops:
            yield from cohorts(self.about([op]))

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

    def read_laws(self) -> dict[str, ReadLaw]:
        """Path -> what the file of each law came to."""
        misplaced, found = self.misplaced.get("law", {}), {}
        for place, (name, path) in enumerate(self.files["law"].items()):
            digest = self.digests[place * DIGEST_BYTES : (place + 1) * DIGEST_BYTES]
            if len(digest) == DIGEST_BYTES:
                found[path] = ReadLaw(path=path, digest=digest, law=self.laws[name], misplaced=misplaced.get(name))
        return found
