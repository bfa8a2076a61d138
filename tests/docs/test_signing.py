"""Signing evidence works as the page says, with tools that exist; and what is not signed does not pass."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from spak.kg.files.loader import load
from tests import workplace

PAGE = Path(__file__).parents[2] / "docs" / "how-evidence-works.md"
BLOCKS = re.findall(
    r"<!-- not run: tests/docs/test_signing.py .*?-->\n```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
)
RUN = "laws/evidence/computed-mask-floor-found.json"

pytestmark = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="ssh-keygen (OpenSSH 8.2 or later) is missing"
)


def shell(folder, *blocks):
    """All of them as one script, as a person with a name and without settings of their own."""
    who = {f"GIT_{role}_{what}": word for role in ("AUTHOR", "COMMITTER") for what, word in IDENTITY.items()}
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", **who}
    script = "set -eu\n" + "\n".join(blocks)
    return subprocess.run(
        ["sh", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


IDENTITY = {"NAME": "you", "EMAIL": "you@example.org"}


@pytest.fixture
def place(tmp_path):
    """The shipped laws in git; the signers are on `main`, and a signed commit on a branch."""
    folder = workplace.make(tmp_path / "place")
    done = shell(folder, BLOCKS[0], "git add allowed_signers; git commit -q -m signers", f"run={RUN}", BLOCKS[1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'Good "spak-run" signature for you@example.org' in done.stdout
    assert 'Good "git" signature for you@example.org' in done.stderr
    return folder


def test_the_commands_of_the_page_pass_what_is_signed(place):
    """A file by itself, its commit, and the branch that CI looks at; the law root loads with a signature in it."""
    assert len(BLOCKS) == 3
    done = shell(place, BLOCKS[2])
    assert done.returncode == 0, done.stdout + done.stderr
    assert load(place / "laws").run("computed-mask-floor-found").trials_sha256


def test_an_edited_run_has_no_good_signature(place):
    """One byte, and the digest in it may be right."""
    path = place / RUN
    path.write_text(path.read_text().replace("2026", "2025", 1))
    verify = BLOCKS[0].strip().splitlines()[-1]
    done = shell(place, f"run={RUN}", verify)
    assert done.returncode != 0
    assert "incorrect signature" in done.stdout + done.stderr


def test_an_unsigned_commit_to_the_evidence_does_not_pass(place):
    """And neither does one by a signer whom only the branch itself allows."""
    unsigned = f'echo >> {RUN}; git commit -q -a --no-gpg-sign -m "trust me"'
    done = shell(place, unsigned, BLOCKS[2])
    assert done.returncode != 0
    assert "trust me" in done.stdout
    stranger = "\n".join(
        [
            "git reset -q --hard HEAD~1",
            "ssh-keygen -q -t ed25519 -N '' -C other@example.org -f other",
            'echo "you@example.org $(cat other.pub)" >> allowed_signers; git add allowed_signers',
            f'echo >> {RUN}; git -c user.signingkey="$PWD/other" commit -q -a -S -m "my own signer"',
        ]
    )
    done = shell(place, stranger, BLOCKS[2])
    assert done.returncode != 0
    assert "my own signer" in done.stdout
