"""The pull-request check: files GitHub accepts, scripts that do what they say on real git histories."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import yaml

from spak.kg.evidence.entries import unnoted, with_roles
from spak.kg.files.loader import load
from spak.kg.files.seal import sealed
from spak.kg.law.status import status
from spak.kg.model.run import Device, Run
from spak.tuner.learn.writeback import law_text
from tests import workplace
from tests.kg.diff.history import History, law

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github/actions/kg-review"
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
MARKER = "<!-- kg diff -->"
SHA = "a" * 40


@pytest.mark.parametrize(
    ("schema", "path"), [*(("workflows", p) for p in WORKFLOWS), ("actions", ACTION / "action.yml")]
)
def test_github_accepts_the_files(schema, path):
    """Against the schemas of GitHub workflows and actions."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.github-{schema}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_workflow_lets_a_stranger_write(path):
    """Tokens are read-only but for the comment job; no script is built from what a pull request says."""
    text = path.read_text()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    assert "pull_request_target" not in text
    for name, job in workflow["jobs"].items():
        writes = [scope for scope, access in job.get("permissions", {}).items() if access == "write"]
        assert writes == (["pull-requests"] if (path.stem, name) == ("laws-comment", "comment") else [])
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), "an expression in a script is code injection"
            if writes and str(step.get("uses", "")).startswith("actions/checkout"):
                assert step["with"]["ref"] == "${{ github.event.repository.default_branch }}"
            if str(step.get("uses", "")).startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    assert all("${{" not in step["run"] for step in action["runs"]["steps"])


@pytest.mark.parametrize("path", [*WORKFLOWS, ACTION / "action.yml"], ids=lambda path: path.stem)
def test_every_action_of_others_is_pinned_to_a_commit(path):
    """A tag can be moved to other code after it was looked at; the comment says which release the commit is."""
    for used in re.findall(r"uses: *(\S.*)", path.read_text()):
        assert used.startswith("./") or re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used


@pytest.fixture
def history(tmp_path):
    (tmp_path / "repository").mkdir()
    return History(tmp_path / "repository")


@pytest.fixture
def review(history, tmp_path):
    """Run review.sh as the action does, from the fork point to the last commit."""
    programs = workplace.programs(tmp_path / "bin")
    base = history.git("rev-parse", "HEAD").stdout.strip()

    def run(**changes: str) -> SimpleNamespace:
        report = tmp_path / "report"
        environment = {
            **workplace.environment(),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "BASE": base,
            "HEAD": history.git("rev-parse", "HEAD").stdout.strip(),
            "LAWS": "laws",
            "TOOLCHAIN": "tileiras 13.4",
            "NUMBER": "7",
            "REPORT": str(report),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            **changes,
        }
        script = ["bash", str(ACTION / "review.sh")]
        done = subprocess.run(script, cwd=history.folder, env=environment, capture_output=True, text=True, check=False)
        files = {path.name: path.read_text() for path in report.iterdir()} if report.is_dir() else {}
        output = (tmp_path / "output").read_text() if (tmp_path / "output").exists() else ""
        return SimpleNamespace(code=done.returncode, log=done.stdout, err=done.stderr, files=files, output=output)

    return run


def told(run: Run) -> Run:
    """`run` with its device, and each time with its interval."""
    exact = [
        [msgspec.structs.replace(one, low=one.value, high=one.value) for one in trial.measurements]
        for trial in run.trials
    ]
    trials = [msgspec.structs.replace(t, measurements=tuple(m)) for t, m in zip(run.trials, exact, strict=True)]
    return msgspec.structs.replace(run, device=Device(name="H200"), trials=tuple(trials))


@pytest.fixture
def honest(history):
    """The same runs with all that a run file says, and the same laws, each with the evidence that these runs are for it."""
    for path in (history.laws / "evidence").iterdir():
        run = msgspec.json.decode(path.read_bytes(), type=Run)
        path.write_bytes(msgspec.json.encode(sealed(told(run))))
    laws = load(history.laws)
    for one in laws.laws.values():
        bare = msgspec.structs.replace(one, evidence=(), origin="by hand, in the run called found")
        new = with_roles(bare, unnoted(bare, list(map(laws.witness, laws.run_ids))), laws.witness)
        true = msgspec.structs.replace(bare, evidence=new)
        laws.path("law", one.id).write_text(law_text(msgspec.structs.replace(true, status=status(true))))
    history.commit("true evidence")


@pytest.mark.usefixtures("honest")
def test_true_laws_are_clean(history, review):
    """Neither their own evidence nor a run that they leave out speaks otherwise."""
    path = history.laws / "sm_90/toy/big-tiles.yaml"
    path.write_text(path.read_text().replace("title: Avoid", "title: Stay away from"))
    history.commit("another title")
    done = review()
    assert (done.code, "verdict=clean\n" in done.output) == (0, True), done.log + done.err
    assert "::error" not in done.log


@pytest.mark.usefixtures("honest")
def test_a_change_becomes_annotations_a_summary_and_an_artifact(history, review, tmp_path):
    """A pull request that would lose a recorded best, which recorded runs refute, while main moved on with another law."""
    history.git("checkout", "-q", "-b", "pull")
    history.write(
        "sm_90/toy/latency-four.yaml", law("latency-four", "latency in [2, 4]", status="proposed", evidence="  []")
    )
    history.commit("exclude the best")
    history.git("checkout", "-q", "main")
    history.write("sm_90/toy/other.yaml", law("other", "latency == 3"))
    history.commit("somebody else's law")
    moved = history.git("rev-parse", "HEAD").stdout.strip()
    history.git("checkout", "-q", "pull")
    done = review(BASE=moved)
    assert done.code == 0, done.log + done.err
    assert sorted(done.files) == ["comment.md", "head", "number"]
    assert done.files["comment.md"].startswith(f"{MARKER}\n### Laws: 1 law changed; look at 1")
    assert "other" not in done.files["comment.md"]
    assert (done.files["number"], done.files["head"]) == ("7\n", history.git("rev-parse", "HEAD").stdout)
    assert "::warning file=laws/sm_90/toy/latency-four.yaml,title=law latency-four::" in done.log
    assert (tmp_path / "summary").read_text() == done.files["comment.md"]
    assert "verdict=findings\n" in done.output
    assert re.search(
        r"^::error title=kg verify::latency-four: refutes .*; proposed -> refuted$", done.log, re.MULTILINE
    )


