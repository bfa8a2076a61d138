"""Judges a law by recorded runs and writes what each says into the law file, with the status that gives.

    python -m bench.evidence laws/sm_90/fmha/LAW.yaml --found RUN --on 'measured-h200-fmha-.*'

A run named by `--found` is one in which the law was found: it may suggest the law, never confirm it. The numbers come
from the same judgement that searches use (`tuner.confirm.judge`), one evidence entry for each run and problem size.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from kg.errors import KgError
from kg.loader import EVIDENCE, load, read_run
from kg.match import hardware_facts
from kg.model.base import Scalar
from kg.model.law import Evidence, Law
from kg.model.run import Run
from kg.status import standing
from kg.writeback.edit import LawFile
from tuner.confirm.judge import judge_each
from tuner.mining.table import from_runs


def entries(law: Law, run: Run, facts: Mapping[str, Scalar], *, found: bool) -> Iterator[Evidence]:
    """What `run` says of `law`, an entry for each problem size."""
    for said in judge_each(law, from_runs([run]), facts):
        yield Evidence(
            run=run.id,
            verdict=said.verdict,
            tier=run.tier,
            role="suggested" if found else "independent",
            effect=said.effect,
            interval=said.interval,
            problems=said.problems,
            toolchain=f"tileiras {run.toolchain['tileiras']}",
        )


def main() -> int:
    """Judge the laws named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("law", type=Path, nargs="+", help="law files")
    parser.add_argument("--laws", type=Path, default=Path("laws"))
    parser.add_argument("--found", action="append", default=[], help="run in which the laws were found")
    parser.add_argument("--on", default=".*", help="regular expression over run ids")
    arguments = parser.parse_args()
    root = load(arguments.laws)
    paths = sorted((arguments.laws / EVIDENCE).glob("*.json"))
    wanted = [path for path in paths if re.fullmatch(arguments.on, path.stem) or path.stem in arguments.found]
    runs = [read_run(path) for path in wanted]
    runs.sort(key=lambda run: run.id not in arguments.found)
    for path in arguments.law:
        file = LawFile.read(path)
        for run in runs:
            if run.op == file.law.scope.op and run.tier in {"measured", "compiled"}:
                for entry in entries(file.law, run, hardware_facts(root, run.hw), found=run.id in arguments.found):
                    file.append_evidence(entry)
        file.save()
        print(f"{path}: {standing(file.law).status}, {standing(file.law).reason}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KgError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
