"""Where two sets of laws come from: git revisions, folders, or the working tree."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from spak.kg.errors import InvalidFilesError, KgError
from spak.kg.files.git import GIT_SECONDS, git
from spak.kg.files.loader import Laws, load


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


def _extract(revision: str, root: Path, scratch: Path) -> Path:
    """The law root as it was at `revision`, unpacked into `scratch`."""
    top = Path(_git(["rev-parse", "--show-toplevel"], root, f"{root}: not in a git repository").decode().strip())
    commit = _git(
        ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"],
        root,
        f"{revision}: neither a folder nor a revision of the repository at {top}",
    )
    inside = root.resolve().relative_to(top.resolve())
    name = commit.decode().strip()
    listed = _git(
        ["ls-tree", "--name-only", name, "--", f"{inside.as_posix()}/"], top, f"{revision}: git ls-tree failed"
    )
    folder = scratch / "laws"
    folder.mkdir()
    if not listed.strip():
        return folder  # the revision had no laws yet: everything is new
    packed = _git(["archive", "--format=tar", f"{name}:{inside.as_posix()}"], top, f"{revision}: git archive failed")
    try:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
    except tarfile.FilterError as error:
        raise KgError(f"{revision}: {error}; a revision is read alone, so nothing in it may lead out of it") from None
    return folder


def _git(arguments: list[str], folder: Path, failure: str) -> bytes:
    """What a git command prints.

    Raises:
        KgError: With `failure` and git's own last line if it fails.
    """
    try:
        done = git(folder, *arguments)
    except FileNotFoundError:
        raise KgError("git is not installed; kg diff needs it to read revisions") from None
    except subprocess.TimeoutExpired:
        raise KgError(f"{failure} (git took more than {GIT_SECONDS} s)") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise KgError(f"{failure}{f' ({said[-1]})' if said else ''}")
    return done.stdout
