"""The list of names that microgpt.py trains on, from where it lies, checked."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from urllib.request import urlopen

NAMES_URL = "https://raw.githubusercontent.com/karpathy/makemore/988aa59/names.txt"
"""Source: microgpt.py takes the list from this repository; MIT licence."""
NAMES_SHA256 = "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d"
"""Of the 32,033 names."""
TIMEOUT_S = 30.0


def over_the_net(url: str) -> bytes:  # pragma: no cover  # needs a network
    """The bytes at `url`."""
    with urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310  # the constant above, https
        return bytes(answer.read())


def download(
    path: Path, fetch: Callable[[str], bytes] = over_the_net, *, url: str | None = None, checksum: str | None = None
) -> None:
    """Write the list of names, or another file with its SHA-256, to `path`, whole and right or not at all.

    Raises:
        OSError: If it cannot be had or written.
        ValueError: If what came is another file.
    """
    url, checksum = url or NAMES_URL, checksum or NAMES_SHA256
    content = fetch(url)
    found = sha256(content).hexdigest()
    if found != checksum:
        raise ValueError(f"download: {url} has sha256 {found}, not {checksum}; nothing was written")
    written = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        written.write_bytes(content)
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)
