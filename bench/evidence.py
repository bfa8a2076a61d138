"""Judges a law by recorded runs and writes what each says into the law file, with the status that gives.

    python -m bench.evidence laws/sm_90/fmha/LAW.yaml --on 'measured-h200-fmha-.*-latency'
    python -m bench.evidence --found RUN --found RUN --on 'measured-h200-fmha-.*'

A run named by `--found` is one in which the law was found: it may suggest the law, never confirm it. The numbers come
from the same judgement that searches use (`spak.kg.evidence.judge`), one evidence entry for each run and problem size.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from spak.kg.errors import KgError
from spak.kg.evidence import judge as judging
from spak.kg.evidence.table import from_runs
from spak.kg.files.atomic import write
from spak.kg.files.edit import LawFile
from spak.kg.files.loader import EVIDENCE, Laws, completed_run, load, read_run, run_id
from spak.kg.law.status import standing, status
from spak.kg.model.base import Scalar
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.law import Evidence, Law
from spak.kg.model.run import Run
from spak.tuner.learn.mining.candidates import Topic, mine
from spak.tuner.learn.writeback import law_text

MINED = "mined from the runs that suggest it, together; sweeps, which list no candidates"
"""Origin of a law that `mine_into` writes."""


def entries(law: Law, run: Run, facts: Mapping[str, Scalar], *, found: bool) -> Iterator[Evidence]:
    """What `run` says of `law`: an entry for each problem size measured, or one for all that were compiled."""
    table = from_runs([run])
    parts = [table.only([row]) for row in range(len(table.problems))] if run.tier == "measured" else [table]
    for said in (judging.judge(law, part, facts, min_problems=1) for part in parts):
        if not said.problems:
            continue
        yield Evidence(
            run=run.id,
            verdict=said.verdict,
            tier=run.tier,
            role="suggested" if found else "independent",
            effect=said.effect,
            interval=said.interval,
            problems=said.problems,
            toolchain=f"tileiras {run.toolchain['tileiras']}",
            occasion=run.occasion,
        )


def judge(root: Laws, runs: Sequence[Run], arguments: argparse.Namespace) -> None:
    """Add what `runs` say to the law files named on the command line."""
    for path in arguments.law:
        file = LawFile.read(path)
        for run in runs:
            if run.op == file.law.scope.op:
                for entry in entries(file.law, run, hardware_facts(root, run.hw), found=run.id in arguments.found):
                    file.append_evidence(entry)
        file.save()
        print(f"{path}: {standing(file.law).status}, {standing(file.law).reason}")


def mine_into(root: Laws, runs: Sequence[Run], arguments: argparse.Namespace) -> None:
    """Mine the found runs together, judge each candidate by every run, and write those the others decide."""
    found = [run for run in runs if run.id in arguments.found]
    op, facts = root.ops[found[0].op], hardware_facts(root, found[0].hw)
    subject = replace(Topic.of(op, arguments.scope, found[0].id), toolchain=arguments.toolchain)
    for law in mine(from_runs(found), subject):
        judged = [entry for run in runs for entry in entries(law, run, facts, found=run.id in arguments.found)]
        said = msgspec.structs.replace(law, origin=MINED, evidence=tuple(judged))
        grown = msgspec.structs.replace(said, status=status(said))
        print(f"{grown.id}: {standing(grown).status}, {standing(grown).reason}")
        if grown.status != "proposed":
            path = arguments.laws / arguments.scope / op.id / f"{grown.id}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, law_text(grown).encode())


def pattern(text: str) -> re.Pattern[str]:
    """`text` as a regular expression.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"no regular expression: {error}") from None


def main(argv: Sequence[str] | None = None) -> int:
    """Judge laws, or mine new ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("law", type=Path, nargs="*", help="law files to judge; none: mine new ones from the found runs")
    parser.add_argument("--laws", type=Path, default=Path("laws"))
    parser.add_argument("--found", action="append", default=[], help="run in which the laws were found")
    parser.add_argument("--on", type=pattern, default=".*", help="regular expression over run ids")
    parser.add_argument("--scope", default="sm_90", help="hardware that mined laws are about")
    parser.add_argument("--toolchain", default="tileiras >=13.4,<14", help="toolchain that mined laws are about")
    arguments = parser.parse_args(argv)
    if not arguments.law and not arguments.found:
        parser.error("name law files to judge, or with --found the runs to mine new laws from")
    root = load(arguments.laws)
    paths = {run_id(path.name): path for path in sorted((arguments.laws / EVIDENCE).glob("*.json*"))}
    unknown = sorted(set(arguments.found) - paths.keys())
    if unknown:
        parser.error(f"--found {unknown[0]}: no such run in {arguments.laws / EVIDENCE}")
    wanted = [path for name, path in paths.items() if arguments.on.fullmatch(name) or name in arguments.found]
    found = (completed_run(run, root.ops.get(run.op)) for run in map(read_run, wanted))
    runs = sorted(found, key=lambda run: run.id not in arguments.found)
    (judge if arguments.law else mine_into)(root, runs, arguments)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KgError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
