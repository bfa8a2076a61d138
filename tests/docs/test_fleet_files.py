"""The job script, the manifests and the lines of the fleet's page name options that the commands have, and keep a pod confined."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer
import yaml

from spak.cli.app import loaded
from spak.cli.spak import COMMANDS as SPAK
from spak.cli.tune import COMMANDS as TUNE

UsageError = typer.BadParameter.__base__
DOCS = Path(__file__).parents[2] / "docs"
SCRIPT, MANIFEST = DOCS / "fleet" / "slurm.sh", DOCS / "fleet" / "kubernetes.yaml"


def parse(words):
    """Read a command line as its command reads it; nothing runs.

    Raises:
        UsageError: If it has no such option.
    """
    program, *rest = words
    if program == "spak":
        return loaded(SPAK, rest[0]).make_context(rest[0], rest[1:])
    assert program == "tune"
    return loaded(TUNE, "search").make_context("search", rest)


def lines(text):
    """The command lines of a shell text that call `spak` or `tune`, with words of the shell replaced."""
    text = re.sub(r"\\\n\s*", " ", text)
    text = re.sub(r"\$\{begun:\+.*\}$", "--resume RUN", text, flags=re.MULTILINE)
    text = text.replace('"$@"', "matmul").replace("$((SLURM_JOB_NUM_NODES * SLURM_CPUS_PER_TASK))", "8")
    for found in re.finditer(r"^(?:srun .*? )?((?:spak|tune) .*?)(?: &)?(?:\s+#.*)?$", text, flags=re.MULTILINE):
        yield shlex.split(found[1])


def containers():
    for document in yaml.safe_load_all(MANIFEST.read_text()):
        pod = document["spec"].get("template", {}).get("spec")
        for container in pod["containers"] if pod else ():
            yield document["metadata"]["name"], pod, container


def test_the_job_script_is_one_and_each_of_its_commands_has_its_options():
    assert subprocess.run(["bash", "-n", SCRIPT], check=False).returncode == 0
    found = list(lines(SCRIPT.read_text()))
    assert [words[:3] for words in found] == [
        ["spak", "fleet", "up"],
        ["spak", "fleet", "status"],
        ["spak", "fleet", "join"],
        ["spak", "fleet", "status"],
        ["tune", "matmul", "--fleet"],
    ]
    for words in found:
        parse(words)


def test_the_page_s_own_lines_have_their_options_too():
    blocks = re.findall(r"^```\n(.*?)^```", (DOCS / "fleet.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    found = [words for block in blocks for words in lines(block)]
    assert len(found) >= 6
    for words in found:
        parse(words)


@pytest.mark.parametrize(
    ("name", "pod", "container"), list(containers()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_container_runs_what_there_is_as_nobody_in_particular(name, pod, container):
    """A user without rights, a root file system that cannot be written, a key that nobody else in the pod can read."""
    told = parse(container["command"]).params
    assert "/keys" in {str(told["fleet"]), str(told.get("keys"))}, name
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsUser"] > 0
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    secret = next(volume["secret"] for volume in pod["volumes"] if volume["name"] == "keys")
    assert secret == {"secretName": "spak-fleet", "defaultMode": 0o400}
    assert {mount["name"] for mount in container["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}


def test_the_service_reaches_the_scheduler_where_it_listens():
    service, _, scheduler, *rest = yaml.safe_load_all(MANIFEST.read_text())
    [container] = scheduler["spec"]["template"]["spec"]["containers"]
    labels = scheduler["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    [port] = container["ports"]
    assert parse(container["command"]).params["listen"] == f"0.0.0.0:{port['containerPort']}"
    assert service["spec"]["ports"][0]["port"] == port["containerPort"]
    assert f"--from-literal=address=tls://{service['metadata']['name']}:{port['containerPort']}" in MANIFEST.read_text()
    assert len(rest) == 4


def test_an_option_that_is_not_there_is_noticed():
    with pytest.raises(UsageError, match="No such option"):
        parse(["spak", "fleet", "up", "--no-such"])
