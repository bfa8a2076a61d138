"""Evaluations that transfer saves on recorded spaces, whole GPUs and whole architectures held out.

    python -m bench.transfer FOLDER --arch A100=sm_80,A4000=sm_86,A6000=sm_86,MI250X=cdna2,W6600=rdna2,W7800=rdna3

FOLDER holds `NAME_T4.json.gz`, one for each GPU, of the same kernel. Every record is searched by the code that `tune replay`
runs, with what `kg import` wrote of the others, until it has found what is within 1 % of the best. Random search is its exact
expectation, (N + 1) / (g + 1) for g good ones of N.

    --recorded 100         only that many random configurations of each source, drawn anew for each of `--draws`
    --sources upside-down  their times turned upside down; `shuffled`: handed out to other configurations
    --kernel-tuner F       lines of bench/kernel_tuner_strategies.py, to compare with the best of them
    --evidence DIR         our own sweeps: one problem size held out, the others known
    --out FILE             everything measured, as JSON

Prints one table and the geometric means; times in evaluations, and in seconds by the record.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from bench.kernel_tuner_strategies import MOST
from spak.kg.files.loader import Laws, load
from spak.kg.formats.content import read_bytes
from spak.kg.formats.importing import Import, import_file
from spak.kg.formats.nodes import HardwareName
from spak.kg.formats.reader import read_recording
from spak.kg.formats.recording import Recording
from spak.kg.formats.t4_writer import write_t4
from spak.kg.model.run import Run, Trial
from spak.tuner.engine.loop import Hooks
from spak.tuner.replay import FRACTIONS, Replay, Replayed, cost_s, expected_random, replay

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    """One held-out case: mean evaluations and seconds to each fraction, over seeds.

    `counts` has the evaluations of every search, those of one draw of the sources after another.
    """

    case: str
    random: tuple[float, ...]
    evaluations: tuple[float, ...]
    seconds: tuple[float, ...]
    random_seconds: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]


def mean_cost(recording: Recording) -> float:
    return float(np.mean([cost_s(trial) for trial in recording.trials]))


def measured(case: str, recording: Recording, searches: list[Replayed]) -> Row:
    counts = [[done.evaluations_to(f) or len(recording.trials) for f in FRACTIONS] for done in searches]
    seconds = [[done.seconds_to(count) or 0.0 for count in row] for done, row in zip(searches, counts, strict=True)]
    random = tuple(expected_random(recording, f) for f in FRACTIONS)
    cost = mean_cost(recording)
    return Row(
        case,
        random,
        tuple(np.mean(counts, axis=0)),
        tuple(np.mean(seconds, axis=0)),
        tuple(count * cost for count in random),
        tuple(map(tuple, counts)),
    )


def ended_at(recording: Recording, fraction: float) -> Hooks:
    """Ends a search that has reached `fraction` of the optimum: what comes after is not counted."""
    times = (trial.value("time") for trial in recording.trials)
    enough = min(value for value in times if value is not None) / fraction
    reached = [False]

    def check(trial: Trial) -> None:
        value = trial.value("time")
        reached[0] = reached[0] or (value is not None and value <= enough)

    def end(_trials: int, _seconds: float) -> None:
        if reached[0]:
            raise KeyboardInterrupt

    return Hooks(time.monotonic, check, end)


def thinned(recording: Recording, count: int, rng: np.random.Generator) -> Recording:
    picked = rng.choice(len(recording.trials), min(count, len(recording.trials)), replace=False)
    return replace(recording, trials=tuple(recording.trials[i] for i in picked))


def upside_down(recording: Recording) -> Recording:
    """The fastest as slow as the slowest was, and the other way round: knowledge at its most misleading."""
    logs = [math.log(time) for trial in recording.trials if (time := trial.value("time")) is not None]
    total = min(logs) + max(logs)

    def turned(trial: Trial) -> Trial:
        if trial.value("time") is None:
            return trial
        (first, *rest) = trial.measurements
        value = math.exp(total - math.log(first.value))
        return msgspec.structs.replace(
            trial, measurements=(msgspec.structs.replace(first, value=value, low=None, high=None), *rest)
        )

    return replace(recording, trials=tuple(turned(trial) for trial in recording.trials))


def shuffled(recording: Recording, rng: np.random.Generator) -> Recording:
    """What each configuration came to handed to another one: knowledge that says nothing."""
    configurations = [recording.trials[i].configuration for i in rng.permutation(len(recording.trials))]
    pairs = zip(recording.trials, configurations, strict=True)
    return replace(recording, trials=tuple(msgspec.structs.replace(t, configuration=c) for t, c in pairs))


def root_of(folder: Path, recordings: dict[str, Recording], arch: dict[str, str]) -> Laws:
    (folder / "laws").mkdir(exist_ok=True)  # also where nothing else is recorded
    for name, recording in recordings.items():
        run = Run(id="x", tier="measured", created="", hw="x", op="x", trials=recording.trials)
        path = folder / f"{name}.json"
        path.write_bytes(write_t4(run))
        import_file(folder / "laws", Import(path, HardwareName(name, arch.get(name, "")), "recorded"), NOW)
    return load(folder / "laws")


def held_out(options: argparse.Namespace, by: str) -> Iterator[Row]:
    arch = dict(pair.split("=") for pair in options.arch.split(",") if pair)
    group = arch | dict(pair.split("=") for pair in options.group.split(",") if pair)
    files = sorted(options.folder.glob("*_T4.json*"))
    records = {path.name.partition("_T4")[0]: read_recording(path) for path in files}
    for name, record in records.items():
        relatives = [o for o in records if o != name and (by == "gpu" or group.get(o, o) != group.get(name, name))]
        searches = []
        for draw in range(options.draws):
            rng = np.random.default_rng(1000 + draw)
            laws = sources_of({o: records[o] for o in relatives}, options, arch, rng)
            what = Replay(HardwareName(name, arch.get(name, "")), "recorded", laws, options.strategy, options.budget)
            seeds = range(draw * options.seeds, (draw + 1) * options.seeds)
            searches += [replay(record, replace(what, seed=seed), ended_at(record, FRACTIONS[-1])) for seed in seeds]
        print(f"{by} {name}: {[done.evaluations_to(FRACTIONS[0]) for done in searches]}", file=sys.stderr, flush=True)
        yield measured(name, record, searches)


def sources_of(
    records: dict[str, Recording], options: argparse.Namespace, arch: dict[str, str], rng: np.random.Generator
) -> Laws:
    """The law root that the other records make, its runs loaded."""
    if options.recorded:
        records = {o: thinned(r, options.recorded, rng) for o, r in records.items()}
    if options.sources == "upside-down":
        records = {o: upside_down(r) for o, r in records.items()}
    if options.sources == "shuffled":
        records = {o: shuffled(r, rng) for o, r in records.items()}
    with tempfile.TemporaryDirectory() as scratch:
        laws = root_of(Path(scratch), records, arch)
        for run in laws.run_ids:
            laws.run(run)
    return laws


def own_sweeps(options: argparse.Namespace) -> Iterator[Row]:
    """Each measured run of a law root, searched with what the same hardware recorded at the other problem sizes."""
    laws = load(options.evidence)
    runs = [
        run for name in laws.run_ids if (run := laws.run(name)).tier == "measured" and len(run.trials) >= options.fewest
    ]
    for run in runs:
        for problem in {tuple(sorted((trial.problem or run.problem).items())) for trial in run.trials}:
            trials = tuple(t for t in run.trials if tuple(sorted((t.problem or run.problem).items())) == problem)
            record = Recording("run", _parameters(trials), False, trials, problem=dict(problem))
            if sum(trial.value("time") is not None for trial in trials) < options.fewest:
                continue
            what = Replay(HardwareName(run.hw), run.op, laws, own_runs="other-problems", strategy=options.strategy)
            searches = [
                replay(record, replace(what, seed=seed), ended_at(record, FRACTIONS[-1]))
                for seed in range(options.seeds)
            ]
            yield measured(f"{run.op} {run.id.partition(run.op + '-')[2]}", record, searches)


def _parameters(trials: tuple[Trial, ...]) -> dict:
    from spak.kg.formats.recording import seen_parameters

    return dict(seen_parameters(trials))


def geometric(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def best_of_kernel_tuner(lines: list[dict], rows: list[Row], place: int) -> tuple[str, float]:
    """The strategy of Kernel Tuner with the least geometric mean over `rows`, and that mean.

    A search that stopped short is continued at random, at random search's expectation: less than to count it as the
    whole space, which is what the lines themselves do.
    """
    expected = {row.case: row.random[place] for row in rows}
    by: dict[str, list[float]] = {}
    for line in lines:
        size, random = line["space"], expected[line["record"].removesuffix("_T4")]
        stopped = MOST + (size - MOST + 1) * random / (size + 1)
        counts = line[f"evaluations_to_{FRACTIONS[place]}"]
        by.setdefault(line["strategy"], []).append(float(np.mean([stopped if c is None else c for c in counts])))
    means = {name: geometric(found) for name, found in by.items() if len(found) == len(rows)}
    name = min(means, key=lambda name: means[name])
    return name, means[name]


def by_draw(rows: list[Row], place: int, draws: int) -> list[float]:
    """Geometric mean over the cases of how many times fewer, for each draw of the sources."""
    counts = np.array([[count[place] for count in row.counts] for row in rows], np.float64)  # (cases, searches)
    means = counts.reshape(len(rows), draws, -1).mean(axis=2)
    random = np.array([[row.random[place]] for row in rows])
    return list(np.exp(np.log(random / means).mean(axis=0)))


def show(title: str, rows: list[Row], tuner: list[dict], draws: int = 1) -> None:
    print(f"\n{title}\n{'case':34} {'random':>15} {'ours':>15} {'times fewer':>15} {'s, random':>17} {'s, ours':>13}")
    for row in rows:
        ratio = [r / e for r, e in zip(row.random, row.evaluations, strict=True)]
        shown = [row.random, row.evaluations, ratio, row.random_seconds, row.seconds]
        print(f"{row.case[:34]:34} " + " ".join(f"{a:7.1f} {b:7.1f}" for a, b in shown))
    for place, fraction in enumerate(FRACTIONS):
        saved = geometric([row.random[place] / row.evaluations[place] for row in rows])
        worst = min(rows, key=lambda row: row.random[place] / row.evaluations[place])
        line = f"to {fraction:.0%}: {saved:.1f} times fewer than random (worst {worst.case}: "
        line += f"{worst.random[place] / worst.evaluations[place]:.2f})"
        ours = geometric([row.evaluations[place] for row in rows])
        if tuner:
            name, theirs = best_of_kernel_tuner(tuner, rows, place)
            line += f"; {ours:.1f} where Kernel Tuner's {name} needs {theirs:.1f}, {theirs / ours:.1f} times fewer"
        seconds = geometric([row.random_seconds[place] / max(row.seconds[place], 1e-9) for row in rows])
        print(f"{line}; seconds {seconds:.1f} times fewer")
        if draws > 1:
            each = sorted(by_draw(rows, place, draws))
            print(f"    of {draws} draws: {' '.join(f'{value:.1f}' for value in each)} times fewer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--arch", default="")
    parser.add_argument("--group", default="", help="what is held out together, where that is not --arch")
    parser.add_argument("--by", choices=["gpu", "architecture", "both"], default="both")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budget", type=int)
    parser.add_argument("--strategy", default="transfer")
    parser.add_argument("--recorded", type=int, default=0)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--sources", choices=["as-recorded", "upside-down", "shuffled"], default="as-recorded")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--kernel-tuner", type=Path, nargs="*", default=[])
    parser.add_argument("--evidence", type=Path)
    parser.add_argument("--fewest", type=int, default=32)
    options = parser.parse_args()
    started = time.perf_counter()
    tuner = [json.loads(line) for path in options.kernel_tuner for line in read_bytes(path).splitlines()]
    done: dict[str, list[Row]] = {}
    if options.folder:
        for by in ("gpu", "architecture"):
            if options.by in {by, "both"}:
                done[by] = list(held_out(options, by))
                show(f"one {by} held out", done[by], tuner, options.draws)
    if options.evidence:
        done["problem size"] = list(own_sweeps(options))
        show("one problem size held out", done["problem size"], [])
    if options.out:
        stated = {name: value for name, value in vars(options).items() if name not in {"out", "folder", "kernel_tuner"}}
        options.out.write_bytes(msgspec.json.encode({"options": stated, "held_out": done}, enc_hook=str) + b"\n")
    print(f"({time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    main()
