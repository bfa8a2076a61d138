"""The workflow files: GitHub accepts them, every power in them is one of a list, and the job that writes refuses what it must."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from tests import workplace
from tests.review.pulls import ACTION, MARKER, ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
SHA = "a" * 40
POWERS = {
    ("laws", "review"): {"actions": "read", "contents": "read", "pull-requests": "read"},
    ("laws", "report"): {"contents": "read", "pull-requests": "write", "statuses": "write"},
    ("statuses", "statuses"): {"contents": "read"},
    ("test", "test"): {"contents": "read"},
    ("test", "fuzz"): {"contents": "read"},
}
"""What the token of each job may do; another job, or more, fails here."""

TRUSTED = {"laws"}
"""Workflows with more than a token that reads: they run the default branch's code alone."""


def steps(path: Path) -> list[dict]:
    return [step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize(
    ("schema", "path"), [*(("workflows", p) for p in WORKFLOWS), ("actions", ACTION / "action.yml")]
)
def test_github_accepts_the_files(schema, path):
    """Against the schemas of GitHub workflows and actions."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.github-{schema}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_job_has_the_powers_of_the_list_and_no_more():
    """A job without its own permissions has those of its workflow."""
    found = {}
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        for name, job in workflow["jobs"].items():
            found[path.stem, name] = job.get("permissions", workflow["permissions"])
    assert found == POWERS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_workflow_is_built_from_what_a_pull_request_says(path):
    """No secret, no expression in a script, no `pull_request_target`, no token left in a checkout."""
    text = path.read_text()
    assert "pull_request_target" not in text
    assert "secrets" not in text
    for step in steps(path):
        assert "${{" not in step.get("run", ""), "an expression in a script is code injection"
        if str(step.get("uses", "")).startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False
            wanted = "${{ github.event.repository.default_branch }}" if path.stem in TRUSTED else None
            assert step["with"].get("ref") == wanted
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    assert all("${{" not in step["run"] for step in action["runs"]["steps"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_is_trusted_starts_on_the_default_branch_and_installs_nothing_else(path):
    """GitHub takes a `workflow_run` workflow from the default branch, any other from the pull request itself."""
    workflow = yaml.safe_load(path.read_text())
    assert (set(workflow[True]) == {"workflow_run"}) is (path.stem in TRUSTED)  # YAML 1.1 reads `on` as true
    writes = [power for job in workflow["jobs"].values() for power in job.get("permissions", {}).values()]
    assert ("write" in writes) is (path.stem in TRUSTED)
    local = [step for step in steps(path) if str(step.get("uses", "")).startswith("./")]
    assert [step["with"]["spak"] for step in local] == [".[sim]"] * len(local)


def test_no_filter_leaves_a_required_check_pending():
    """A workflow that is skipped by a filter reports nothing, and a pull request waits for it for ever."""
    for path in WORKFLOWS:
        events = yaml.safe_load(path.read_text())[True]
        for event in events.values() if isinstance(events, dict) else ():
            assert not {"paths", "paths-ignore", "tags"} & (event or {}).keys(), path
    laws = yaml.safe_load((ROOT / ".github/workflows/laws.yml").read_text())
    assert laws[True]["workflow_run"] == {"workflows": ["statuses"], "types": ["completed"]}
    assert laws["jobs"]["report"]["if"].startswith("always()")
    assert not any("if" in step for step in laws["jobs"]["report"]["steps"][-1:])


@pytest.mark.parametrize("path", [*WORKFLOWS, ACTION / "action.yml"], ids=lambda path: path.stem)
def test_every_action_of_others_is_pinned_to_a_commit(path):
    """A tag can be moved to other code after it was looked at; the comment says which release the commit is."""
    for used in re.findall(r"(?m)^ *(?:- )?uses: *(\S.*)", path.read_text()):
        assert used.startswith("./") or re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used


@pytest.mark.parametrize("changes", [{"BASE": "main"}, {"MERGE": "--help"}, {"BASE": SHA}])
def test_what_is_no_commit_of_the_repository_stops_the_action(tmp_path, changes):
    """It ends with an error, and with no verdict."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "laws").mkdir()
    given = {"BASE": SHA, "MERGE": SHA, "LAWS": "laws", "TOOLCHAIN": "", "STATUSES": "", "REPORT": str(tmp_path / "r")}
    output = {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    path = {"PATH": f"{workplace.programs(tmp_path / 'bin')}:{os.environ['PATH']}"}
    environment = {**workplace.environment(), **path, **given, **output, **changes}
    script = ["bash", str(ACTION / "review.sh")]
    done = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, (tmp_path / "output").exists()) == (2, False)
    assert "::error title=kg-review::" in done.stdout


@pytest.fixture
def report(tmp_path):
    """Run report.sh against a stand-in for GitHub."""
    binary = tmp_path / "bin"
    binary.mkdir()
    gh = binary / "gh"
    gh.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).parent / "fake_gh.py"}" "$@"\n')
    gh.chmod(gh.stat().st_mode | stat.S_IXUSR)
    folder = tmp_path / "report"
    folder.mkdir()
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"pulls": {}, "comments": [], "statuses": [], "calls": []}))

    def run(body: str | None = f"{MARKER}\nhello\n", **changes: str) -> SimpleNamespace:
        (folder / "comment.md").unlink(missing_ok=True)
        if body is not None:
            (folder / "comment.md").write_text(body, encoding="utf-8")
        given = {"NUMBER": "7", "HEAD_SHA": SHA, "VERDICT": "clean", "RUN_URL": "https://x", "GH_TOKEN": "writes"}
        environment = {
            **workplace.environment(),
            "PATH": f"{binary}:{os.environ['PATH']}",
            "FAKE_GH": str(state),
            "REPORT": str(folder),
            "REPOSITORY": "o/r",
            **given,
            **changes,
        }
        script = ["bash", str(ACTION / "report.sh")]
        done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
        found = json.loads(state.read_text())
        return SimpleNamespace(code=done.returncode, log=done.stdout + done.stderr, **found)

    run.state = state
    return run


