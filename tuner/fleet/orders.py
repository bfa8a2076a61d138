"""What travels to a worker and back: the forms of each work's bytes, as msgpack. A failed configuration is part of an answer.

Machine code travels by content: an order names each cubin by the SHA-256 of its bytes, and brings the bytes along only
where the worker's host does not have them yet. What arrives is hashed before it is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from spak.kg.model.base import Model, Scalar
from spak.kg.model.run import Failure, Invalidity
from spak.tuner.backend.gpu.protocol import Batch, SeenDevice
from spak.tuner.backend.gpu.supervisor import ContestantOutcome
from spak.tuner.errors import TunerError

Form = TypeVar("Form", bound=Model)


class KernelIdentity(Model, frozen=True, kw_only=True):
    """Which kernel an order is about; a worker whose own copy of it differs refuses the order.

    Attributes:
        op: Its op.
        own: Where it is declared, if outside this repository: a worker refuses it, as it imports no file that a peer names.
        arch: What it is compiled for, such as `sm_90`.
        source_sha256: Of its source, as `spak.tuner.backend.source.source_of` counts it.
    """

    op: str
    own: str = ""
    arch: Annotated[str, Meta(pattern=r"^sm_[0-9]+[a-z]?\Z")]
    source_sha256: str


class DescribeOrder(Model, frozen=True, kw_only=True):
    """Asks a worker for what it is and has; nothing is done.

    Attributes:
        op: Kernel whose source and compiler are asked for; empty: none.
    """

    op: str = ""


class MemberDescription(Model, frozen=True, kw_only=True):
    """What a worker is.

    Attributes:
        version: Of this package.
        distributed: Version of Dask distributed, which its messages are of; empty where it is not installed.
        source_sha256: Of its copy of the kernel.
        spec_sha256: The same with the files that state its launches.
        features_toolchain: What compiles the kernel for its features -> version; empty where it is not installed.
        toolchain: What compiles the kernel for a launch -> version; likewise.
        compiler: The latter as it says it itself: part of the key of a cubin.
        gpu: Name of its GPU as the driver says it; empty if it has none.
        arch: Architecture of that.
    """

    version: str
    distributed: str = ""
    source_sha256: str = ""
    spec_sha256: str = ""
    features_toolchain: dict[str, str] = {}  # noqa: RUF012 - msgspec copies mutable defaults
    toolchain: dict[str, str] = {}  # noqa: RUF012
    compiler: str = ""
    gpu: str = ""
    arch: str = ""


class FeaturesOrder(Model, frozen=True, kw_only=True):
    """One configuration to compile for its features alone; the answer is a `Compiled`."""

    kernel: KernelIdentity
    problem: dict[str, Scalar]
    configuration: dict[str, Scalar]


class CompileOrder(Model, frozen=True, kw_only=True):
    """One configuration to compile for a launch; the answer is a `CompiledCubins`.

    Attributes:
        facts: Hardware facts without `hw.`: what fits on an SM.
        toolchain: Component -> version of what is to compile it; empty: whatever is there.
    """

    kernel: KernelIdentity
    problem: dict[str, Scalar]
    configuration: dict[str, Scalar]
    facts: dict[str, Scalar]
    toolchain: dict[str, str] = {}  # noqa: RUF012


class CubinReference(Model, frozen=True, kw_only=True):
    """Machine code of one function: `key` is what a launch looks it up by, `digest` the SHA-256 of its bytes, packed."""

    key: Annotated[str, Meta(pattern=r"^[0-9a-f]{40}\Z")]
    digest: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class CompiledCubins(Model, frozen=True, kw_only=True):
    """What a configuration was compiled to, the hot function first; or why it was not.

    Attributes:
        features: `registers`, `spill_bytes`, ...; empty where they cannot be read.
        blobs: Digest -> bytes.
    """

    cubins: tuple[CubinReference, ...] = ()
    features: dict[str, float] = {}  # noqa: RUF012
    invalidity: Invalidity = "correct"
    failure: Failure | None = None
    milliseconds: float = 0.0
    blobs: dict[str, bytes] = {}  # noqa: RUF012


class MeasureOrder(Model, frozen=True, kw_only=True):
    """A batch to check and time on the worker's GPU; the answer is a `MeasuredBatch`.

    Attributes:
        batch: None: only open the GPU, so that the first batch need not wait for it.
        cubins: Machine code of all its contestants.
        blobs: Digest -> bytes, of those that the worker's host may not have.
        compiler: What compiled them, as the compiler says it: part of the key of a cubin.
        afresh: End the process that has the GPU first: its context may be what fails.
    """

    kernel: KernelIdentity
    batch: Batch | None = None
    afresh: bool = False
    cubins: tuple[CubinReference, ...] = ()
    blobs: dict[str, bytes] = {}  # noqa: RUF012
    compiler: str = ""


class MeasuredBatch(Model, frozen=True, kw_only=True):
    """What came of a batch.

    Attributes:
        outcomes: One for each contestant and baseline, as they finished; fewer if the GPU became unusable.
        machine: The device as last reported.
        missing: Digests that the host does not have; then nothing was done.
        unusable: Why the GPU can do nothing more; empty if it can.
    """

    outcomes: tuple[ContestantOutcome, ...] = ()
    machine: SeenDevice | None = None
    missing: tuple[str, ...] = ()
    unusable: str = ""


def encoded(form: Model) -> bytes:
    """A form as bytes."""
    return msgspec.msgpack.encode(form)


def decoded(data: bytes, form: type[Form]) -> Form:
    """The form in `data`.

    Raises:
        TunerError: If it is none.
    """
    try:
        return msgspec.msgpack.decode(data, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TunerError(f"these bytes are no {form.__name__}: {error}") from None


def digest_of(blob: bytes) -> str:
    """The name of bytes: their SHA-256 in hexadecimal digits."""
    return hashlib.sha256(blob).hexdigest()


def said_versions(versions: Mapping[str, str]) -> str:
    """`cuda-tile 1.7, tileiras 13.4.92`."""
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def own_version(package: str = "spak") -> str:
    """Version of this package, or of another; empty where it runs from a folder without being installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
