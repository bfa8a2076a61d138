"""What inheritance saves is counted on what other problem sizes gave, and on nothing of the size that is searched."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import msgspec
import pytest

from bench.inheritance import (
    Inheritance,
    Reached,
    by_present_names,
    held_out,
    main,
    only_laws,
    own_code,
    saved,
    sweeps_of,
)
from spak.kg.model.system import Saving
from tests.shipped import library

LIBRARY = library()
SWEEP = "measured-h200-microgpt-w32-l1-t32-b16-sequence"


def test_nothing_of_the_size_that_is_searched_is_known():
    """Not its runs, and no law that was found there or has no other evidence."""
    [target] = [one for one in sweeps_of(LIBRARY, "h200", ["microgpt"]) if one.run.id == SWEEP]
    known = held_out(LIBRARY.laws, target.run)
    assert all(known.run(name).problem != target.run.problem for name in known.run_ids)
    about = {name for name, law in LIBRARY.laws.laws.items() if any(e.run == SWEEP for e in law.evidence)}
    found = {n for n in about if any((e.run, e.role) == (SWEEP, "suggested") for e in LIBRARY.laws.laws[n].evidence)}
    assert found
    assert not found & known.laws.keys()
    assert not any(entry.run == SWEEP for law in known.laws.values() for entry in law.evidence)
    bare = only_laws(known, without=next(iter(known.laws)))
    assert len(bare.laws) == len(known.laws) - 1
    assert list(bare.run_ids) == []


def reached(arm: str, evaluations: int | None, without: str = "", seed: int = 0) -> Reached:
    return Reached(sweep="s", arm=arm, seed=seed, evaluations=evaluations, seconds=2.0, without=without)


def test_a_law_alone_is_judged_by_the_searches_that_lack_it():
    """Medians; a search that did not get there counts as more than all."""
    searches = (
        *(reached("nothing", 40), reached("nothing", None, seed=1)),
        *(reached("laws", 10), reached("laws", 20, seed=1), reached("both", 4)),
        *(reached("laws", 30, "one-law"), reached("laws", 50, "one-law", seed=1)),
    )
    result = Inheritance(system="duo", hw="h200", seeds=2, laws={"s": ("one-law",)}, searches=searches)
    rows = msgspec.convert(saved(result, "matmul", ["s"]), tuple[Saving, ...])
    assert [row.evaluations for row in rows] == [(60.5, 4), (60.5, 15), (40, 15)]
    assert [row.records for row in rows] == [True, False, False]
    assert [row.laws for row in rows] == [("one-law",)] * 3
    none = msgspec.structs.replace(result, laws={"s": ()}, searches=searches[:5])
    assert len(saved(none, "matmul", ["s"])) == 1


def test_it_keeps_every_search_and_prints_what_a_system_file_says(tmp_path, capsys):
    kept = tmp_path / "kept.json"
    assert (
        main(["microgpt", "--hw", "h200", "--op", "microgpt", "--seeds", "1", "--only", SWEEP, "--json", str(kept)])
        == 0
    )
    result = msgspec.convert(json.loads(kept.read_bytes()), Inheritance)
    assert {one.arm for one in result.searches} == {"nothing", "model", "laws", "both"}
    assert all(one.evaluations is None or 1 <= one.evaluations <= 80 for one in result.searches)
    assert capsys.readouterr().out.startswith("  - {op: microgpt, hw: h200, laws: ")
    with pytest.raises(SystemExit):
        main(["microgpt", "--hw", "h100", "--op", "microgpt", "--json", str(kept)])


def test_seconds_are_those_of_sweeps_that_compiled_their_own_code():
    """One that found it compiled for another size would say that a search costs nothing."""
    cheap = [msgspec.structs.replace(reached("nothing", 10), sweep="t", seconds=0.1), reached("nothing", 6)]
    assert own_code(cheap) == {"s"}


def test_what_a_system_file_says_is_what_its_source_holds():
    """Recomputed from every search."""
    for system in LIBRARY.laws.systems.values():
        for source in {saving.source for saving in system.saved}:
            content = gzip.decompress((Path(__file__).parents[2] / source).read_bytes())
            result = by_present_names(msgspec.json.decode(content, type=Inheritance), LIBRARY.laws.contents)
            ops = dict.fromkeys(saving.op for saving in system.saved if saving.source == source)
            of = {op: [sweep for sweep in result.laws if LIBRARY.laws.run(sweep).op == op] for op in ops}
            rows = [{**row, "source": source} for op in ops for row in saved(result, op, of[op])]
            of_source = tuple(saving for saving in system.saved if saving.source == source)
            assert msgspec.convert(rows, tuple[Saving, ...]) == of_source
