"""A kernel's module with parts of its text replaced: to show that a wrong kernel fails, or what another choice would do."""

from __future__ import annotations

import hashlib
import linecache
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType


def variant(source_file: str | Path, replacements: Mapping[str, str]) -> ModuleType:
    """The module of `source_file` with each text replaced everywhere; nothing is written to disk.

    Raises:
        ValueError: If a text to replace does not occur.
    """
    text = Path(source_file).read_text(encoding="utf-8")
    for old, new in replacements.items():
        if old not in text:
            raise ValueError(f"{source_file}: no {old!r} to replace")
        text = text.replace(old, new)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    name = f"<{Path(source_file).stem} variant {digest}>"
    linecache.cache[name] = (
        len(text),
        None,
        text.splitlines(keepends=True),
        name,
    )  # cuTile reads a kernel's source there
    module = ModuleType(f"variant_{digest}")
    module.__file__ = name
    exec(compile(text, name, "exec"), module.__dict__)  # noqa: S102 -- our own kernel's source
    return module
