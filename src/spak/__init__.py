"""spak: a knowledge graph of GPU hardware laws, and a kernel tuner that obeys, tests and extends them.

`load` gives a `Library`, which answers; `docs/python.md` shows how. What is in `__all__` is public and stays; every
other module is how it is made. A name is imported when it is first used, so `import spak` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spak.candidates import Filtered as Filtered
    from spak.candidates import LeftOut as LeftOut
    from spak.candidates import Ranking as Ranking
    from spak.choice import Choice as Choice
    from spak.fleet import Fleet as Fleet
    from spak.fleet import FleetProcesses as FleetProcesses
    from spak.fleet import FleetRequest as FleetRequest
    from spak.fleet import SeenWorker as SeenWorker
    from spak.fleet import join_fleet as join_fleet
    from spak.fleet import open_fleet as open_fleet
    from spak.fleet import start_fleet as start_fleet
    from spak.kernels.cutile import Array as Array
    from spak.kernels.launched import Launched as Launched
    from spak.kernels.own.declared import OutputCheck as OutputCheck
    from spak.kernels.own.declared import Runs as Runs
    from spak.kernels.own.launches import KernelLaunch as KernelLaunch
    from spak.kg.answers.citation import Citation as Citation
    from spak.kg.answers.explain import Explanation as Explanation
    from spak.kg.answers.explain import Witness as Witness
    from spak.kg.answers.lineage import Step as Step
    from spak.kg.answers.listing import Listed as Listed
    from spak.kg.answers.listing import ListedKind as ListedKind
    from spak.kg.answers.query import Answer as Answer
    from spak.kg.answers.why import Account as Account
    from spak.kg.answers.why import Opinion as Opinion
    from spak.kg.diff.report import Difference as Difference
    from spak.kg.diff.statuses import LawStatus as LawStatus
    from spak.kg.diff.statuses import LawStatuses as LawStatuses
    from spak.kg.diff.statuses import StatusChange as StatusChange
    from spak.kg.errors import InfeasibleError as InfeasibleError
    from spak.kg.errors import InvalidFilesError as InvalidFilesError
    from spak.kg.errors import KgError as KgError
    from spak.kg.errors import Problem as Problem
    from spak.kg.errors import UnknownNameError as UnknownNameError
    from spak.kg.files.fmt import format_text as format_text
    from spak.kg.files.root import LawRoot as LawRoot
    from spak.kg.files.root import find_root as find_root
    from spak.kg.files.scaffold import Draft as Draft
    from spak.kg.files.seal import seal_root as seal_root
    from spak.kg.formats.importing import Import as Import
    from spak.kg.formats.importing import Imported as Imported
    from spak.kg.formats.importing import import_file as import_file
    from spak.kg.formats.kernel_tuner_export import Export as Export
    from spak.kg.formats.nodes import HardwareName as HardwareName
    from spak.kg.formats.reader import read_recording as read_recording
    from spak.kg.formats.recording import Recording as Recording
    from spak.kg.formats.tried import ToolRun as ToolRun
    from spak.kg.formats.tried import Tried as Tried
    from spak.kg.law.conflict import Hit as Hit
    from spak.kg.model.law import Law as Law
    from spak.kg.model.op import Op as Op
    from spak.kg.model.run import Trial as Trial
    from spak.launching import launch as launch
    from spak.library import Library as Library
    from spak.library import diff as diff
    from spak.library import load as load
    from spak.library import revision as revision
    from spak.live import LiveLibrary as LiveLibrary
    from spak.operators import add_norm as add_norm
    from spak.operators import attention as attention
    from spak.operators import cross_entropy as cross_entropy
    from spak.operators import linear_gelu as linear_gelu
    from spak.own import KernelSpace as KernelSpace
    from spak.own import OwnKernel as OwnKernel
    from spak.own import kernel as kernel
    from spak.reviews import Review as Review
    from spak.reviews import review as review
    from spak.reviews import statuses as statuses
    from spak.serving import client_config as client_config
    from spak.serving import serve_agents as serve_agents
    from spak.session import Session as Session
    from spak.session import SessionResult as SessionResult
    from spak.tunable import Candidates as Candidates
    from spak.tunable import op as op
    from spak.tuner.backend.compile.toolchain import cutile_versions as cutile_versions
    from spak.tuner.engine.budget import Budget as Budget
    from spak.tuner.engine.surroundings import Surroundings as Surroundings
    from spak.tuner.engine.tally import Finding as Finding
    from spak.tuner.errors import TunerError as TunerError
    from spak.tuner.first import First as First
    from spak.tuner.first import first as first
    from spak.tuner.learn.records import LearnedRecords as LearnedRecords
    from spak.tuner.learn.records import LearnRequest as LearnRequest
    from spak.tuner.many import TargetResult as TargetResult
    from spak.tuner.many import TargetsResult as TargetsResult
    from spak.tuner.many import names_targets as names_targets
    from spak.tuner.many import search_targets as search_targets
    from spak.tuner.replay import Replay as Replay
    from spak.tuner.replay import Replayed as Replayed
    from spak.tuner.replay import replay as replay
    from spak.tuner.report import Report as Report
    from spak.tuner.report import ReportRequest as ReportRequest
    from spak.tuner.report import report as report
    from spak.tuner.search import SearchRequest as SearchRequest
    from spak.tuner.search import SearchResult as SearchResult
    from spak.tuner.search import fleet_of as fleet_of
    from spak.tuner.search import outside_name as outside_name
    from spak.tuner.search import search as search
    from spak.tuner.system import OperatorSearch as OperatorSearch
    from spak.tuner.system import SystemRequest as SystemRequest
    from spak.tuner.system import SystemResult as SystemResult
    from spak.tuner.system import names_system as names_system
    from spak.tuner.system import search_system as search_system
    from spak.tuner.targeting import TargetsRequest as TargetsRequest
    from spak.tuner.verify import Repetition as Repetition
    from spak.tuner.verify import Verification as Verification
    from spak.tuner.verify import VerifyRequest as VerifyRequest
    from spak.tuner.verify import note as note
    from spak.tuner.verify import repeat as repeat
    from spak.verbs import here as here
    from spak.verbs import learn as learn
    from spak.verbs import record as record
    from spak.verbs import verify as verify

__all__ = [
    "Account",
    "Answer",
    "Array",
    "Budget",
    "Candidates",
    "Choice",
    "Citation",
    "Difference",
    "Draft",
    "Explanation",
    "Export",
    "Filtered",
    "Finding",
    "First",
    "Fleet",
    "FleetProcesses",
    "FleetRequest",
    "HardwareName",
    "Hit",
    "Import",
    "Imported",
    "InfeasibleError",
    "InvalidFilesError",
    "KernelLaunch",
    "KernelSpace",
    "KgError",
    "Launched",
    "Law",
    "LawRoot",
    "LawStatus",
    "LawStatuses",
    "LearnRequest",
    "LearnedRecords",
    "LeftOut",
    "Library",
    "Listed",
    "ListedKind",
    "LiveLibrary",
    "Op",
    "OperatorSearch",
    "Opinion",
    "OutputCheck",
    "OwnKernel",
    "Problem",
    "Ranking",
    "Recording",
    "Repetition",
    "Replay",
    "Replayed",
    "Report",
    "ReportRequest",
    "Review",
    "Runs",
    "SearchRequest",
    "SearchResult",
    "SeenWorker",
    "Session",
    "SessionResult",
    "StatusChange",
    "Step",
    "Surroundings",
    "SystemRequest",
    "SystemResult",
    "TargetResult",
    "TargetsRequest",
    "TargetsResult",
    "ToolRun",
    "Trial",
    "Tried",
    "TunerError",
    "UnknownNameError",
    "Verification",
    "VerifyRequest",
    "Witness",
    "add_norm",
    "attention",
    "client_config",
    "cross_entropy",
    "cutile_versions",
    "diff",
    "find_root",
    "first",
    "fleet_of",
    "format_text",
    "here",
    "import_file",
    "join_fleet",
    "kernel",
    "launch",
    "learn",
    "linear_gelu",
    "load",
    "names_system",
    "names_targets",
    "note",
    "op",
    "open_fleet",
    "outside_name",
    "read_recording",
    "record",
    "repeat",
    "replay",
    "report",
    "review",
    "revision",
    "seal_root",
    "search",
    "search_system",
    "search_targets",
    "serve_agents",
    "start_fleet",
    "statuses",
    "verify",
]

_HOMES = {
    "spak.candidates": ("Filtered", "LeftOut", "Ranking"),
    "spak.choice": ("Choice",),
    "spak.kg.answers.citation": ("Citation",),
    "spak.kg.answers.explain": ("Explanation", "Witness"),
    "spak.fleet": ("Fleet", "FleetProcesses", "FleetRequest", "SeenWorker", "join_fleet", "open_fleet", "start_fleet"),
    "spak.kernels.cutile": ("Array",),
    "spak.kernels.own.declared": ("OutputCheck", "Runs"),
    "spak.kernels.own.launches": ("KernelLaunch",),
    "spak.kg.answers.lineage": ("Step",),
    "spak.kg.answers.listing": ("Listed", "ListedKind"),
    "spak.kg.answers.query": ("Answer",),
    "spak.kg.answers.why": ("Account", "Opinion"),
    "spak.kg.diff.report": ("Difference",),
    "spak.kg.diff.statuses": ("LawStatus", "LawStatuses", "StatusChange"),
    "spak.reviews": ("Review", "review", "statuses"),
    "spak.kg.errors": ("InfeasibleError", "InvalidFilesError", "KgError", "Problem", "UnknownNameError"),
    "spak.kg.files.fmt": ("format_text",),
    "spak.kg.files.seal": ("seal_root",),
    "spak.tuner.backend.compile.toolchain": ("cutile_versions",),
    "spak.kg.files.root": ("LawRoot", "find_root"),
    "spak.kg.files.scaffold": ("Draft",),
    "spak.kg.formats.importing": ("Import", "Imported", "import_file"),
    "spak.kg.formats.kernel_tuner_export": ("Export",),
    "spak.kg.formats.nodes": ("HardwareName",),
    "spak.kg.formats.reader": ("read_recording",),
    "spak.kg.formats.recording": ("Recording",),
    "spak.kg.formats.tried": ("ToolRun", "Tried"),
    "spak.kg.law.conflict": ("Hit",),
    "spak.kg.model.law": ("Law",),
    "spak.kg.model.op": ("Op",),
    "spak.kg.model.run": ("Trial",),
    "spak.kernels.launched": ("Launched",),
    "spak.launching": ("launch",),
    "spak.library": ("Library", "diff", "load", "revision"),
    "spak.live": ("LiveLibrary",),
    "spak.operators": ("add_norm", "attention", "cross_entropy", "linear_gelu"),
    "spak.serving": ("client_config", "serve_agents"),
    "spak.own": ("KernelSpace", "OwnKernel", "kernel"),
    "spak.session": ("Session", "SessionResult"),
    "spak.tunable": ("Candidates", "op"),
    "spak.tuner.engine.tally": ("Finding",),
    "spak.tuner.engine.budget": ("Budget",),
    "spak.tuner.engine.surroundings": ("Surroundings",),
    "spak.tuner.errors": ("TunerError",),
    "spak.tuner.first": ("First", "first"),
    "spak.tuner.learn.records": ("LearnRequest", "LearnedRecords"),
    "spak.tuner.many": ("TargetResult", "TargetsResult", "names_targets", "search_targets"),
    "spak.tuner.targeting": ("TargetsRequest",),
    "spak.tuner.replay": ("Replay", "Replayed", "replay"),
    "spak.tuner.report": ("Report", "ReportRequest", "report"),
    "spak.tuner.search": ("SearchRequest", "SearchResult", "fleet_of", "outside_name", "search"),
    "spak.tuner.system": ("OperatorSearch", "SystemRequest", "SystemResult", "names_system", "search_system"),
    "spak.tuner.verify": ("Repetition", "Verification", "VerifyRequest", "note", "repeat"),
    "spak.verbs": ("here", "learn", "record", "verify"),
}
"""Module -> public names that it holds."""

_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """The public name, from its module."""
    if name not in _HOME:
        raise AttributeError(f"module 'spak' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    """The public names."""
    return __all__