def test_laws_that_cannot_be_used_are_said_with_their_place(history, review):
    """The comment says so too, as text that is no markup."""
    history.write("sm_90/toy/latency-four.yaml", "id: latency-four\ntitel: <b>x</b>\n")
    history.commit("broken")
    done = review()
    assert done.code == 0
    assert "verdict=unusable\n" in done.output
    assert "::error file=laws/sm_90/toy/latency-four.yaml,line=" in done.log
    assert done.files["comment.md"].startswith(f"{MARKER}\n### Laws: the difference cannot be told\n\n    ")
    assert "cannot use every file" in done.files["comment.md"]


def test_a_status_by_hand_is_a_finding(history, review):
    """`kg check` finds it, the comment says it, and the last step of the workflow fails on the verdict."""
    history.write("sm_90/toy/latency-four.yaml", law("latency-four", "latency == 4", status="proposed"))
    history.commit("by hand")
    done = review()
    assert "verdict=findings\n" in done.output
    assert "contradict their own evidence" in done.files["comment.md"]


@pytest.mark.parametrize("changes", [{"BASE": "main"}, {"HEAD": "--help"}, {"NUMBER": "7; ls"}, {"BASE": SHA}])
def test_what_is_no_commit_or_number_stops_the_action(review, changes):
    """Before anything runs."""
    done = review(**changes)
    assert done.code == 2
    assert done.log.startswith("::error title=kg-review::") or "::error title=kg-review::no common ancestor" in done.log


@pytest.fixture
def comment(tmp_path):
    """Run comment.sh against a stand-in for GitHub."""
    binary = tmp_path / "bin"
    binary.mkdir()
    gh = binary / "gh"
    gh.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).parent / "fake_gh.py"}" "$@"\n')
    gh.chmod(gh.stat().st_mode | stat.S_IXUSR)
    report = tmp_path / "report"
    report.mkdir()
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"pulls": {"7": {"state": "open", "sha": SHA}}, "comments": [], "calls": []}))

    def run(body: str = f"{MARKER}\nhello\n", number: str = "7\n", head: str = f"{SHA}\n") -> SimpleNamespace:
        (report / "comment.md").write_text(body, encoding="utf-8")
        (report / "number").write_text(number)
        (report / "head").write_text(head)
        environment = {
            **workplace.environment(),
            "PATH": f"{binary}:{os.environ['PATH']}",
            "FAKE_GH": str(state),
            "REPORT": str(report),
            "REPOSITORY": "o/r",
            "HEAD_SHA": SHA,
        }
        script = ["bash", str(ACTION / "comment.sh")]
        done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
        found = json.loads(state.read_text())
        return SimpleNamespace(code=done.returncode, log=done.stdout + done.stderr, **found)

    run.state = state
    return run


def test_one_comment_is_posted_and_then_updated_in_place(comment):
    """Other comments, even with the marker, stay untouched."""
    state = json.loads(comment.state.read_text())
    state["comments"] = [{"id": 3, "user": "somebody", "body": f"{MARKER}\nmine"}]
    comment.state.write_text(json.dumps(state))
    assert [c["body"] for c in comment().comments] == [f"{MARKER}\nmine", f"{MARKER}\nhello\n"]
    done = comment(f"{MARKER}\nagain µ\n")
    assert [c["body"] for c in done.comments] == [f"{MARKER}\nmine", f"{MARKER}\nagain µ\n"]
    assert done.code == 0


@pytest.mark.parametrize(
    "spoilt",
    [
        {"number": "7; touch x"},
        {"number": "../../o/other/pulls/7"},
        {"number": "7" * 40},
        {"head": "b" * 40},
        {"head": "$(ls)"},
        {"body": "no marker\n"},
        {"body": f"{MARKER}\n" + "x" * 300_000},
    ],
)
def test_a_report_that_lies_is_refused_before_github_is_asked(comment, spoilt):
    """A fork's run made the artifact: every field is checked."""
    done = comment(**spoilt)
    assert done.code == 1
    assert "::error title=kg-review::" in done.log
    assert done.calls == []


@pytest.mark.parametrize(("pull", "said"), [(("open", "b" * 40), "moved on"), (("closed", SHA), "not open")])
def test_a_pull_request_of_another_commit_or_closed_gets_no_comment(comment, pull, said):
    """A report can name only a pull request whose head is the commit that GitHub says the run was for."""
    state = json.loads(comment.state.read_text())
    state["pulls"]["7"] = {"state": pull[0], "sha": pull[1]}
    comment.state.write_text(json.dumps(state))
    done = comment()
    assert (done.code, done.comments) == (0, [])
    assert said in done.log


def test_a_long_comment_is_cut_at_a_whole_character(comment):
    """GitHub refuses more than 65,536 characters."""
    [posted] = comment(f"{MARKER}\n" + "µ" * 60_000).comments
    assert len(posted["body"].encode()) <= 65_000
    assert re.fullmatch(f"{MARKER}\nµ+", posted["body"])
