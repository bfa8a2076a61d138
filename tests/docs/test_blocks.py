"""What the documents tell a person to type works: every `sh` and `python` block is run, page by page, in a copy of the shipped laws."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import workplace

ROOT = Path(__file__).parents[2]
ELSEWHERE = {"cli.md": "its blocks are the commands' EXAMPLES, which tests/cli/test_help.py runs"}
BLOCK = re.compile(
    r"^(?P<mark><!-- not run: (?P<reason>.+?) -->\n)?```(?P<language>sh|python)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
PRELUDE = """set -eu
kg() {
  command kg "$@" || { code=$?; [ "$1" = diff ] && [ $code = 1 ] || return $code; }  # 1: it differs, as the page says
}
"""
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/skills").rglob("*.md")), ROOT / "README.md"]


def blocks(page: Path, language: str = "sh") -> list[str]:
    """The blocks of a page that are to be run, in order."""
    found = [block for block in BLOCK.finditer(page.read_text()) if not block["mark"]]
    return [block["text"] for block in found if block["language"] == language]


RUN = [page for page in PAGES if blocks(page) and page.name not in ELSEWHERE]
PROGRAMS = [page for page in PAGES if blocks(page, "python")]


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """Laws in a git repository, made once; each page has a copy of its own."""
    return workplace.make(tmp_path_factory.mktemp("untouched") / "place")


@pytest.fixture
def place(tmp_path, tmp_path_factory, untouched):
    """Laws in a git repository, and an environment in which `kg`, `tune` and `python` are this checkout's.

    What one page compiles the next finds in the cache, as that of a reader who goes on reading.
    """
    folder = tmp_path / "place"
    shutil.copytree(untouched, folder)
    shutil.copytree(ROOT / "docs" / "examples" / "own-kernel", folder / "own-kernel")
    programs = workplace.programs(tmp_path / "bin")
    who = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org"}
    who |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in who.items()}
    clean = workplace.environment("KG_LAWS")
    cache = tmp_path_factory.getbasetemp() / "readers-cache"
    return folder, {**clean, **who, "PATH": f"{programs}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(cache)}


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run_one_after_the_other(page, place):
    """As a reader would, from top to bottom."""
    folder, environment = place
    script = PRELUDE + "\n".join(blocks(page))
    done = subprocess.run(
        ["sh", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    if page.stem == "tutorial":
        assert "status: proposed -> confirmed (" in done.stdout
        assert "added (confirmed)" in done.stdout


@pytest.mark.parametrize("page", PROGRAMS, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs_from_top_to_bottom(page, place):
    """As one program, where the page says to stand: in a folder with laws."""
    folder, environment = place
    script = "\n".join(blocks(page, "python"))
    done = subprocess.run(
        ["python", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def test_the_pages_that_must_be_run_are():
    """An empty list would pass everything."""
    assert {"tutorial", "review", "add-a-kernel", "agents", "SKILL"} <= {page.stem for page in RUN}
    assert {"python", "README", "agents", "SKILL"} <= {page.stem for page in PROGRAMS}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page):
    """Relative links, anchors aside."""
    for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_named_in_text_exist(page):
    """`kg <command>` in backticks is a command."""
    from spak.cli import kg

    for name in re.findall(r"`kg ([a-z][a-z-]*)", page.read_text()):
        assert name in kg.COMMANDS, f"{page.name} names kg {name}"
