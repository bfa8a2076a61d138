"""Writes the tables of docs/cold-gpu.md and the README's plot from what bench/cold_gpu.py kept; no number is typed by hand.

python -m bench.cold_tables
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from bench.cold_drawing import Floats, Line, Panel, svg
from bench.cold_gpu import ARMS, TRIALS, ColdResult, SweepFacts
from bench.cold_live import LiveResult, LiveSearch
from bench.gpu_tables import table

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "cold-gpu.md"
PLOT = ROOT / "docs" / "cold-gpu.svg"
QUARTILES = (0.5, 0.25, 0.75)
FILES = ("cold-h100.json", "cold-backward-h100.json", "cold-h200.json")
"""Results with a table; those on the first one's GPU are drawn."""
LIVE_TRIALS = (10, 20, 40)
LIVE_HEADER = ["known", "seed", *(f"after {k}, us" for k in LIVE_TRIALS), "the bests side by side, us", "seconds"]
BY_SIZE = ("both", "sizes", "laws", "nothing")
"""Arms shown size by size."""
DRAWN = {"both": True, "sizes": False, "laws": False, "nothing": True}
"""Arms of the plot, and whether the middle half of their searches is shown too."""


def ratios(result: ColdResult, arm: str, sweeps: Sequence[str]) -> Floats:
    """(searches, trials) best so far over the sweep's best after 1..80 trials; infinite where nothing ran yet."""
    chosen = [course for course in result.courses if course.arm == arm and course.sweep in sweeps]
    found = np.full((len(chosen), max(TRIALS)), np.inf)
    for row, course in zip(found, chosen, strict=True):
        for place, ratio in course.steps:
            row[place - 1 :] = ratio
    return found


def at_random(sweeps: Sequence[SweepFacts], trials: int, share: float) -> float:
    """The ratio that `share` of all random searches of `trials` trials stay within, exactly, each sweep as often as another.

    The best of k of N drawn without repetition is not among the i best with chance C(N - i, k) / C(N, k).
    """
    steps = sorted({ratio for sweep in sweeps for ratio in sweep.ratios})
    within = np.mean([_reached(sweep, steps, trials) for sweep in sweeps], axis=0)
    enough = np.flatnonzero(within >= share - 1e-12)
    return steps[enough[0]] if len(enough) else float("inf")


def _reached(sweep: SweepFacts, steps: Sequence[float], trials: int) -> Floats:
    """(steps,) chance that the best of so many random trials of one sweep is within each of `steps`."""
    total = sweep.configurations
    good = np.searchsorted(np.array(sweep.ratios), steps, side="right")  # (steps,) how many are
    missed = np.ones(len(steps))
    for drawn in range(trials):
        missed *= np.maximum(total - good - drawn, 0) / (total - drawn)
    return np.asarray(1.0 - missed)


def exact(sweeps: Sequence[SweepFacts]) -> Floats:
    """(3, trials) median and quartiles of random search after 1..80 trials."""
    return np.array([[at_random(sweeps, k, share) for k in range(1, max(TRIALS) + 1)] for share in QUARTILES])


def quartiles(found: Floats) -> Floats:
    """(3, trials) median and quartiles over the searches; each is one that was seen."""
    return np.quantile(found, QUARTILES, axis=0, method="inverted_cdf")


def groups(result: ColdResult) -> dict[str, list[str]]:
    """Op -> its sweeps."""
    found: dict[str, list[str]] = {}
    for name, sweep in result.sweeps.items():
        found.setdefault(sweep.op, []).append(name)
    return found


def cells(three: Floats) -> list[str]:
    """Median and quartiles after each of `TRIALS`."""
    return [f"{_ratio(m)} ({_ratio(a)} to {_ratio(b)})" for m, a, b in three[:, [k - 1 for k in TRIALS]].T]