def test_one_comment_is_posted_and_then_updated_in_place(report):
    """Other comments, even with the marker, stay untouched; when there is nothing to say any more, it says so."""
    state = json.loads(report.state.read_text())
    state["comments"] = [{"id": 3, "user": "somebody", "body": f"{MARKER}\nmine"}]
    report.state.write_text(json.dumps(state))
    assert [c["body"] for c in report().comments] == [f"{MARKER}\nmine", f"{MARKER}\nhello\n"]
    assert [c["body"] for c in report(f"{MARKER}\nagain µ\n").comments][1:] == [f"{MARKER}\nagain µ\n"]
    done = report("")
    assert (done.code, len(done.comments)) == (0, 2)
    assert done.comments[1]["body"].startswith(f"{MARKER}\n### Laws: nothing changed")


@pytest.mark.parametrize(
    ("verdict", "state"), [("clean", "success"), ("findings", "failure"), ("unusable", "failure"), ("", "error")]
)
def test_the_status_is_the_verdict_and_no_verdict_is_an_error(report, verdict, state):
    """Only a review that ended well is green."""
    assert [(one["state"], one["context"]) for one in report(VERDICT=verdict).statuses] == [(state, "laws")]


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        (None, {}),
        (f"{MARKER}\n" + "x" * 300_000, {}),
        ("", {"NUMBER": "7; touch x"}),
        ("", {"NUMBER": "../../o/other/pulls/7"}),
        ("", {"VERDICT": "clean; ls"}),
    ],
)
def test_a_review_that_is_none_is_an_error_and_no_comment(report, body, changes):
    """The job says why, and so does the status."""
    done = report(body, **changes)
    assert (done.code, done.comments) == (1, [])
    assert [one["state"] for one in done.statuses] == ["error"]


def test_an_event_without_a_commit_reports_nothing(report):
    """There is nothing that a status could be of."""
    done = report(HEAD_SHA="$(ls)")
    assert (done.code, done.calls) == (1, [])


def test_a_long_comment_is_cut_at_a_whole_character(report):
    """GitHub refuses more than 65,536 characters."""
    [posted] = report(f"{MARKER}\n" + "µ" * 60_000).comments
    assert len(posted["body"].encode()) <= 65_000
    assert re.fullmatch(f"{MARKER}\nµ+", posted["body"])
