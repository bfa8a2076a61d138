r"""What inheritance saves: searches of recorded sweeps with the laws that other problem sizes gave, and without any.

    python -m bench.inheritance nanogpt --hw h200 --op fmha --op fmha-backward \
        --only 'h200-fmha-(d64|d128|gqa|backward)[a-z0-9-]*-(causal|full)$' --json bench/results/inheritance-nanogpt-h200.json.gz

Every whole sweep of the ops that a system leaves open is searched as `tune replay` does, for `TRIALS` trials. What a law says
counts only as far as runs at other problem sizes say it: a law that was found at the size that is searched is not known there,
and the status of every other one is worked out without the runs at that size. A law's own part is what the search takes longer
when that law alone is left out. Counted are evaluations, and seconds of compiling by the record, until within 2 % of the
sweep's best.
"""

from __future__ import annotations

import argparse
import gzip
import re
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

import spak
from bench.cold_gpu import ROOT, Target, on_evidence_of, same_size
from spak.kg.answers.explain import law_called
from spak.kg.files.loader import Laws
from spak.kg.law.toolchain import compiler_of
from spak.kg.model.base import Model
from spak.kg.model.run import Run
from spak.kg.model.store import Store

WITHIN = 1.02
TRIALS = 80
FEWEST = 60
"""Configurations of a sweep that takes part."""
OWN_CODE_S = 0.3
"""Seconds of compiling that an evaluation takes at least where a sweep compiled its own code; fmha's take 1.5 s."""


class Reached(Model, frozen=True, kw_only=True):
    """One search.

    Attributes:
        without: Law that was left out; empty: none.
        evaluations: Until within 2 % of the best; None if `TRIALS` did not do.
        seconds: Of compiling, by the record, until then or until the end.
    """

    sweep: str
    arm: str
    seed: int
    evaluations: int | None
    seconds: float
    without: str = ""


class Inheritance(Model, frozen=True, kw_only=True):
    """All searches for one system on one device.

    Attributes:
        laws: Sweep -> laws known there that may remove or postpone something of it.
    """

    system: str
    hw: str
    seeds: int
    laws: dict[str, tuple[str, ...]]
    searches: tuple[Reached, ...]


ARMS: Mapping[str, str] = {
    "nothing": "nothing known, random search",
    "model": "nothing known, strategy transfer",
    "laws": "laws that other sizes gave",
    "both": "those laws, and what was recorded at other sizes",
}


def sweeps_of(library: spak.Library, hw: str, ops: Sequence[str]) -> Iterator[Target]:
    """The whole sweeps of `ops` that were measured on `hw`."""
    for name in library.laws.run_ids:
        run = library.laws.run(name)
        if (
            (run.hw, run.tier) == (hw, "measured")
            and run.op in ops
            and run.exhaustive_over
            and len(run.trials) >= FEWEST
        ):
            yield Target(run, spak.read_recording(library.laws.path("run", name)))


def held_out(laws: Laws, run: Run) -> Laws:
    """`laws` as if nobody had run anything at the problem size of `run`."""
    others = {name: one for name in laws.run_ids if not same_size(one := laws.run(name), run.problem)}
    kept = {name: found for name, law in laws.laws.items() if (found := on_evidence_of(law, others)) is not None}
    files = {**laws.paths, "run": {name: path for name, path in laws.paths["run"].items() if name in others}}
    return replace(laws, contents=msgspec.structs.replace(laws.contents, laws=kept, files=files))


def only_laws(laws: Laws, without: str = "") -> Laws:
    """`laws` without any run, and without one law."""
    kept = {name: law for name, law in laws.laws.items() if name != without}
    contents = msgspec.structs.replace(laws.contents, laws=kept, files={**laws.contents.files, "run": {}})
    return replace(laws, contents=contents)


def reached(
    target: Target, known: Laws | None, arm: str, seed: int, without: str = ""
) -> tuple[Reached, spak.Replayed]:
    """One search."""
    what = spak.Replay(
        spak.HardwareName(target.run.hw),
        target.run.op,
        known,
        "transfer" if arm == "model" else "",
        budget=min(TRIALS, len(target.run.trials)),
        seed=seed,
        own_runs="other-problems" if arm == "both" else "none",
        toolchain=compiler_of(target.run.toolchain),
    )
    done = spak.replay(target.recording, what)
    count = done.evaluations_to(1 / WITHIN)
    seconds = done.seconds_to(count if count is not None else len(done.trials)) or 0.0
    found = Reached(
        sweep=target.run.id, arm=arm, seed=seed, evaluations=count, seconds=round(seconds, 3), without=without
    )
    return found, done


def acting(done: spak.Replayed) -> tuple[str, ...]:
    """Laws that removed or postponed something before the search began."""
    return tuple(sorted(rule.id for rule in done.restriction.live))


