"""Evidence sets: the same trials in the community's form, the same bytes each time, and a datasheet that is computed."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections import Counter
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.cli import kg as kg_cli
from spak.cli.app import build_app, run_app
from spak.kg.errors import KgError, UnknownNameError
from spak.kg.formats.evidence_set import CHECKSUMS, DATASHEET, INDEX, evidence_set, quantiles
from spak.kg.formats.reader import read_recording
from tests.shipped import LAWS, ROOT


@pytest.fixture(scope="module")
def laws():
    return LAWS


@pytest.fixture(scope="module")
def made(laws):
    """Forward and product, on two devices: sweeps, searches with failures, sittings that repeat others."""
    return evidence_set(laws, ops=["matmul"], hardware=["H100", "h200"], licence="as the repository")


def test_files_hold_the_same_trials_failures_included(laws, made, tmp_path):
    """Written, then read by the reader of `kg import`."""
    made.write(tmp_path)
    failed = 0
    for one in made.sittings:
        run = laws.run(one.run)
        if any(trial.problem for trial in run.trials):
            continue  # T4 has the problem size among the parameters then
        read = read_recording(tmp_path / one.file).trials
        assert len(read) == len(run.trials) == one.trials
        for ours, theirs in zip(run.trials, read, strict=True):
            assert (ours.configuration, ours.invalidity) == (theirs.configuration, theirs.invalidity)
            assert (ours.failure and ours.failure.type) == (theirs.failure and theirs.failure.type)
            assert (theirs.value("time") or 0) == pytest.approx(ours.value("time") or 0, rel=1e-12)
            failed += ours.failure is not None
    assert failed > 0


def test_files_are_what_the_schema_of_t4_wants(made):
    """The schema that Kernel Tuner comes with; its package is found and not imported."""
    package = importlib.util.find_spec("kernel_tuner").submodule_search_locations[0]
    schema = json.loads(Path(package, "schema", "T4", "1.0.0", "results-schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    seen: Counter[str] = Counter()
    for one in made.sittings:
        file = json.loads(made.files[one.file])
        results = [r for place, r in enumerate(file["results"]) if place < 9 or r["invalidity"] != "correct"]
        seen.update(result["invalidity"] for result in results)
        validator.validate({**file, "results": results})
    assert {"correct", "constraints"} <= seen.keys()


def test_the_same_runs_are_the_same_bytes(made):
    again = evidence_set(LAWS, ops=["matmul"], hardware=["h200", "h100"], licence="as the repository")
    assert again.files == made.files
    assert again.digest == made.digest
    sums = dict(reversed(line.split("  ")) for line in made.files[CHECKSUMS].decode().splitlines())
    assert sums == {name: hashlib.sha256(made.files[name]).hexdigest() for name in made.files if name != CHECKSUMS}


def test_every_number_of_the_datasheet_is_that_of_the_files(made):
    """Counted again from the T4 files, not from what the set says of them."""
    text = made.files[DATASHEET].decode()
    counts: Counter[str] = Counter()
    for name, content in made.files.items():
        if name.endswith(".json") and name != INDEX:
            counts.update(result["invalidity"] for result in json.loads(content)["results"])
    head, total = (
        next(line for line in text.splitlines() if line.startswith(start)) for start in ("| op |", "| all |")
    )
    columns = [cell.strip() for cell in head.strip("|").split("|")]
    cells = dict(zip(columns, (cell.strip().replace(",", "") for cell in total.strip("|").split("|")), strict=True))
    assert int(cells["trials"]) == counts.total()
    assert {kind: int(cells[kind]) for kind in counts} == counts
    assert int(cells["sittings"]) == len(made.sittings)
    index = json.loads(made.files[INDEX])
    assert [one["file"] for one in index["files"]] == sorted(one["file"] for one in index["files"])
    worst = max(one["half_width"][0] for one in index["files"] if (one["op"], one["hw"]) == ("matmul", "h200"))
    row = next(line for line in text.splitlines() if re.match(r"\| matmul \| h200 \| \d+ \| \d+\.", line))
    assert f"{100 * worst:.2f} %" in row
    assert "Licence: as the repository" in text
    assert str(ROOT.parent) not in text


def test_two_sittings_of_one_configuration_say_how_noisy_it_is(made):
    """One GPU timed 96 configurations twice; only pairs with enough in common speak of single times."""
    (one,) = [pair for pair in made.repeated if pair.kind == "one GPU, same source and toolchain" and pair.hw == "h100"]
    assert one.sittings == 1
    assert one.configurations > 50
    assert 0 < one.deviation[0] < one.deviation[1] < 0.2
    assert all(bool(pair.deviation) == bool(pair.configurations) for pair in made.repeated)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_at_most_a_twentieth_is_above_the_percentile(values):
    middle, tail = quantiles(values)
    assert sum(value > tail for value in values) <= len(values) / 20
    assert sum(value > middle for value in values) <= len(values) / 2
    assert tail in values


def test_what_is_not_known_or_not_of_the_set_is_refused(laws, made, tmp_path):
    with pytest.raises(UnknownNameError):
        evidence_set(laws, ops=["matmil"], licence="")
    with pytest.raises(KgError, match="kg list runs"):
        evidence_set(laws, ops=["matmul"], hardware=["b200"], licence="")
    (tmp_path / "old.json").write_text("{}")
    with pytest.raises(KgError, match=r"old.json: not of this set"):
        made.write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]


def test_the_command_writes_what_the_call_gives(made, tmp_path, capsys):
    folder = tmp_path / "set"
    arguments = ["--laws", str(ROOT), "export", "--format", "t4", "--set", str(folder), "--op", "matmul"]
    app = build_app(registry=kg_cli.COMMANDS, help_text="")
    assert run_app(app, "kg", [*arguments, "--hw", "h100,h200", "--licence", "as the repository"]) == 0
    assert made.digest in capsys.readouterr().out
    written = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert written == dict(made.files)
    assert msgspec.json.decode(written[INDEX])["files"][0]["sha256"]