def _ratio(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"


def titled(result: ColdResult, arm: str) -> str:
    return ARMS[arm].title.format(source=result.source.upper())


def worth(result: ColdResult, sweeps: Sequence[str]) -> list[str]:
    """What each way to search comes to."""
    rows = [[titled(result, arm), *cells(quartiles(ratios(result, arm, sweeps)))] for arm in ARMS]
    rows.append(["random, exactly", *cells(exact([result.sweeps[name] for name in sweeps]))])
    return table(["known", *(f"after {k}" for k in TRIALS)], rows)


def by_size(result: ColdResult, sweeps: Sequence[str], arms: Sequence[str]) -> list[str]:
    """Medians over the seeds at every size."""
    header = ["size", "configurations", "best, us", "default", *(titled(result, arm) for arm in arms)]
    rows = []
    for name in sweeps:
        sweep = result.sweeps[name]
        found = [np.median(ratios(result, arm, [name]), axis=0) for arm in arms]
        shown = [" / ".join(_ratio(row[k - 1]) for k in TRIALS) for row in found]
        default = _ratio(sweep.default) if sweep.default else "-"
        rows.append([sweep.problem, str(sweep.configurations), f"{sweep.best_us:.1f}", default, *shown])
    return table(header, rows)


def panel(result: ColdResult, title: str, sweeps: Sequence[str]) -> Panel:
    """One op's lines."""
    drawn = {arm: quartiles(ratios(result, arm, sweeps)) for arm in DRAWN}
    return Panel(title, [Line(titled(result, arm), *three, band=DRAWN[arm]) for arm, three in drawn.items()])


def page(results: Sequence[ColdResult]) -> str:
    """Every table, under a heading each."""
    parts = []
    for result in results:
        for op, names in groups(result).items():
            source, target = result.source.upper(), result.target.upper()
            parts += [
                f"### {op}: {len(names)} sizes on an {target}, knowing an {source}",
                "",
                *worth(result, names),
                "",
            ]
            parts += ["Medians over the seeds after " + ", ".join(map(str, TRIALS)) + " trials, size by size:", ""]
            parts += [*by_size(result, names, BY_SIZE), ""]
    return "\n".join(parts)


def live_page(results: Sequence[LiveResult]) -> str:
    """The live searches, one line each, under what they were made on."""
    parts = []
    for result in results:
        parts += [
            f"{result.op} {result.problem} on an {result.device.upper()}, {result.trials} trials, {result.created[:10]}:",
            "",
            *table(LIVE_HEADER, [_live_row(result, one) for one in result.searches]),
            "",
        ]
    return "\n".join(parts)


def _live_row(result: LiveResult, one: LiveSearch) -> list[str]:
    bests = [min((us for place, us in one.steps if place <= k), default=None) for k in LIVE_TRIALS]
    known = ARMS[one.arm].title.format(source=result.source.upper())
    times = ["-" if us is None else f"{us:.1f}" for us in (*bests, one.again_us)]
    return [known, str(one.seed), *times, f"{one.elapsed_s:.0f}"]


def between(text: str, name: str, content: str) -> str:
    """`text` with `content` between the marks of that name."""
    head, foot = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, _, rest = text.partition(head)
    return before + head + content + foot + rest.partition(foot)[2]


def plotted(results: Sequence[ColdResult]) -> str:
    """The README's plot: every op on the GPU of the first result."""
    panels = [
        panel(result, f"{op}, {len(names)} sizes: slower than the best by", names)
        for result in results
        if result.target == results[0].target
        for op, names in groups(result).items()
    ]
    target = results[0].target.upper()
    return svg(panels, f"Searches on an {target}: the best so far, in percent slower than the fastest of the sweep.")


def kept() -> tuple[list[ColdResult], list[LiveResult]]:
    """Every result that is there: replayed searches, and live ones."""
    replayed = [path for name in FILES if (path := RESULTS / name).exists()]
    live = sorted(RESULTS.glob("cold-live-*.json"))
    return (
        [msgspec.json.decode(path.read_bytes(), type=ColdResult) for path in replayed],
        [msgspec.json.decode(path.read_bytes(), type=LiveResult) for path in live],
    )


def written(text: str) -> str:
    """The page with its tables."""
    replayed, live = kept()
    return between(between(text, "tables", page(replayed)), "live", live_page(live))


def main() -> int:
    """Write page and plot."""
    PAGE.write_text(written(PAGE.read_text()))
    PLOT.write_text(plotted(kept()[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
