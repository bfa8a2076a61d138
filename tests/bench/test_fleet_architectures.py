"""What is made of the steps of a fleet that compiles for six architectures."""

from __future__ import annotations

import os
import sqlite3

import pytest

from bench.fleet_architectures import Step, compared, costs
from bench.local_fleet import COMPILERS_OWN_CACHES, empty_caches, functions_compiled
from spak.tuner.backend.gpu.cubins import Cubin, CubinStore

ONE = Step(
    workers=1,
    pieces=4,
    of=4,
    failed=0,
    same=4,
    compiled=4,
    seconds=10.0,
    compiling_s=8.0,
    start_s=1.0,
    warm_s=1.0,
    load=1.0,
)
FOUR = Step(
    workers=4,
    pieces=4,
    of=4,
    failed=0,
    same=4,
    compiled=4,
    seconds=4.0,
    compiling_s=12.0,
    start_s=1.0,
    warm_s=1.0,
    load=4.0,
)


def test_what_four_workers_lack_is_the_machines_or_the_fleets():
    found = compared(FOUR, ONE, 3)
    assert (found.same, found.speed_up, found.efficiency, found.busy, found.slower) == (3, 2.5, 0.625, 0.75, 1.5)


def test_a_step_that_did_not_do_all_is_compared_with_nothing():
    few = Step(**{**FOUR.__dict__, "pieces": 3})
    assert compared(few, ONE, 3).efficiency is None
    assert compared(FOUR, few, 3).efficiency is None


def test_a_piece_costs_what_passed_since_the_piece_before_it():
    assert costs({("sm_90", 1): 5.0, ("sm_80", 0): 2.0, ("sm_90", 0): 9.0}) == {
        ("sm_80", 0): 2.0,
        ("sm_90", 1): 3.0,
        ("sm_90", 0): 4.0,
    }


def test_each_part_has_its_own_place_for_what_compilers_keep(tmp_path, monkeypatch):
    """Also where the caller has set one, which is there again afterwards."""
    monkeypatch.setenv(COMPILERS_OWN_CACHES[0], "mine")
    monkeypatch.delenv(COMPILERS_OWN_CACHES[1], raising=False)
    with empty_caches(tmp_path):
        assert {os.environ[name].rpartition("/")[0] for name in COMPILERS_OWN_CACHES} == {str(tmp_path)}
    assert os.environ[COMPILERS_OWN_CACHES[0]] == "mine"
    assert COMPILERS_OWN_CACHES[1] not in os.environ


def test_code_that_was_not_compiled_meanwhile_ends_the_benchmark(tmp_path):
    """Two functions of the same code may be one compilation."""
    for key, code in (("a" * 40, b"x"), ("b" * 40, b"x"), ("c" * 40, b"y")):
        CubinStore(tmp_path / "cubins").put(key, Cubin("f", code))
    with pytest.raises(SystemExit, match="2 functions, of which cuTile compiled 0"):
        functions_compiled(tmp_path)
    kept = tmp_path / COMPILERS_OWN_CACHES[0].lower()
    kept.mkdir()
    with sqlite3.connect(kept / "cache.db") as cache:
        cache.execute("CREATE TABLE cache (key TEXT)")
        cache.executemany("INSERT INTO cache VALUES (?)", [("x",), ("y",)])
    assert functions_compiled(tmp_path) == 2
