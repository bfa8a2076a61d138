"""What a reviewer of a change is told: what is wrong with the laws as they would be, and what differs in meaning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from spak.kg.checks.run_dates import committed, dated
from spak.kg.diff.report import Difference
from spak.kg.diff.sources import changed_files, fork_point
from spak.kg.diff.statuses import LawStatus, LawStatuses, StatusChange, compare_statuses, read_statuses
from spak.kg.errors import InvalidFilesError, KgError, Problem
from spak.kg.law.power import may_ever_remove
from spak.kg.law.status import status
from spak.library import Library, diff, revision
from spak.tuner.verify import Verification
from spak.verbs import verify

ReviewVerdict = Literal["clean", "findings", "unusable"]
"""`findings`: laws contradict their evidence; `unusable`: files that cannot be read."""


@dataclass(frozen=True)
class Review:
    """A change of laws, judged by the code that is installed.

    Attributes:
        problems: What `kg check` finds in the laws as they would be.
        verified: What every recorded run says of them; empty if they cannot be used.
        difference: What changed in meaning; None if that cannot be told, because of `trouble`.
        others: Files outside the law root that the change touches, relative to the repository.
        statuses: What other code says differently of the same laws; None if nobody gave its word.
        unheard: Why the word of other code, though it was to be heard, is not known.
        paths: Law -> its file, relative to the law root.
    """

    problems: tuple[Problem, ...]
    verified: tuple[Verification, ...] = ()
    difference: Difference | None = None
    trouble: str = ""
    others: tuple[str, ...] = ()
    statuses: tuple[StatusChange, ...] | None = None
    unheard: str = ""
    paths: Mapping[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> ReviewVerdict:
        """Whether the laws are true to their evidence; a change as such is for a person to judge."""
        levels = {problem.severity for problem in self.problems}
        if "error" in levels:
            return "unusable"
        return "findings" if "finding" in levels or any(map(is_contradicted, self.verified)) else "clean"

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing that a person has to read."""
        return self.verdict == "clean" and not (self.difference or self.trouble or self.statuses or self.unheard)


def is_contradicted(found: Verification) -> bool:
    """Whether recorded runs say something else of the law than its file."""
    return bool(found.differing) or found.after != found.before


def statuses(library: Library, verified: Sequence[Verification]) -> LawStatuses:
    """What the installed code says of each law that was `verified` (`verify`), to be held against other code's word."""
    laws = library.laws.laws
    return LawStatuses(
        statuses=tuple(
            LawStatus(
                id=found.law,
                written=found.before,
                computed=status(laws[found.law]),
                replayed=found.after,
                may_remove=may_ever_remove(laws[found.law], library.laws),
                differing=len(found.differing),
            )
            for found in verified
        )
    )


def review(base: str, root: Path, *, head: str = "", toolchain: str | None = None, other: Path | None = None) -> Review:
    """What the change from `base` to `head` does to laws and searches, and whether the laws are true afterwards.

    It is judged by the code that is installed: nothing of either revision is executed. What `base` gained since they
    parted is left out.

    Args:
        base: A git revision of the repository that `root` lies in.
        root: The law root of the working tree.
        head: A git revision; empty: the working tree.
        toolchain: As for `load`.
        other: File with what other code, such as that of `head`, says of the laws at `head`, as `kg verify --all --format
            json` prints it. It is read as a stranger's; where it cannot be used, the review says so.

    Raises:
        KgError: If a revision is none, they have no common ancestor, or git cannot say.
    """
    fork = fork_point(base, head, root)
    others = changed_files(fork, head, root)
    try:
        with revision(head, root, toolchain=toolchain) as after:
            problems, verified = _judged(after, head, root)
            found = Review(problems, verified, others=others, paths=dict(after.laws.paths["law"]))
            if other is not None:
                found = _heard(found, statuses(after, verified), other)
            try:
                with revision(fork, root, toolchain=toolchain) as before:
                    return replace(found, difference=diff(before, after))
            except KgError as error:
                return replace(found, trouble=str(error))
    except InvalidFilesError as error:
        problems = tuple(_placed(error.problems, f"{head}:{root.name}", root))
        return Review(problems, trouble="the laws as they would be cannot be used", others=others)


def _heard(found: Review, own: LawStatuses, other: Path) -> Review:
    """`found` with what other code says differently; where nothing changed but laws, its silence is not worth a word."""
    try:
        return replace(found, statuses=compare_statuses(own, read_statuses(other)))
    except (KgError, OSError) as error:
        said = error.strerror or "" if isinstance(error, OSError) else str(error)
        return replace(found, unheard=said if found.others else "")


def _judged(after: Library, head: str, root: Path) -> tuple[tuple[Problem, ...], tuple[Verification, ...]]:
    """What is wrong with the laws `after` the change, and what all recorded runs say of them."""
    problems = [*after.check(), *(dated(after.laws, datetime.now(UTC), committed(root, head)) if head else ())]
    try:
        verified = verify(after)
    except InvalidFilesError as error:
        verified = ()
        problems += error.problems
    return tuple(sorted(set(_placed(problems, str(after.root), root)))), verified


def _placed(problems: Iterable[Problem], folder: str, root: Path) -> Iterator[Problem]:
    """`problems` of files in `folder`, a copy of the law root `root`, at their places in that."""
    for problem in problems:
        inside = problem.path.removeprefix(folder)
        yield problem if inside == problem.path else replace(problem, path=f"{root.as_posix()}{inside}")
