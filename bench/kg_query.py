"""How long `kg` takes over many laws with their evidence: check, query, why, explain, the opening of a search.

    python -m bench.kg_query [--laws 10000] [--root DIR] [--repeats 7] [--slow-repeats 3] [--rdf]

Whole processes are timed, their start included; the machine, its load and a table are printed. From 6 repeats on, least
to most holds the median with more than 95 %. Where other work shares the cores, look at the processor time.
`--root`: a root that bench.generate_laws made; else one is made. `--rdf` compares with rdflib (pip install rdflib).
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.generate_laws import generate

ROOT = Path(__file__).parents[1]
KG = ("-m", "spak.cli.kg")
QUERY = ("query", "--hw", "rtx5070", "--op", "attention")
WHY = ("why", "fmha", "--hw", "rtx5070", "--config", "tile_m=128,tile_n=128,occupancy=2")
OPENING = (
    "-m",
    "bench.search_opening",
    "--kernel",
    "matmul",
    "--hw",
    "h200",
    "--problem",
    "m4096",
    "--strategy",
    "random",
)
BASELINE = ("-c", "import typer, networkx")
YOUNG_SECONDS = 2.1
"""Files younger than two seconds are compared by content; users' laws are older."""


@dataclass(frozen=True)
class Timing:
    """Repeated whole processes.

    Attributes:
        seconds: Of each, by the clock.
        busy: Seconds of processor time of each.
    """

    name: str
    seconds: tuple[float, ...]
    busy: tuple[float, ...]

    def row(self) -> str:
        """One line of the table."""
        wall = f"{statistics.median(self.seconds):7.2f} {min(self.seconds):7.2f} {max(self.seconds):7.2f}"
        return f"{self.name:<52} {wall} {statistics.median(self.busy):9.2f} {len(self.seconds):8}"


@dataclass(frozen=True)
class Bench:
    """Where processes run.

    Attributes:
        cache: Their cache directory.
    """

    cache: Path

    def run(
        self, name: str, command: tuple[str, ...], repeats: int, before: Callable[[], object] = lambda: None
    ) -> Timing:
        """Time `command`; `before` runs untimed ahead of each repeat. The exit code must be 0."""
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "XDG_CACHE_HOME": str(self.cache)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        seconds, busy = [], []
        for _ in range(repeats):
            before()
            start, spent = time.perf_counter(), _children()
            subprocess.run([sys.executable, *command], check=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - start)
            busy.append(_children() - spent)
        print(f"  {name}: {statistics.median(seconds):.2f} s", file=sys.stderr)
        return Timing(name, tuple(seconds), tuple(busy))

    def forget(self) -> None:
        """Nothing is cached."""
        shutil.rmtree(self.cache, ignore_errors=True)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(bench: Bench, root: Path, repeats: int, slow: int) -> list[Timing]:
    """The table's rows: the shipped laws, then those at `root`."""
    shipped, many = KG, (*KG, "--laws", str(root))
    edited = min(root.rglob("generated-*.yaml"))
    law, text, number = edited.stem, edited.read_text(), itertools.count()
    rename = lambda: edited.write_text(text.replace("title: ", f"title: {next(number)} ", 1))  # noqa: E731
    rows = [
        bench.run("interpreter importing typer and networkx", BASELINE, repeats),
        bench.run("kg query, shipped laws, no cache", (*shipped, *QUERY), slow, bench.forget),
        bench.run("kg query, shipped laws", (*shipped, *QUERY), repeats),
        bench.run("kg check, shipped laws, no cache", (*shipped, "check"), slow, bench.forget),
        bench.run("kg check, shipped laws", (*shipped, "check"), repeats),
        bench.run("kg query, no cache", (*many, *QUERY), slow, bench.forget),
        bench.run("kg check, no cache", (*many, "check"), slow, bench.forget),
    ]
    time.sleep(YOUNG_SECONDS)
    bench.run("warm-up", (*many, "check"), 1)
    rows += [
        bench.run("kg check", (*many, "check"), repeats),
        bench.run("kg query", (*many, *QUERY), repeats),
        bench.run("kg query --format json", (*many, *QUERY, "--format", "json"), repeats),
        bench.run("kg why", (*many, *WHY), repeats),
        bench.run("kg explain", (*many, "explain", law), repeats),
        bench.run("opening of a search for matmul on h200", (*OPENING, "--laws", str(root)), slow),
        bench.run("kg check, one law edited", (*many, "check"), slow, rename),
    ]
    edited.write_text(text)
    return rows


def rdf_rows(bench: Bench, laws: Path, turtle: Path) -> list[Timing]:
    """The same facts in rdflib, asked with SPARQL."""
    bench.run("write", ("-m", "bench.rdf_query", "write", str(laws), str(turtle)), 1)
    ask = ("-m", "bench.rdf_query", "ask", str(turtle), "rtx5070", "attention")
    return [bench.run("rdflib, the same laws as Turtle, SPARQL", ask, 3)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--laws", type=int, default=10_000)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--slow-repeats", type=int, default=3)
    parser.add_argument("--rdf", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.root or Path(folder, "laws")
        if arguments.root is None:
            generate(ROOT / "laws", root, arguments.laws)
        bench = Bench(Path(folder, "cache"))
        load = os.getloadavg()[0]
        rows = measure(bench, root, arguments.repeats, arguments.slow_repeats)
        rows += rdf_rows(bench, root, Path(folder, "laws.ttl")) if arguments.rdf else []
    where = f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}"
    print(f"{where}; load average before {load:.1f}, after {os.getloadavg()[0]:.1f}")
    print(f"{'whole process, seconds':<52} {'median':>7} {'least':>7} {'most':>7} {'processor':>9} {'repeats':>8}")
    print("\n".join(row.row() for row in rows))


if __name__ == "__main__":
    main()
