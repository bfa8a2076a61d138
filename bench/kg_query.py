"""How long `kg query` takes: start-up, 10,000 laws cold and warm, and the same facts in rdflib with SPARQL.

    python -m bench.kg_query [--laws 10000] [--repeats 9]

Whole processes are timed, medians and the range are printed. rdflib is needed for the comparison only (pip install rdflib).
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.generate_laws import generate

ROOT = Path(__file__).parents[1]
QUERY = ("-m", "spak.cli.kg", "query", "--hw", "rtx5070", "--op", "attention")
BASELINE = "import typer, networkx"


@dataclass(frozen=True)
class Timing:
    """Seconds of repeated whole processes."""

    name: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    def row(self) -> str:
        """One line of the table."""
        return f"{self.name:<58} {self.median:7.3f} {min(self.seconds):7.3f} {max(self.seconds):7.3f}"


def run(name: str, command: tuple[str, ...], repeats: int, *, cache: Path, before: object = None) -> Timing:
    """Time `command`; `before` runs untimed ahead of each repeat. The exit code must be 0."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "XDG_CACHE_HOME": str(cache)}
    seconds = []
    for _ in range(repeats):
        if callable(before):
            before()
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return Timing(name, tuple(seconds))


def measure(num_laws: int, repeats: int) -> list[Timing]:
    with tempfile.TemporaryDirectory() as folder:
        cache, many, turtle = Path(folder, "cache"), Path(folder, "laws"), Path(folder, "laws.ttl")
        generate(ROOT / "laws", many, num_laws)
        forget = lambda: shutil.rmtree(cache, ignore_errors=True)  # noqa: E731
        big = (*QUERY[:2], "--laws", str(many), *QUERY[2:])
        warm_up = (*big, "--format", "json")
        rows = [
            run("interpreter importing typer and networkx", ("-c", BASELINE), repeats, cache=cache),
            run("kg query, shipped laws, no cache", QUERY, repeats, cache=cache, before=forget),
            run("kg query, shipped laws, cached", QUERY, repeats, cache=cache),
            run(f"kg query, {num_laws} laws, no cache", big, 3, cache=cache, before=forget),
        ]
        run("warm", warm_up, 1, cache=cache)
        time.sleep(2.1)  # files younger than two seconds are compared by content; users' laws are older
        run("warm", warm_up, 1, cache=cache)
        rows.append(run(f"kg query, {num_laws} laws, cached", big, repeats, cache=cache))
        rows += rdf_rows(many, turtle, num_laws, cache)
    return rows


def rdf_rows(laws: Path, turtle: Path, num_laws: int, cache: Path) -> list[Timing]:
    try:
        import rdflib  # noqa: F401
    except ImportError:
        print("rdflib is not installed: no comparison", file=sys.stderr)
        return []
    run("write", ("-m", "bench.rdf_query", "write", str(laws), str(turtle)), 1, cache=cache)
    ask = ("-m", "bench.rdf_query", "ask", str(turtle), "rtx5070", "attention")
    return [run(f"rdflib, the same {num_laws} laws as Turtle, SPARQL", ask, 3, cache=cache)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--laws", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    rows = measure(arguments.laws, arguments.repeats)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
    print(f"{'whole process, seconds':<58} {'median':>7} {'min':>7} {'max':>7}")
    for row in rows:
        print(row.row())
    print(f"kg query (cached) / baseline: {rows[2].median / rows[0].median:.2f}")


if __name__ == "__main__":
    main()
