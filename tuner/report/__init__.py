"""A kernel's engineering report: chosen runs become computed facts, those one document, that an HTML page or Markdown.

`choose` says which runs; `timing`, `effects`, `bounds`, `tiles`, `steps` and `known` compute what they say and put it into
blocks of a `document`; `drawing` draws the roofline; `html` and `markdown` render. No op, kernel or hardware is named here: roles of
parameters, systems and facts decide.
"""

from __future__ import annotations

from dataclasses import dataclass

from spak.kg.files.loader import Laws
from spak.kg.visible import visible
from spak.tuner.report.choose import ReportRequest, choose_runs
from spak.tuner.report.document import Document
from spak.tuner.report.html import page
from spak.tuner.report.markdown import markdown
from spak.tuner.report.tell import tell
from spak.tuner.report.timing import KernelRuns, LibraryRace

__all__ = ["Report", "ReportRequest", "library_race", "report"]


@dataclass(frozen=True)
class Report:
    """A report of an op on hardware, not yet rendered.

    Attributes:
        race: The best recorded configurations against libraries, as figures; None where no library was timed.
    """

    op: str
    hw: str
    document: Document
    race: LibraryRace | None = None

    @property
    def html(self) -> str:
        """One page that needs nothing else; raises TunerError if jinja2 is not installed."""
        return visible(page(self.document))

    @property
    def markdown(self) -> str:
        """Plain text, one sentence a line."""
        return visible(markdown(self.document))


def report(request: ReportRequest, laws: Laws) -> Report:
    """The report of what `request` names, from the recorded runs of `laws`.

    Raises:
        UnknownNameError: If a run, an op or hardware is unknown.
        InvalidFilesError: If a file is no run file.
        TunerError: If the runs do not belong together, or nothing is measured.
    """
    subject = choose_runs(laws, request)
    return Report(subject.op.id, subject.hw, tell(subject), KernelRuns(subject.op, subject.runs).race)


def library_race(request: ReportRequest, laws: Laws) -> LibraryRace | None:
    """`Report.race` of what `request` names, without the rest; raises as `report` does."""
    subject = choose_runs(laws, request)
    return KernelRuns(subject.op, subject.runs).race
