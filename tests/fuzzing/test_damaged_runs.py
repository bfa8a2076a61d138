"""Run files and result files of others, damaged in every way: used or refused, by whoever reads them."""

from __future__ import annotations

import gzip
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spak.kg.evidence.witness import RunWitness
from spak.kg.files.loader import read_run
from spak.kg.formats.reader import read_recording
from tests.fuzzing.bounds import refused_or_done
from tests.fuzzing.damage import damaged, torn
from tests.shipped import LAWS, ROOT

NAMES = (
    "computed-mask-floor-found.json",
    "measured-h200-fmha-d64-s1024-causal-versions.json",
    "reported-fmha-v4-rtx5070.json",
    "measured-h200-matmul-m2048-20261121t040002-confirm.json.gz",
)
PRETEND = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
)


def content(name: str) -> bytes:
    raw = (ROOT / "evidence" / name).read_bytes()
    return gzip.decompress(raw) if name.endswith(".gz") else raw


def small(name: str) -> dict[str, object]:
    """The run with its first trials, so that damage meets each part of it."""
    run = json.loads(content(name))
    return run | {"trials": run["trials"][:6]}


@PRETEND
@given(st.data())
def test_a_damaged_run_is_read_or_refused(tmp_path, data):
    name = data.draw(st.sampled_from(NAMES))
    path = tmp_path / name.removesuffix(".gz")
    path.write_bytes(data.draw(damaged(small(name))))
    with refused_or_done():
        read_run(path)
    with refused_or_done():
        read_recording(path)


@PRETEND
@given(st.data())
def test_a_damaged_gzip_file_is_read_or_refused(tmp_path, data):
    path = tmp_path / "r.json.gz"
    packed = gzip.compress(json.dumps(small(NAMES[0]) | {"id": "r"}).encode(), mtime=0)
    path.write_bytes(data.draw(torn(packed)))
    with refused_or_done():
        read_run(path)


@PRETEND
@given(st.data())
def test_a_run_that_loads_is_judged_whatever_it_says(tmp_path, data):
    """No law, op or hardware of the root makes a reader of a strange run fail."""
    name = data.draw(st.sampled_from(NAMES))
    path = tmp_path / name.removesuffix(".gz")
    path.write_bytes(data.draw(damaged(small(name), most=2)))
    run = None
    with refused_or_done():
        run = read_run(path)
    if run is not None:
        with refused_or_done():
            witness = RunWitness(run, LAWS)
            for law in LAWS.laws.values():
                witness.entry(law)
