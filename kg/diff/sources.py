"""Where two sets of laws come from: git revisions, folders, or the working tree."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from spak.kg.errors import InvalidFilesError, KgError
from spak.kg.files.git import GIT_SECONDS, git
from spak.kg.files.loader import MAX_RUN_BYTES, Laws, load
from spak.kg.files.root import LAYER_FILE, SHIPPED, layers, shipped_root
from spak.kg.visible import line


@contextmanager
def open_source(source: str, root: Path) -> Iterator[Laws]:
    """The laws that `source` means: a folder, a git revision of the repository of `root`, or (empty) `root` as it is.

    Its run files can be read for as long as the context lasts.

    Raises:
        KgError: If `source` is neither a folder nor a revision, git cannot say, or a file of it cannot be used.
    """
    if not source or Path(source).is_dir():
        yield load(Path(source) if source else root)
        return
    with TemporaryDirectory(prefix="kg-diff-") as scratch:
        folder = _extract(source, root, Path(scratch))
        try:
            laws = load(folder)
        except InvalidFilesError as error:
            name = f"{source}:{root.name}"  # the revision, in place of the scratch folder
            named = [replace(problem, path=problem.path.replace(str(folder), name)) for problem in error.problems]
            raise InvalidFilesError(named) from None
        yield laws


def fork_point(base: str, head: str, root: Path) -> str:
    """The last commit that `head` (empty: what is checked out) has in common with `base`, in the repository of `root`.

    Raises:
        KgError: If one of them is no revision, or they have no common ancestor.
    """
    top = _top(root)
    commits = [_commit(revision, top) for revision in (base, head or "HEAD")]
    failure = f"{base} and {head or 'HEAD'} have no common ancestor; fetch the whole history"
    return _git(["merge-base", *commits], top, failure).decode().strip()


def changed_files(base: str, head: str, root: Path) -> tuple[str, ...]:
    """Files that are no laws and differ from `base` to `head` (empty: the working tree), from the repository's top.

    Those are the ones outside the law root, and in it what no load reads.

    Raises:
        KgError: If one of them is no revision, or git cannot say.
    """
    top = _top(root)
    words = ["--name-only", "--no-renames", "-r", "-z", _commit(base, top)]
    listing = ["diff-tree", *words, _commit(head, top)] if head else ["diff-index", *words]
    listed = _git(listing, top, f"{base}: git cannot list what changed")
    inside = _inside(root, top)
    paths = listed.decode(errors="surrogateescape").split("\0")[:-1]
    return tuple(path for path in paths if not _is_loaded(path, inside))


def _is_loaded(path: str, inside: str) -> bool:
    """Whether the file at `path` is one of the law root at `inside`, both from the repository's top."""
    own = PurePosixPath(path)
    if not own.is_relative_to(inside):
        return False
    parts = own.relative_to(inside).parts
    return not any(part.startswith(".") for part in parts) and own.name.endswith((".yaml", ".yml", ".json", ".json.gz"))


def _top(root: Path) -> Path:
    """The folder of the repository that `root` lies in."""
    found = _git(["rev-parse", "--show-toplevel"], root, f"{root}: not in a git repository")
    return Path(found.decode().rstrip("\n"))


def _inside(root: Path, top: Path) -> str:
    """Where `root` is in the repository at `top`; empty if it is all of it."""
    inside = root.resolve().relative_to(top.resolve()).as_posix()
    return "" if inside == "." else inside


def _commit(revision: str, top: Path) -> str:
    words = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    return _git(words, top, f"{revision}: neither a folder nor a revision of the repository at {top}").decode().strip()


def _extract(revision: str, root: Path, scratch: Path) -> Path:
    """The law root as it was at `revision`, unpacked into `scratch`.

    File by file as git keeps them: `git archive` and a checkout obey attributes, by which a revision hides its own files.
    """
    top = _top(root)
    tree = f"{_commit(revision, top)}:{_inside(root, top)}"
    folder = scratch / "laws"
    folder.mkdir()
    if not _is_tree(tree, top):
        return folder  # the revision had no laws yet: everything is new
    listed = _git(["ls-tree", "-r", "-l", "-z", tree], top, f"{revision}: git ls-tree failed")
    blobs = {path: name for name, path in _entries(listed, revision)}
    names = "".join(f"{name}\n" for name in blobs.values()).encode()
    given = io.BytesIO(_git(["cat-file", "--batch"], top, f"{revision}: git cat-file failed", given=names))
    for path in blobs:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        size = int(given.readline().split()[2])
        target.write_bytes(given.read(size))
        given.read(1)
    _refuse_outside(folder, revision)
    return folder


def _is_tree(name: str, top: Path) -> bool:
    return git(top, "cat-file", "-e", name).returncode == 0


def _entries(listed: bytes, revision: str) -> Iterator[tuple[str, str]]:
    """Object and path of each file that `git ls-tree -r -l -z` lists.

    Raises:
        KgError: At what is no plain file, leads out of the folder, or is larger than any file that is read.
    """
    for record in listed.decode(errors="surrogateescape").split("\0")[:-1]:
        about, path = record.split("\t", 1)
        mode, _, name, size = about.split()
        shown = line(f"{revision}: {path}")
        if not mode.startswith("100"):
            raise KgError(f"{shown}: a link; a revision is read alone, so nothing in it may lead out of it")
        if any(part in {"", ".", ".."} or part.lower() == ".git" for part in path.split("/")):
            raise KgError(f"{shown}: no path of a file; a revision is read alone, so nothing in it may lead out of it")
        if int(size) > MAX_RUN_BYTES:
            raise KgError(f"{shown}: has {size} bytes; at most {MAX_RUN_BYTES} are read, split it")
        yield name, path


def _refuse_outside(folder: Path, revision: str) -> None:
    """Refuse a root that lies over a folder of this machine, which is no part of the revision.

    Raises:
        KgError: If it does.
    """
    if any(layer.folder.resolve() != shipped_root().resolve() for layer in layers(folder)[1:]):
        raise KgError(f"{revision}: {LAYER_FILE} names a folder; of a revision it can only be over: {SHIPPED}")


def _git(arguments: list[str], folder: Path, failure: str, *, given: bytes = b"") -> bytes:
    """What a git command prints.

    Raises:
        KgError: With `failure` and git's own last line if it fails.
    """
    try:
        done = git(folder, *arguments, given=given)
    except FileNotFoundError:
        raise KgError("git is not installed; kg diff needs it to read revisions") from None
    except subprocess.TimeoutExpired:
        raise KgError(f"{failure} (git took more than {GIT_SECONDS} s)") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise KgError(f"{failure}{f' ({said[-1]})' if said else ''}")
    return done.stdout
