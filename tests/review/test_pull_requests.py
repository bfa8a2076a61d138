"""Pull requests from end to end: every step of the workflows, on real git histories, with a GitHub that answers from a file."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests import workplace
from tests.kg.diff.history import law
from tests.review.pulls import ACTION, MARKER, ROOT, WORKFLOWS, changed_code, open_pull, program

HOSTILE = "@everyone <img src=x onerror=alert(1)> [x](https://x.example) \\u202E \\e[2J ::error::x"


@pytest.fixture
def pull(tmp_path):
    return open_pull(tmp_path / "pull")


def test_a_pull_request_that_attacks_its_own_review_is_told_on(pull, tmp_path):
    """It changes the judge, the workflows and the checker, plants modules, vouches for a law, and writes hostile text."""
    marker = tmp_path / "fooled"
    planted = f"open({str(marker)!r}, 'w').write(__name__)\nraise SystemExit(0)\n"
    for name in (
        "spak/__init__.py",
        "yaml.py",
        "sitecustomize.py",
        "multiprocessing.py",
        "laws/yaml.py",
        "conftest.py",
    ):
        path = pull.history.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(planted)
    for script in (pull.history.folder / ".github/actions/kg-review").glob("*.sh"):
        script.write_text('echo "verdict=clean" >>"$GITHUB_OUTPUT"\n')
    for workflow in (pull.history.folder / ".github/workflows").glob("*.yml"):
        workflow.write_text("on: pull_request\n")
    pull.history.write(".gitattributes", "*.yaml export-ignore\n")
    pull.history.write("sm_90/toy/vouched.yaml", law("vouched", "latency == 4"))
    titled = pull.history.laws / "sm_90/toy/big-tiles.yaml"
    titled.write_text(re.sub("(?m)^title: .*", lambda _: f'title: "{HOSTILE}"', titled.read_text()))
    head = pull.opened()

    refuted = "if float(high[row, seen].min()) < far:"
    code = changed_code(tmp_path / "code", "kg/evidence/rows.py", refuted, "if False:")
    untrusted = pull.runner("statuses", head, program(tmp_path / "theirs", code))
    untrusted.job(WORKFLOWS / "statuses.yml", "statuses")
    review, report = pull.reviewed(head, program(tmp_path / "ours"))

    assert not marker.exists()
    assert not (review.workspace / "spak").exists()
    [status] = pull.state["statuses"]
    assert (status["sha"], status["state"], status["context"]) == (head, "failure", "laws")
    [comment] = pull.state["comments"]
    body = comment["body"]
    assert body.startswith(MARKER)
    _, _, statuses = body.partition("**The changed code judges laws differently**")
    assert "\n- latency-four: refuted -> proposed by all recorded runs" in statuses
    assert "\n- vouched: refutes (4 judgements); confirmed -> refuted\n" in body
    assert "onerror" in body
    assert ".github/workflows/laws.yml" in body.replace("\\", "")
    for active in ("@everyone", "<img", "\u202e", "\x1b"):
        assert active not in body
    assert not re.search(r"(?<!\\)\]\(", body)
    log = "".join(review.log)
    assert "::error" in log
    assert not re.search(r"^::error::x|\x1b|\u202e", log, re.MULTILINE)
    assert "Commented on pull request 7." in "".join(report.log)


def test_the_action_stands_in_a_hostile_checkout(pull, tmp_path):
    """Another repository may call it where the change is checked out, with a path that leads there."""
    marker = tmp_path / "fooled"
    for name in ("yaml.py", "sitecustomize.py", "msgspec.py", "spak.py"):
        (pull.history.folder / name).write_text(f"open({str(marker)!r}, 'w').write(__name__)\n")
    pull.opened()
    commits = [pull.history.git("rev-parse", name).stdout.strip() for name in ("main", "change")]
    machine = pull.runner("review", commits[1], tmp_path)
    environment = {
        **machine.environment,
        **dict(zip(("BASE", "MERGE"), commits, strict=True)),
        "KG": str(program(tmp_path / "ours") / "kg"),
        "PYTHONPATH": str(pull.history.folder),
        "LAWS": "laws",
        "TOOLCHAIN": "",
        "STATUSES": "",
        "REPORT": str(tmp_path / "report"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
    }
    script = ["bash", str(ACTION / "review.sh")]
    done = subprocess.run(script, cwd=pull.history.folder, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, marker.exists()) == (0, False), done.stdout + done.stderr
    assert "verdict=clean\n" in (tmp_path / "output").read_text()


def test_a_process_that_kg_starts_imports_nothing_from_the_checkout_it_is_called_in(tmp_path):
    """Python looks for `multiprocessing` in the folder it stands in, when it begins a worker; `kg verify` begins some."""
    marker = tmp_path / "fooled"
    (tmp_path / "checkout/multiprocessing").mkdir(parents=True)
    (tmp_path / "checkout/multiprocessing/__init__.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    script = tmp_path / "kg.py"
    script.write_text(
        "import sys\nif __name__ == '__main__':\n"
        f"    sys.path[:] = [{str(ROOT / 'src')!r}, *sys.path[1:]]\n"
        "    from spak.cli.app import build_app, run_app\n    from spak.cli.kg import COMMANDS\n"
        "    run_app(build_app(registry=COMMANDS, help_text=''), 'kg')\n"
        "    import multiprocessing\n    worker = multiprocessing.get_context('spawn').Process(target=print)\n"
        "    worker.start()\n    worker.join()\n    sys.exit(worker.exitcode)\n"
    )
    command = [sys.executable, str(script), "--version"]
    clean = workplace.environment("PYTHONPATH", "PYTHONSAFEPATH")
    done = subprocess.run(command, cwd=tmp_path / "checkout", env=clean, capture_output=True, text=True, check=False)
    assert (done.returncode, marker.exists()) == (0, False), done.stderr


def test_a_pull_request_without_laws_gets_a_green_check_and_no_comment(pull, tmp_path):
    """The check is required, so it reports; there is nothing to read, so nothing is posted."""
    (pull.history.folder / "README.md").write_text("hello\n")
    head = pull.opened()
    ours = program(tmp_path / "ours")
    pull.runner("statuses", head, ours).job(WORKFLOWS / "statuses.yml", "statuses")
    review, _ = pull.reviewed(head, ours)
    assert [(one["sha"], one["state"]) for one in pull.state["statuses"]] == [(head, "success")], review.log
    assert pull.state["comments"] == []


def test_code_that_does_not_run_and_laws_that_cannot_be_read_are_said(pull, tmp_path):
    """Without the artifact of the untrusted run, and with a place for the mistake."""
    (pull.history.folder / "setup.py").write_text("raise SystemExit(1)\n")
    pull.history.write("sm_90/toy/latency-four.yaml", "id: latency-four\ntitel: <b>x</b>\n")
    head = pull.opened()
    review, _ = pull.reviewed(head, program(tmp_path / "ours"))
    assert [one["state"] for one in pull.state["statuses"]] == ["failure"]
    [comment] = pull.state["comments"]
    assert re.search(r"\n- laws/sm_90/toy/latency-four.yaml:\d+:\d+: ", comment["body"])
    assert "<b>" not in comment["body"]
    assert "::error file=laws/sm_90/toy/latency-four.yaml,line=" in "".join(review.log)


@pytest.mark.parametrize("gone", ["merge", "base", "head", "closed"])
def test_what_cannot_be_reviewed_is_never_green(pull, tmp_path, gone):
    """No merge (conflicts), a merge into something else, or a head that has moved on: its next run reports."""
    pull.history.write("sm_90/toy/other.yaml", law("other", "latency == 3"))
    head = pull.opened()
    state = pull.state
    if gone == "merge":
        subprocess.run(["git", "update-ref", "-d", "refs/pull/7/merge"], cwd=pull.hub, check=True)
    elif gone == "base":
        pull.history.git("checkout", "-q", "--orphan", "elsewhere")
        pull.history.commit("another root")
        pull.history.git("merge", "-q", "--allow-unrelated-histories", "-m", "merge", "change")
        pull.history.git("push", "-q", "-f", str(pull.hub), "HEAD:refs/pull/7/merge")
    elif gone == "head":
        head = "f" * 40
    else:
        state["pulls"]["7"]["state"] = "closed"
        (pull.folder / "state.json").write_text(json.dumps(state))
    pull.reviewed(head, program(tmp_path / "ours"))
    wanted = ["error"] if gone in {"merge", "base"} else []
    assert [one["state"] for one in pull.state["statuses"]] == wanted
    assert pull.state["comments"] == []