def searches(
    library: spak.Library, targets: Sequence[Target], seeds: int
) -> tuple[dict[str, tuple[str, ...]], list[Reached]]:
    """Every search of every sweep."""
    named: dict[str, tuple[str, ...]] = {}
    found: list[Reached] = []
    for target in targets:
        inherited = held_out(library.laws, target.run)
        known = {"nothing": None, "model": None, "laws": only_laws(inherited), "both": inherited}
        for arm, laws in known.items():
            made = [reached(target, laws, arm, seed) for seed in range(seeds)]
            found += [one for one, _ in made]
            if arm == "laws":
                named[target.run.id] = acting(made[0][1])
            print(target.run.id, arm, middle([one for one, _ in made]), file=sys.stderr, flush=True)
        for law in named[target.run.id]:
            less = only_laws(inherited, law)
            found += [reached(target, less, "laws", seed, law)[0] for seed in range(seeds)]
    return named, found


def middle(some: Sequence[Reached]) -> str:
    """Medians, for people: evaluations and seconds; a search that did not get there counts as more than all."""
    counts = statistics.median(one.evaluations if one.evaluations is not None else TRIALS + 1 for one in some)
    return f"{counts:g} evaluations, {statistics.median(one.seconds for one in some):.1f} s"


def saved(result: Inheritance, op: str, sweeps: Sequence[str]) -> list[dict[str, object]]:
    """What was saved of the searches of one op's sweeps, as a system's file has it.

    First by the laws and the records of other sizes, then by the laws alone, then by each law.
    """
    own = [one for one in result.searches if one.sweep in sweeps]
    every = sorted({law for sweep in sweeps for law in result.laws[sweep]})
    whole = _of(own, "laws")
    ruled = [one for one in whole if result.laws[one.sweep]]
    rows = [{**_row(op, result, every, (_of(own, "nothing"), _of(own, "both"))), "records": True}]
    if ruled:
        lawless = [one for one in _of(own, "nothing") if result.laws[one.sweep]]
        rows.append(_row(op, result, every, (lawless, ruled)))
    for law in every:
        less = [one for one in own if one.without == law]
        about = {one.sweep for one in less}
        rows.append(_row(op, result, [law], (less, [one for one in whole if one.sweep in about])))
    return rows


def by_present_names(result: Inheritance, store: Store) -> Inheritance:
    """A kept result with each law under the name it has now."""
    names = {law for known in result.laws.values() for law in known}
    now = {name: law_called(store, name).id for name in names}
    laws = {sweep: tuple(now[law] for law in known) for sweep, known in result.laws.items()}
    searches = (msgspec.structs.replace(one, without=now.get(one.without, one.without)) for one in result.searches)
    return msgspec.structs.replace(result, laws=laws, searches=tuple(searches))


def _of(searches: Sequence[Reached], arm: str) -> list[Reached]:
    return [one for one in searches if one.arm == arm and not one.without]


def own_code(searches: Sequence[Reached]) -> set[str]:
    """Sweeps that compiled what they timed, and did not find most of it compiled for another size."""
    cost: dict[str, list[float]] = {}
    for one in _of(searches, "nothing"):
        cost.setdefault(one.sweep, []).append(one.seconds / (one.evaluations or TRIALS))
    return {sweep for sweep, each in cost.items() if statistics.mean(each) >= OWN_CODE_S}


def _row(
    op: str, result: Inheritance, laws: Sequence[str], searches: tuple[Sequence[Reached], Sequence[Reached]]
) -> dict[str, object]:
    """Medians of the searches without and with `laws`; of seconds where the sweep compiled its kernels itself."""
    compiled = own_code(result.searches)
    seconds = [[one.seconds for one in some if one.sweep in compiled] or [0.0] for some in searches]
    return {
        "op": op,
        "hw": result.hw,
        "laws": list(laws),
        "sizes": len({one.sweep for one in searches[1]}),
        "seeds": result.seeds,
        "evaluations": [statistics.median(one.evaluations or TRIALS + 1 for one in some) for some in searches],
        "seconds": [round(statistics.median(some), 1) for some in seconds],
    }


def main(words: Sequence[str] | None = None) -> int:
    """Search, keep every search, and print what a system's file says of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system")
    parser.add_argument("--hw", required=True, help="hardware whose sweeps are searched")
    parser.add_argument("--op", action="append", default=[], help="instead of the ops that the system leaves open")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", default="", help="regular expression in the ids of sweeps")
    parser.add_argument("--laws", type=Path, default=ROOT)
    parser.add_argument("--json", type=Path, required=True, help="compressed if it ends in .gz")
    options = parser.parse_args(words)
    library = spak.load(options.laws)
    system = library.laws.systems[options.system]
    ops = options.op or [part.op for part in system.tuning_space]
    targets = [one for one in sweeps_of(library, options.hw, ops) if re.search(options.only, one.run.id)]
    if not targets:
        parser.error(f"--hw {options.hw}: no whole sweep of {', '.join(ops)} was measured there")
    laws, found = searches(library, targets, options.seeds)
    result = Inheritance(system=system.id, hw=options.hw, seeds=options.seeds, laws=laws, searches=tuple(found))
    content = msgspec.json.encode(result) + b"\n"
    options.json.write_bytes(gzip.compress(content, mtime=0) if options.json.suffix == ".gz" else content)
    for op in ops:
        for row in saved(result, op, [one.run.id for one in targets if one.run.op == op]):
            print("  - " + msgspec.json.encode(row).decode().replace('"', "").replace(",", ", ").replace(":", ": "))
    return 0


if __name__ == "__main__":
    sys.exit(main())
