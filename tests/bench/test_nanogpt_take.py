"""A new result of the training step takes the place of the recorded one, whole or not at all."""

from __future__ import annotations

import copy
import json

import pytest

from bench import nanogpt_tables, nanogpt_take
from bench.nanogpt_cases import OURS

RESULT = nanogpt_tables.recorded(nanogpt_tables.STEP)
pytestmark = pytest.mark.skipif(RESULT is None, reason="no result was recorded")


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """Everything that is written lies in `tmp_path`."""
    for module, name in (
        (nanogpt_take, "SYSTEM"),
        *((nanogpt_tables, each) for each in ("STEP", "PAGE", "CURVES", "README")),
    ):
        path = getattr(module, name)
        (tmp_path / path.name).write_text(path.read_text())
        monkeypatch.setattr(module, name, tmp_path / path.name)
    return tmp_path


def files(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_recorded_result_taken_again_changes_nothing(copies):
    given, before = copies / "given.json", files(copies)
    given.write_text(nanogpt_tables.STEP.read_text())
    assert nanogpt_take.main([str(given)]) == 0
    given.unlink()
    assert files(copies) == before


def test_a_new_time_is_on_the_page_and_orders_the_search(copies):
    """What was last in the tuning space comes first, with its problem size."""
    result, given = copy.deepcopy(RESULT), copies / "given.json"
    result["cases"]["124m"]["operators"]["embedding"]["us"] = 98765.4
    given.write_text(json.dumps(result))
    assert nanogpt_take.main([str(given)]) == 0
    found = [line for line in nanogpt_take.SYSTEM.read_text().splitlines() if nanogpt_take.ENTRY.match(line)]
    assert found[0].startswith("  - {op: embedding, problem: nanogpt-124m, time_us: 98765, source:")
    assert len(found) == len(nanogpt_take.OPERATORS)
    assert "98,765" in nanogpt_tables.PAGE.read_text()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda cases: cases.pop("char"), "no case char"),
        (lambda cases: cases["124m"]["contestants"].pop(OURS), f"case 124m has no {OURS}"),
        (lambda cases: cases["124m"].update(gradients={}), "case 124m has no gradients"),
        (lambda cases: cases["char"]["profiles"].clear(), f"case char has no profile of {OURS}"),
    ],
)
def test_half_a_result_is_refused(copies, capsys, spoil, told):
    result, given = copy.deepcopy(RESULT), copies / "given.json"
    spoil(result["cases"])
    given.write_text(json.dumps(result))
    before = files(copies)
    assert nanogpt_take.main([str(given)]) == 2
    assert told in capsys.readouterr().err
    assert files(copies) == before
