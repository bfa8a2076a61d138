"""The skill has the form that agents read (agentskills.io/specification), and names only tools and commands that exist.

Its blocks are run by test_blocks.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from spak.agents.tools import TOOLS

ROOT = Path(__file__).parents[2]
SKILLS = sorted((ROOT / "docs" / "skills").glob("*/SKILL.md"))


def parts(skill):
    """Front matter and body."""
    _, front, body = skill.read_text().split("---\n", 2)
    return yaml.safe_load(front), body


def test_there_is_a_skill():
    assert SKILLS


@pytest.mark.parametrize("skill", SKILLS, ids=lambda skill: skill.parent.name)
def test_the_front_matter_is_of_the_public_form(skill):
    front, body = parts(skill)
    assert front.keys() <= {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}
    assert front["name"] == skill.parent.name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", front["name"])
    assert len(front["name"]) <= 64
    assert 1 <= len(front["description"]) <= 1024
    assert "Use when" in front["description"]
    assert len(front["compatibility"]) <= 500
    assert len(body.splitlines()) <= 500


@pytest.mark.parametrize("page", [*SKILLS, ROOT / "docs" / "agents.md"], ids=lambda page: page.stem)
def test_tools_named_in_the_text_exist(page):
    named = set(re.findall(r"(?:call|tool|^\|) `([a-z_]+)`", page.read_text(), re.MULTILINE))
    assert named
    assert named <= TOOLS.keys()


def test_the_page_names_every_tool():
    text = (ROOT / "docs" / "agents.md").read_text()
    assert all(f"| `{tool}` |" in text for tool in TOOLS)
