"""A repository on GitHub with laws, a pull request into it, and the jobs that its workflows run, with nothing executed twice."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from spak.kg.evidence.entries import unnoted, with_roles
from spak.kg.files.loader import load
from spak.kg.files.seal import sealed
from spak.kg.law.status import status
from spak.kg.model.run import Device, Run
from spak.tuner.learn.writeback import law_text
from tests import workplace
from tests.kg.diff.history import History
from tests.review.runner import JobFailedError, Runner

ROOT = Path(__file__).parents[2]
MARKER = "<!-- kg diff -->"
WORKFLOWS = ROOT / ".github/workflows"
ACTION = ROOT / ".github/actions/kg-review"


def told(run: Run) -> Run:
    """`run` with its device, and each time with its interval."""
    exact = [
        [msgspec.structs.replace(one, low=one.value, high=one.value) for one in trial.measurements]
        for trial in run.trials
    ]
    trials = [msgspec.structs.replace(t, measurements=tuple(m)) for t, m in zip(run.trials, exact, strict=True)]
    return msgspec.structs.replace(run, device=Device(name="H200"), trials=tuple(trials))


def make_honest(history: History) -> None:
    """Give runs all that a run file says, and each law the evidence that these runs are for it."""
    for path in (history.laws / "evidence").iterdir():
        run = msgspec.json.decode(path.read_bytes(), type=Run)
        path.write_bytes(msgspec.json.encode(sealed(told(run))))
    laws = load(history.laws)
    for one in laws.laws.values():
        bare = msgspec.structs.replace(one, evidence=(), origin="by hand, in the run called found")
        new = with_roles(bare, unnoted(bare, list(map(laws.witness, laws.run_ids))), laws.witness)
        true = msgspec.structs.replace(bare, evidence=new)
        laws.path("law", one.id).write_text(law_text(msgspec.structs.replace(true, status=status(true))))


def program(folder: Path, source: Path = ROOT) -> Path:
    """A folder for PATH whose `kg` runs the code of `source`, and imports nothing from where a person stands."""
    folder.mkdir(parents=True)
    kg = folder / "kg"
    run = f"import sys; sys.path[:0] = ['{source}/src']; from spak.cli.kg import main; main()"
    kg.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -c "{run}" "$@"\n')
    kg.chmod(kg.stat().st_mode | stat.S_IXUSR)
    return folder


def changed_code(folder: Path, path: str, before: str, after: str) -> Path:
    """A copy of this checkout's code in which one place of `kg` is another."""
    shutil.copytree(ROOT / "kg", folder / "kg", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "src", folder / "src", symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("cli", "kernels", "tuner", "laws"):
        (folder / name).symlink_to(ROOT / name)
    text = (folder / path).read_text()
    assert before in text
    (folder / path).write_text(text.replace(before, after))
    return folder


@dataclass
class Pull:
    """Pull request 7 from the branch `change` of somebody's fork.

    Attributes:
        history: What its author has checked out.
        hub: The repository on GitHub.
    """

    history: History
    hub: Path
    folder: Path

    @property
    def state(self) -> dict[str, Any]:
        return json.loads((self.folder / "state.json").read_text())

    def opened(self, *, base: str = "main") -> str:
        """Commit what the author did, let GitHub merge it, and return the pull request's head."""
        git = self.history.git
        git("checkout", "-q", "-B", "change")
        self.history.commit("a change")
        head = git("rev-parse", "HEAD").stdout.strip()
        git("checkout", "-q", "--detach", base)
        git("merge", "-q", "--no-ff", "-m", "merge", "change")
        git("push", "-q", "-f", str(self.hub), "HEAD:refs/pull/7/merge", "change:refs/pull/7/head", "main:main")
        git("checkout", "-q", "change")
        pull = {"state": "open", "base": "main", "head": "somebody:change", "sha": head}
        state = {"pulls": {"7": pull}, "comments": [], "statuses": [], "calls": []}
        (self.folder / "state.json").write_text(json.dumps(state))
        return head

    def runner(self, job: str, head: str, programs: Path, token: str = "", outputs: Any = None) -> Runner:
        """A fresh machine for a job."""
        gh = self.folder / "gh"
        gh.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).parent / "fake_gh.py"}" "$@"\n')
        gh.chmod(gh.stat().st_mode | stat.S_IXUSR)
        source = {"owner": {"login": "somebody"}}
        started = {"event": "pull_request", "head_sha": head, "head_branch": "change", "id": "untrusted"}
        event = {"repository": {"default_branch": "main"}, "workflow_run": {**started, "head_repository": source}}
        github = {"repository": "o/r", "token": token, "event": event, "server_url": "https://x", "run_id": "1"}
        environment = workplace.environment("KG_LAWS", "PYTHONPATH") | {
            "PATH": f"{programs}:{self.folder}:{os.environ['PATH']}",
            "FAKE_GH": str(self.folder / "state.json"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
        }
        context = {"github": github, "needs": {"review": {"outputs": outputs or {}}}}
        machine = self.folder / f"machine-{job}"
        shutil.rmtree(machine, ignore_errors=True)
        artifacts = self.folder / "artifacts"
        own = "untrusted" if job == "statuses" else "own"
        return Runner(self.hub, machine, context, "refs/pull/7/merge", artifacts, environment, own)

    def reviewed(self, head: str, trusted: Path) -> tuple[Runner, Runner]:
        """Run the workflow `laws` as GitHub starts it on the default branch; the machines of its two jobs."""
        review = self.runner("review", head, trusted, "reads")
        shutil.copytree(trusted, review.folder / "temp/kg-environment/bin")
        try:
            outputs = review.job(WORKFLOWS / "laws.yml", "review")
        except JobFailedError:
            outputs = {}
        report = self.runner("report", head, trusted, "writes", outputs)
        with contextlib.suppress(JobFailedError):
            report.job(WORKFLOWS / "laws.yml", "report")
        return review, report


def open_pull(folder: Path) -> Pull:
    """A repository whose default branch has true laws and this project's workflows, and nothing changed yet."""
    (folder / "author").mkdir(parents=True)
    history = History(folder / "author")
    make_honest(history)
    shutil.copytree(ROOT / ".github", history.folder / ".github")
    history.commit("true laws")
    hub = folder / "hub.git"
    subprocess.run(["git", "clone", "-q", "--bare", history.folder, hub], check=True)
    return Pull(history, hub, folder)
