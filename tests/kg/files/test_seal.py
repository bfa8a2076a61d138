"""A run file carries a digest of its trials, and an entry the occasion of its run; both are added without another change."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kg.files import seal
from spak.kg.files.loader import _run_of, load, read_run
from spak.kg.model.run import Device, Measurement, Run, Trial
from spak.tuner.engine.record import write_run

RUN = Run(
    id="a-run",
    tier="measured",
    created="2026-11-21T23:30:00-02:00",
    hw="h200",
    op="fmha",
    device=Device(name="NVIDIA H200", machine="0123456789ab"),
    trials=(
        Trial(configuration={"b": 1, "a": 2.0}, measurements=(Measurement(name="time", value=1e20, low=1, high=2e20),)),
    ),
)


def test_the_digest_is_what_one_line_of_python_gives(tmp_path):
    """Whoever doubts a file needs nothing of ours."""
    content = json.loads(write_run(RUN, tmp_path).read_text())
    assert content["trials_sha256"] == seal.trials_digest(content["trials"])
    assert content["trials_sha256"] == "6ed7bf7e30e659fd6fe9e27e2f41e88724b442037e05aa561b1a37e860ac4855"


@pytest.mark.parametrize("ending", [".json", ".json.gz"])
@pytest.mark.parametrize("trials", ['"trials" : [\n  {"configuration": {"trials": 1}}\n ]', '"note": "none"'])
def test_sealing_adds_the_digest_and_changes_no_other_byte(tmp_path, ending, trials):
    """Where a key of that name stands elsewhere, and where there are no trials, too; twice is once."""
    before = ('{\n "id": "a", "audit": {"trials": 3},\n ' + trials + "\n}\n").encode()
    path = tmp_path / f"a{ending}"
    path.write_bytes(gzip.compress(before) if ending.endswith("gz") else before)
    assert seal.seal_file(path)
    first = path.read_bytes()
    after = gzip.decompress(first) if ending.endswith("gz") else first
    found = json.loads(after)
    digest = found.pop("trials_sha256")
    assert found == json.loads(before)
    assert digest == seal.trials_digest(found.get("trials", []))
    rest = after.replace(f'"trials_sha256": "{digest}"'.encode(), b"")
    assert rest.replace(b",", b"").split() == before.replace(b",", b"").split()
    assert not seal.seal_file(path)
    assert path.read_bytes() == first


@given(st.permutations(["a", "b", "c"]), st.booleans())
def test_layout_and_key_order_do_not_matter_the_trials_do(names, more):
    """What is the same trials has the same digest, and nothing else has."""
    one = [{"configuration": dict.fromkeys(sorted(names), 1)}]
    other = [{"configuration": {name: 2 if more and name == "b" else 1 for name in names}}]
    assert (seal.trials_digest(one) == seal.trials_digest(other)) is not more


NUMBERS = [
    1e16,
    1e-5,
    1e22,
    0.1,
    -0.0,
    2**70,
    5e-324,
    123456789012345.6,
    1,
    True,
    None,
    "é\x7f\u2028",
    {"b": 1, "a": []},
]


@pytest.mark.parametrize("value", NUMBERS, ids=repr)
def test_a_digest_that_is_stated_is_right_for_its_own_trials_and_no_others(value):
    """However two writers write a number: what was recorded is confirmed, and what was altered is found."""
    stated = seal.trials_digest([{"value": value}])
    assert seal.recorded_digest(_written(value), stated) == stated
    for other in (*NUMBERS, 2, 1.0):
        assert seal.recorded_digest(_written(other), stated) == seal.trials_digest([{"value": other}])


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70), min_size=1),
    st.sampled_from(["packed", "in lines", "compact, a line", "spaced", "sorted"]),
    st.text('a\u0001\u00e9\n\\":', max_size=3),
)
def test_trials_are_those_of_the_text_whether_or_not_this_package_wrote_it(values, how, note):
    trials = (
        Trial(configuration={"a": 2, "b": note}, measurements=(Measurement(name=note, value=value),))
        for value in values
    )
    run = msgspec.structs.replace(RUN, note=note, trials=tuple(trials))
    text = seal.run_content(run, packed=False)
    if how == "packed":
        text = gzip.decompress(seal.run_content(run, packed=True))
    elif how != "in lines":
        separators = (", ", " : ") if how == "spaced" else (",", ":")
        text = json.dumps(json.loads(text), separators=separators, sort_keys=how == "sorted").encode()
        text += b"\n" * how.endswith("line")
    again, found = _run_of(text, Path("a-run.json"))
    assert found == msgspec.json.encode(msgspec.json.decode(text)["trials"], order="sorted")
    assert seal.recorded_digest(found, again.trials_sha256) == again.trials_sha256


def _written(value):
    return msgspec.json.encode([{"value": value}], order="sorted")


def test_an_occasion_is_day_hardware_and_machine():
    """The day in UTC; a machine nobody asked for is not made up; what was only reported has none."""
    assert RUN.occasion == "2026-11-22 h200 0123456789ab"
    assert msgspec.structs.replace(RUN, device=None).occasion == "2026-11-22 h200"
    assert msgspec.structs.replace(RUN, tier="reported").occasion == ""
    assert msgspec.structs.replace(RUN, created="yesterday").occasion == ""
    assert msgspec.structs.replace(RUN, created="2026-11-21T23:30:00").occasion == "", "a time of nowhere"


def test_a_root_of_old_gets_what_it_lacks_and_keeps_the_rest(law_root, law_file):
    """Digests into runs, occasions into entries, comments and wrong values left alone."""
    text = law_file.read_text()
    law_file.write_text("# mine\n" + text)
    for file in (law_root / "evidence").glob("*.json"):
        run = {name: value for name, value in json.loads(file.read_text()).items() if name != "trials_sha256"}
        file.write_text(json.dumps(run))
    runs = load(law_root).run_ids
    changed = set(seal.seal_root(load(law_root)))
    assert law_file.read_text().startswith("# mine\n")
    again = load(law_root)
    for run in runs:
        assert again.path("run", run) in changed
        assert read_run(again.path("run", run)).trials_sha256
    for law in again.laws.values():
        for entry in law.evidence:
            assert entry.occasion == again.run(entry.run).occasion
    assert not list(seal.seal_root(again))
