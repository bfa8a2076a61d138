"""A journal torn or edited anywhere: the search goes on or refuses in one line, and no trial before the damage is lost."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spak.tuner.engine.journal import Journal, read_journal
from spak.tuner.errors import TunerError
from spak.tuner.search import search
from tests.fuzzing.bounds import refused_or_done
from tests.fuzzing.damage import damaged, torn
from tests.tuner.test_search import REQUEST, around

CHEAP = settings.default.max_examples
SEARCHES = settings(max_examples=max(20, CHEAP // 4))
"""A search takes ten times as long as a reader."""


def _lines() -> list[bytes]:
    """A search's journal: its header, then a trial a line."""
    with tempfile.TemporaryDirectory() as folder:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tests.tuner.searching.spill", lambda configuration: 0.0)
            found = search(replace(REQUEST, write="run"), around(Path(folder)))
        return found.journal.read_bytes().splitlines(keepends=True)


LINES = _lines()
RUN = json.loads(LINES[0])["run"]


@pytest.fixture(autouse=True)
def compiled_nowhere(monkeypatch):
    monkeypatch.setattr("tests.tuner.searching.spill", lambda configuration: 0.0)


@st.composite
def edited(draw: st.DrawFn) -> tuple[int, bytes]:
    """The first line that is damaged, and the whole."""
    place = draw(st.just(0) | st.integers(0, len(LINES) - 1))
    how = draw(st.sampled_from(["line", "line", "line", "tear", "drop", "double", "swap", "blank"]))
    lines = list(LINES)
    if how == "line":
        lines[place] = draw(damaged(json.loads(lines[place]))) + b"\n"
    elif how == "tear":
        lines[place:] = [draw(torn(b"".join(lines[place:])))]
    elif how == "drop":
        del lines[place]
    elif how == "double":
        lines.insert(place, lines[place])
    elif how == "swap":
        lines[place], lines[-1] = lines[-1], lines[place]
    else:
        lines.insert(place, draw(st.sampled_from([b"\n", b"{}\n", b"null\n", b"\xff\n", b" \n"])))
    return place, b"".join(lines)


@given(edited())
def test_a_damaged_journal_is_read_up_to_its_end_or_refused(journal):
    place, content = journal
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "j.jsonl")
        path.write_bytes(content)
        with refused_or_done():
            found = read_journal(path)
            kept = [json.loads(line)["configuration"] for line in LINES[1:place]]
            assert [trial.configuration for trial in found.trials][: len(kept)] == kept
        assert path.read_bytes() == content, "who reads a journal changes nothing"


@given(st.integers(0, len(b"".join(LINES))))
def test_a_journal_torn_anywhere_keeps_every_whole_trial_and_takes_more(cut):
    whole = b"".join(LINES)[:cut].splitlines(keepends=True)
    complete = [line for line in whole if line.endswith(b"\n")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "j.jsonl")
        path.write_bytes(b"".join(whole))
        if not complete:
            with pytest.raises(TunerError, match="no complete first line"):
                read_journal(path)
            return
        found = read_journal(path)
        assert len(found.trials) == len(complete) - 1
        assert found.torn == (whole != complete)
        journal = Journal.reopen(path)
        journal.add(read_journal_of(folder).trials[-1])
        journal.close()
        assert path.read_bytes() == b"".join([*complete, LINES[-1]])


def read_journal_of(folder: str):
    """The undamaged one."""
    path = Path(folder, "whole.jsonl")
    path.write_bytes(b"".join(LINES))
    return read_journal(path)


def enough(num_trials: int, seconds: float) -> None:
    """A budget may have become absurd; nobody waits for that."""
    if num_trials > 3 * len(LINES):
        raise KeyboardInterrupt


@pytest.mark.parametrize("value", [-1, 0, 2**63, -(2**63), 10**30, 1e300, -0.5, True, None, "x", "", "\0"])
@pytest.mark.parametrize("name", sorted(json.loads(LINES[0])["arguments"]))
def test_each_setting_of_a_journal_may_be_absurd(tmp_path, name, value):
    header = json.loads(LINES[0])
    header["arguments"][name] = value
    path = tmp_path / "journal" / f"{RUN}.jsonl"
    path.parent.mkdir()
    path.write_bytes(json.dumps(header).encode() + b"\n" + b"".join(LINES[1:]))
    with refused_or_done():
        search(replace(REQUEST, resume=RUN, write="run"), around(tmp_path, watch=lambda *_: enough))
    assert b"".join(LINES[1:]) in path.read_bytes()


@SEARCHES
@given(edited())
def test_a_search_goes_on_with_a_damaged_journal_or_refuses(journal):
    place, content = journal
    folder = Path(tempfile.mkdtemp())
    try:
        path = folder / "journal" / f"{RUN}.jsonl"
        path.parent.mkdir()
        path.write_bytes(content)
        with refused_or_done():
            found = search(replace(REQUEST, resume=RUN, write="run"), around(folder, watch=lambda *_: enough))
            kept = [json.loads(line)["configuration"] for line in LINES[1:place]]
            had = [trial.configuration for trial in found.run.trials]
            assert [one for one in kept if one not in had] == []
        start = b"".join(LINES[:place])
        assert path.read_bytes()[: len(start)] == start
    finally:
        shutil.rmtree(folder)
