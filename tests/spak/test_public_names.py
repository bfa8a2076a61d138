"""The public names and their signatures, pinned: docs/python.md promises that they stay."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import spak

SOURCE = Path(spak.__file__)

SIGNATURES = {
    "client_config": ["path"],
    "attention": ["q", "k", "v", "causal", "scale", "q_offset", "deterministic", "laws"],
    "add_norm": ["residual", "branch", "gain", "bias", "norm", "laws"],
    "cross_entropy": ["logits", "targets", "reduction", "ignore_index", "laws"],
    "linear_gelu": ["x", "weight", "bias", "laws"],
    "cutile_versions": [],
    "diff": ["before", "after"],
    "find_root": ["given", "start"],
    "first": ["laws", "hardware", "op_name", "problem"],
    "join_fleet": ["named", "request"],
    "open_fleet": ["named", "keys", "within_s"],
    "start_fleet": ["request"],
    "Fleet.close": ["self"],
    "Fleet.gather": ["self", "workers", "within_s"],
    "Fleet.members": ["self"],
    "Fleet.seen": ["self", "within_s"],
    "Fleet.surroundings": ["self", "around", "hw"],
    "FleetProcesses.close": ["self"],
    "FleetProcesses.wait": ["self"],
    "format_text": ["content", "path", "kind"],
    "seal_root": ["laws"],
    "import_file": ["root", "what", "now"],
    "learn": ["library", "request"],
    "launch": ["kernel", "configuration", "problem", "arrays", "laws", "seed"],
    "kernel": ["name", "space", "arrays", "launch", "check"],
    "fleet_of": ["local", "resume"],
    "outside_name": ["kernel", "local", "resume"],
    "load": ["path", "toolchain", "cache"],
    "here": ["library", "cache", "local"],
    "note": ["laws", "found"],
    "op": ["name", "tune_params", "restrictions", "defaults", "problem", "is_a"],
    "read_recording": ["path"],
    "record": ["laws", "run"],
    "repeat": ["request", "around"],
    "replay": ["recording", "what", "hooks"],
    "report": ["request", "laws"],
    "review": ["base", "root", "head", "toolchain", "other"],
    "statuses": ["library", "verified"],
    "revision": ["source", "root", "toolchain"],
    "names_system": ["laws", "name"],
    "names_targets": ["request", "local"],
    "search": ["request", "around"],
    "search_system": ["request", "around"],
    "search_targets": ["request", "around"],
    "serve_agents": ["path", "toolchain"],
    "verify": ["library", "laws"],
    "Library.brief": ["self", "hw", "op", "problem", "kinds", "statuses", "params"],
    "Library.check": ["self"],
    "Library.choose": ["self", "op", "hw", "problem", "where"],
    "Library.explain": ["self", "law", "num_trials"],
    "Library.evidence_set": ["self", "ops", "hardware", "licence"],
    "Library.filter": ["self", "configurations", "op", "hw", "problem"],
    "Library.graph": ["self"],
    "Library.lineage": ["self", "system"],
    "Library.listing": ["self", "what"],
    "Library.op": ["self", "name"],
    "Library.page": ["self"],
    "Library.propose": ["self", "draft"],
    "Library.query": ["self", "hw", "op", "problem", "kinds", "statuses", "params"],
    "Library.cite": ["self", "law"],
    "Library.draft": ["self", "draft"],
    "LiveLibrary.now": ["self"],
    "Library.rank": ["self", "configurations", "op", "hw", "problem"],
    "Library.restrictions": ["self", "op", "hw", "problem", "soft"],
    "Library.session": ["self", "op", "hw", "problem", "budget", "strategy", "seed"],
    "Library.t4": ["self", "run"],
    "Library.why": ["self", "op", "hw", "config", "problem"],
    "Library.withdraw": ["self", "law", "reason", "date"],
    "Library.without_knowledge": ["self"],
    "Session.ask": ["self"],
    "Session.result": ["self"],
    "Session.tell": ["self", "configuration", "time_us", "failure", "features"],
}
"""Function or method -> its parameters. New ones come last and have a default."""

FIELDS = {
    "Account": {"hw", "op", "configuration", "opinions"},
    "Array": {"dtype", "shape"},
    "KernelLaunch": {"kernel", "grid", "arguments", "options"},
    "KernelSpace": {
        "tune",
        "problem",
        "problems",
        "restrictions",
        "defaults",
        "tiles",
        "specialises",
        "is_a",
        "flops",
        "bytes",
    },
    "OutputCheck": {"reference", "tolerance", "outputs", "inputs", "libraries", "small"},
    "OwnKernel": {"op", "arrays", "check", "default", "node"},
    "Runs": {"function"},
    "Answer": {"hw", "op", "hits", "conflicts", "num_withdrawn", "toolchain", "recorded"},
    "Budget": {"trials", "seconds", "audit"},
    "Candidates": {"op", "configurations"},
    "Launched": {"inputs", "outputs"},
    "Choice": {"op", "hw", "problem", "configuration", "origin", "because"},
    "Citation": {"law", "status", "tier", "kind", "verb", "sentence", "evidence"},
    "Difference": {"items", "spaces", "nodes", "new_conflicts", "gone_conflicts", "runs", "bests"},
    "Draft": {"kind", "title", "scope", "claim", "identifier"},
    "Explanation": {"law", "sentence", "witnesses", "used_by", "referred_by"},
    "Export": {"hw", "op", "problem", "tune_params", "restrictions", "sources", "cannot_say", "recorded"},
    "Filtered": {"kept", "left_out", "spared"},
    "Finding": {"law", "outcome", "effect", "at_most"},
    "First": {"hw", "space", "knowledge", "order"},
    "FleetRequest": {"keys", "compilers", "cache", "gpus", "listen", "tls", "say"},
    "SeenWorker": {"name", "host", "compiles", "busy", "gpu", "version"},
    "HardwareName": {"hw", "arch", "vendor"},
    "Hit": {"law", "match"},
    "Import": {"file", "hardware", "op", "space", "problem", "problem_parameters"},
    "Imported": {"run", "hw", "op", "trials", "failures", "written", "notes", "runs"},
    "LawRoot": {"path", "writable"},
    "LawStatus": {"id", "written", "computed", "replayed", "may_remove", "differing"},
    "LawStatuses": {"statuses"},
    "LearnRequest": {"op", "suggest", "seed", "write"},
    "LearnedRecords": {"op", "suggesting", "testing", "candidates", "laws", "changes"},
    "LeftOut": {"configuration", "laws", "reasons", "names"},
    "Library": {"laws", "toolchain", "writable"},
    "Listed": {"id", "about"},
    "Op": {"id", "title", "is_a", "parameters", "problem", "conditions", "problems"},
    "OperatorSearch": {"part", "share", "result", "left_out"},
    "Opinion": {"law", "match", "verdict", "permission"},
    "Problem": {"path", "line", "column", "field", "message", "severity", "check"},
    "Ranking": {"order", "sources", "num_removed"},
    "Recording": {"format", "parameters", "trials", "device", "kernel", "problem", "notes", "created"},
    "Replay": {"hardware", "op", "laws", "strategy", "budget", "seed", "audit", "own_runs"},
    "Replayed": {"hw", "op", "space", "strategy", "optimum", "random", "trials", "reasons", "overhead_ms"},
    "Repetition": {"found", "run", "run_file", "changes"},
    "Report": {"op", "hw", "document"},
    "ReportRequest": {"runs", "op", "hw"},
    "Review": {"problems", "verified", "difference", "trouble", "others", "statuses", "unheard", "paths"},
    "SearchRequest": {
        *("kernel", "hw", "backend", "use_laws", "transfer", "problem", "trials", "seconds", "strategy", "seed"),
        *("audit", "confirm", "write", "resume"),
    },
    "SearchResult": {"report", "run", "run_file", "changes", "journal", "notes"},
    "SessionResult": {"trials", "best", "contested", "findings"},
    "StatusChange": {"id", "before", "after"},
    "Step": {"system", "gained", "kept", "rewrites"},
    "Surroundings": {
        *(
            "laws",
            "root",
            "now",
            "clock",
            "cache",
            "local",
            "commit",
            "workers",
            "device",
            "open",
            "say",
            "watch",
            "doing",
        ),
    },
    "SystemRequest": {"system", "each"},
    "SystemResult": {"system", "gate", "operators", "interrupted"},
    "TargetResult": {"name", "hw", "problem_name", "weight", "result", "helped"},
    "TargetsRequest": {"weights", "flow"},
    "TargetsResult": {"op", "targets", "learned", "changes", "seconds", "interrupted", "journal", "notes"},
    "ToolRun": {"op", "hardware", "tried", "tool", "at", "checked", "problem", "device", "toolchain", "timer"},
    "Tried": {
        *(
            "configuration",
            "time_us",
            "samples_us",
            "failure",
            "stage",
            "problem",
            "features",
            "compilation_ms",
            "margin_us",
        ),
    },
    "Trial": {"configuration", "invalidity", "measurements", "times", "problem", "origin", "failure"},
    "Verification": {"law", "lines", "differing", "before", "after", "reason", "unnoted"},
    "Witness": {"evidence", "run", "outcomes", "sides"},
    "VerifyRequest": {"law", "backend", "hw", "num_problems", "seed", "write", "probe"},
}
"""Class -> fields that it must keep; it may have more."""

OTHERS = {"Law", "ListedKind", "InfeasibleError", "InvalidFilesError", "KgError", "TunerError", "UnknownNameError"}
"""A union of file models, names of what is listed, and exceptions."""


def public(name: str) -> object:
    """`Library.query` -> the function."""
    found: object = spak
    for part in name.split("."):
        found = getattr(found, part)
    return found


def fields(found: type) -> set[str]:
    """Names of the fields of a dataclass or a file model."""
    if dataclasses.is_dataclass(found):
        return {field.name for field in dataclasses.fields(found)}
    return {field.name for field in msgspec.structs.fields(found)}


def methods() -> set[str]:
    """`Class.method` for every public method that a class of this package defines."""
    homes = [name for name in spak.__all__ if getattr(public(name), "__module__", "").startswith("spak.")]
    own = [name for name in homes if inspect.isclass(public(name)) and public(name).__module__.count(".") == 1]
    return {
        f"{name}.{method}"
        for name in own
        for method, found in vars(public(name)).items()
        if inspect.isfunction(found) and not method.startswith("_")
    }


def test_every_public_name_is_pinned_and_nothing_else():
    """A name without a pin could change unseen."""
    pinned = {name.partition(".")[0] for name in SIGNATURES} | FIELDS.keys() | OTHERS
    assert pinned == set(spak.__all__)
    assert {name for name in SIGNATURES if "." in name} == methods()


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_keeps_its_parameters(name):
    """In order, and what was added has a default."""
    found = list(inspect.signature(public(name)).parameters.values())
    kept = SIGNATURES[name]
    assert [parameter.name for parameter in found[: len(kept)]] == kept
    assert all(parameter.default is not inspect.Parameter.empty for parameter in found[len(kept) :])


@pytest.mark.parametrize("name", FIELDS)
def test_a_result_keeps_its_fields_and_is_frozen(name):
    """A field is added, never renamed."""
    found = public(name)
    assert fields(found) >= FIELDS[name]
    config = getattr(found, "__dataclass_params__", None) or found.__struct_config__
    assert config.frozen


@pytest.mark.parametrize("name", spak.__all__)
def test_every_public_name_is_documented(name):
    """Exceptions and classes say what they are, functions what they return."""
    assert name in {"Law", "ListedKind"} or inspect.getdoc(public(name))


def test_types_names_and_homes_say_the_same():
    """What a type checker sees, what `from spak import *` gives, and where each is found."""
    tree = ast.parse(SOURCE.read_text())
    seen = {
        (node.module, alias.asname)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("spak.")
        for alias in node.names
    }
    assert seen == {(module, name) for module, names in spak._HOMES.items() for name in names}
    assert sorted(spak.__all__) == spak.__all__ == dir(spak) == sorted(name for _, name in seen)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        spak.nothing  # noqa: B018


def test_importing_it_imports_nothing_else():
    """No NumPy, no NetworkX, no module of its own."""
    program = "import sys; before = set(sys.modules); import spak; print(*(set(sys.modules) - before))"
    environment = {"PYTHONPATH": str(SOURCE.parents[1])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()} - set(sys.stdlib_module_names)
    assert loaded == {"spak"}
    assert [name for name in done.stdout.split() if name.startswith("spak.")] == []
