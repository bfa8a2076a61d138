"""The files of a law root by their paths: which there are, and of what kind each is by where it lies; none is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from spak.kg.files.root import LAYER_FILE, layers

EVIDENCE = "evidence"
"""Folder of run files."""

_FOLDERS = {"hardware": "hardware", "ops": "op", "systems": "system"}
"""Top folder -> kind of its files; every other folder holds laws."""

_IGNORED = {"schema", EVIDENCE}
_RUN_ENDINGS = (".json", ".json.gz")
_ENDINGS = (".yaml", ".yml", *_RUN_ENDINGS)


def all_files(root: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """`files` of a law root, and by their absolute paths those of the roots beneath it.

    Raises:
        InvalidFilesError: If what it lies over cannot be told.
    """
    for folder, entries in all_folders(root):
        yield from ((folder + entry.name, entry) for entry in entries)


def all_folders(root: Path) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """`folders` of a law root, and by their absolute paths those of the roots beneath it.

    Raises:
        InvalidFilesError: If what it lies over cannot be told.
    """
    own, *beneath = (layer.folder for layer in layers(root))
    yield from folders(os.fspath(own))
    for folder in map(os.fspath, map(Path.resolve, beneath)):
        yield from ((f"{folder}/{relative}", entries) for relative, entries in folders(folder))


def files(folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Relative path and entry of each file below `folder`, as in `folders`."""
    for relative, entries in folders(folder):
        yield from ((relative + entry.name, entry) for entry in entries)


def folders(folder: str) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """`folder` and each one below it: its relative path, with a slash at the end unless it is empty, and its files.

    Hidden files and folders and links to folders are left out. What is called like a file of a law root and is none (a
    pipe, a link to nothing) is not: who reads it is told.
    """
    waiting = [(folder, "")]
    while waiting:
        where, prefix = waiting.pop()
        found = []
        with os.scandir(where) as entries:
            for entry in entries:
                if entry.name[0] == ".":
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, f"{prefix}{entry.name}/"))
                elif entry.is_file() or entry.name.endswith(_ENDINGS):
                    found.append(entry)
        yield prefix, found


def file_kind(relative: str) -> str:
    """Kind of the YAML file at a path below a root: `hardware`, `op`, `system`, `law`; empty if a load reads it not."""
    top, _, rest = relative.partition("/")
    return "" if (top in _IGNORED and rest) or relative == LAYER_FILE else _FOLDERS.get(top, "law") if rest else "law"


def run_id(name: str) -> str:
    """Id of the run in a file called `name`; empty if it is no run file."""
    ending = next((ending for ending in reversed(_RUN_ENDINGS) if name.endswith(ending)), None)
    return name.removesuffix(ending) if ending else ""
