"""What `kg review` found: as text, as the one comment of a pull request, as annotations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from spak.cli import workflow
from spak.cli.render import diff as render_diff
from spak.cli.render.findings import FINDINGS_FORMATS
from spak.cli.render.text import Pen, wrap
from spak.cli.render.verify import summary
from spak.kg.diff.statuses import StatusChange, status_words
from spak.kg.visible import as_markdown

if TYPE_CHECKING:
    from spak import Review

MOST_SHOWN = 20
"""Of one kind of thing in a comment; how many more there are is said."""

MOST_DIFFERING = 3
"""Entries of one law told, that differ from what their runs say; `kg check` has them all."""

_VERDICTS = {
    "clean": "Laws and evidence agree.",
    "findings": "Laws contradict their evidence.",
    "unusable": "Not every file can be used.",
}
WATCHED = ".github/"
"""What is there decides what a check of a pull request runs."""


def review_text(found: Review, pen: Pen) -> str:
    """For a terminal: what is wrong, then what changed."""
    parts = ["".join(f"{line}\n" for line in wrap(_VERDICTS[found.verdict]))]
    parts.append(FINDINGS_FORMATS["text"]([p for p in found.problems if p.severity != "note"]))
    parts += [f"{said}\n" for said in contradictions(found)]
    parts += ["".join(f"{line}\n" for line in wrap(said)) for said in status_lines(found.statuses or ())]
    if found.difference is not None:
        parts.append(f"\n{render_diff.diff_text(found.difference, pen)}")
    parts += ["".join(f"{line}\n" for line in wrap(said)) for said in [*_trouble(found), *_other_files(found.others)]]
    return "".join(parts)


def review_markdown(found: Review) -> str:
    """The comment: what is wrong with the laws, what the change does outside them, then the difference.

    The difference is last, and may be as long as its author likes: what is cut from a comment is its end.
    """
    wrong = [str(problem) for problem in found.problems if problem.severity != "note"] + list(contradictions(found))
    out = [render_diff.MARKER, *_listed(_VERDICTS[found.verdict], wrong)]
    if found.statuses:
        out += _listed("The changed code judges laws differently", list(status_lines(found.statuses)))
    out += [f"{as_markdown(said)}\n" for said in [*_trouble(found), *_other_files(found.others)]]
    if found.difference is not None:
        out.append(render_diff.diff_markdown(found.difference).removeprefix(f"{render_diff.MARKER}\n"))
    return "\n".join(out)


def review_github(found: Review, folder: str) -> str:
    """Annotations: of what is wrong, of each changed law, and of each law that the changed code judges differently.

    Args:
        found: What to say.
        folder: The law root, relative to the repository.
    """
    paths = {law: f"{folder}/{path}" for law, path in found.paths.items()}
    out = [FINDINGS_FORMATS["github"](found.problems)]
    out += [f"{workflow.command('error', said, title='kg verify')}\n" for said in contradictions(found)]
    if found.difference is not None:
        out.append(render_diff.github(found.difference, paths))
    changed = (workflow.command("warning", said, title="status") for said in status_lines(found.statuses or ()))
    out += [f"{said}\n" for said in changed]
    out += [f"{workflow.command('warning', said, title='kg review')}\n" for said in _trouble(found)]
    return "".join(out)


def contradictions(found: Review) -> Iterator[str]:
    """Each law of which recorded runs say something else than its file."""
    from spak.reviews import is_contradicted

    said = (summary(one).splitlines() for one in found.verified if is_contradicted(one))
    return (line.strip() for lines in said for line in lines[: 1 + MOST_DIFFERING])


def status_lines(changes: Sequence[StatusChange]) -> Iterator[str]:
    """`LAW: contested -> confirmed by its evidence entries; may now remove configurations`."""
    return (f"{change.id}: {'; '.join(status_words(change))}" for change in changes)


def _trouble(found: Review) -> Iterator[str]:
    if found.trouble:
        yield f"The difference cannot be told: {found.trouble}"
    if found.unheard:
        yield f"What the changed code says of the laws is not known: {found.unheard}"


def _other_files(paths: Sequence[str]) -> Iterator[str]:
    """The files outside the laws, those first that decide what a check runs."""
    if not paths:
        return
    shown = sorted(paths, key=lambda path: (not path.startswith(WATCHED), path))[:MOST_SHOWN]
    more = f" and {len(paths) - len(shown)} more" if len(paths) > len(shown) else ""
    yield f"Changed outside the laws, which were judged without it: {', '.join(shown)}{more}"


def _listed(title: str, lines: Sequence[str]) -> Iterator[str]:
    yield f"**{title}**\n"
    if lines:
        shown = [f"- {as_markdown(line)}" for line in lines[:MOST_SHOWN]]
        more = [f"- and {len(lines) - MOST_SHOWN} more" for _ in lines[MOST_SHOWN : MOST_SHOWN + 1]]
        yield "\n".join([*shown, *more]) + "\n"


REVIEW_FORMATS: Mapping[str, Callable[[Review, str, Pen], str]] = {
    "text": lambda found, _, pen: review_text(found, pen),
    "markdown": lambda found, _folder, _pen: review_markdown(found),
    "github": lambda found, folder, _: review_github(found, folder),
}
"""Name of a format -> what makes it of a review and the law root's folder."""
