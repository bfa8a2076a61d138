"""Git, asked as a subprocess that never waits for a person."""

from __future__ import annotations

import subprocess
from pathlib import Path

GIT_SECONDS = 60
"""A command that takes longer hangs on something (a lock, a prompt) that a person must see to."""


def git(folder: Path, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """A git command run in `folder` that reads `given`, whatever its exit status.

    Raises:
        FileNotFoundError: If git is not installed.
        subprocess.TimeoutExpired: If it takes more than `GIT_SECONDS`.
    """
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, check=False, timeout=GIT_SECONDS, input=given)
