"""Runs a job of a workflow as GitHub would: its steps in order, expressions filled in; actions of others are stood in for."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Context = dict[str, Any]
_EXPRESSION = re.compile(r"\$\{\{ (.*?) \}\}")
_INSTALLS = re.compile(r"-m (venv|pip)\b")
"""What a step installs is not installed here: the program that it would give is put in its place beforehand."""


class JobFailedError(Exception):
    """A step failed, so that later ones did not run."""


def value(expression: str, context: Context) -> str:
    """What `a.b.c`, `'text'`, `x == y`, `x != y`, `x && y` and `x || y` give; what is not there is empty, as on GitHub."""
    for operator in (" || ", " && ", " == ", " != "):
        if operator in expression:
            left, right = (value(side, context) for side in expression.split(operator, 1))
            given = {" || ": left or right, " && ": left and right}
            return given[operator] if operator in given else "true" * ((left == right) is (operator == " == "))
    if expression == "always()":
        return "true"
    if expression.startswith("'"):
        return expression.strip("'")
    found: Any = context
    for name in expression.split("."):
        found = found.get(name, "") if isinstance(found, Mapping) else ""
    return str(found)


def filled(given: Any, context: Context) -> Any:
    """`given` with its expressions filled in."""
    if isinstance(given, Mapping):
        return {name: filled(one, context) for name, one in given.items()}
    return _EXPRESSION.sub(lambda found: value(found[1], context), given) if isinstance(given, str) else given


@dataclass
class Runner:
    """A machine with nothing on it but what the steps bring.

    Attributes:
        remote: The repository on GitHub.
        context: `github`, `runner`, `needs`.
        checkout: What actions/checkout takes where a step names nothing.
        artifacts: Folder for what jobs keep: one for each run, that of this run is `own`.
        environment: Of every step.
    """

    remote: Path
    folder: Path
    context: Context
    checkout: str
    artifacts: Path
    environment: Mapping[str, str]
    own: str = "own"
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "temp").mkdir(parents=True)
        self.context = {**self.context, "runner": {"temp": str(self.folder / "temp")}, "steps": {}}

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    def job(self, workflow: Path, name: str) -> Context:
        """Run a job; its outputs. A step that fails ends it, unless the step says otherwise."""
        job = yaml.safe_load(workflow.read_text())["jobs"][name]
        if not value(job.get("if", "'true'"), self.context):
            return {}
        self.steps(job["steps"])
        return filled(job.get("outputs", {}), self.context)

    def steps(self, steps: list[Context]) -> None:
        for step in steps:
            if not value(step.get("if", "'true'"), self.context):
                continue
            ended = {"outputs": {}, "outcome": "failure"}
            try:
                ended = {"outputs": self._step(step), "outcome": "success"}
            except JobFailedError:
                if not step.get("continue-on-error"):
                    raise
            self.context["steps"][step.get("id", "")] = ended

    def _step(self, step: Context) -> Context:
        uses, given = step.get("uses", ""), filled(step.get("with", {}), self.context)
        if not uses:
            return self._script(step["run"], filled(step.get("env", {}), self.context))
        if uses.startswith("./"):
            action = yaml.safe_load((self.workspace / uses / "action.yml").read_text())
            defaults = {name: one.get("default", "") for name, one in action["inputs"].items()}
            inner = {**self.context, "inputs": {**defaults, **given}, "steps": {}}
            inner["github"] = {**inner["github"], "action_path": str(self.workspace / uses)}
            outer, self.context = self.context, inner
            try:
                self.steps(action["runs"]["steps"])
                return {name: filled(one["value"], inner) for name, one in action["outputs"].items()}
            finally:
                self.context = outer
        name = re.fullmatch(r"actions/([\w-]+)@[0-9a-f]{40}", uses)[1]
        getattr(self, f"_{name.replace('-', '_')}")(given)
        return {}

    def _script(self, script: str, own: Mapping[str, str]) -> Context:
        if _INSTALLS.search(script):
            return {}
        output = self.folder / "output"
        output.write_text("")
        environment = {
            **self.environment, **own, "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "RUNNER_TEMP": str(self.folder / "temp"),
            "GITHUB_ACTION_PATH": value("github.action_path", self.context),
        }  # fmt: skip
        done = subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=self.workspace,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        self.log += [done.stdout, done.stderr]
        if done.returncode:
            raise JobFailedError("".join(self.log))
        return dict(line.split("=", 1) for line in output.read_text().splitlines())

    def _checkout(self, given: Context) -> None:
        assert given["persist-credentials"] is False
        git = ["git", "-c", "advice.detachedHead=false"]
        subprocess.run([*git, "clone", "-q", "--no-checkout", self.remote, self.workspace], check=True)
        wanted = given.get("ref", self.checkout)
        subprocess.run([*git, "fetch", "-q", "origin", wanted], cwd=self.workspace, check=True)
        subprocess.run([*git, "checkout", "-q", "--detach", "FETCH_HEAD"], cwd=self.workspace, check=True)

    def _setup_python(self, given: Context) -> None:
        assert "cache" not in given, "what a cache holds was put there by another run"

    def _upload_artifact(self, given: Context) -> None:
        target = self.artifacts / self.own / given["name"]
        source = Path(given["path"])
        if source.is_dir():
            shutil.copytree(source, target)
        elif source.exists():
            target.mkdir(parents=True)
            shutil.copy(source, target)

    def _download_artifact(self, given: Context) -> None:
        source = self.artifacts / given.get("run-id", self.own) / given["name"]
        if not source.is_dir():
            raise JobFailedError
        shutil.copytree(source, given["path"])
