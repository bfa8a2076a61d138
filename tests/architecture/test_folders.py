"""A folder says what it holds before anything else."""

from __future__ import annotations

import ast

from tests.architecture.sources import PACKAGES, ROOT, files, name, tree


def test_every_folder_of_code_is_a_package_with_a_first_line():
    """Its `__init__.py` begins with a sentence; a folder without one cannot."""
    folders = {file.parent for file in files()}
    assert {ROOT / package for package in PACKAGES} <= folders
    silent = [
        name(folder)
        for folder in sorted(folders)
        if not (folder / "__init__.py").is_file() or not ast.get_docstring(tree(folder / "__init__.py"))
    ]
    assert silent == []
