"""The predicted time held to what `bench.attention_sitting` measured: does it order the configurations of a size as their times are?

    python -m bench.predict_tables fmha bench/results/attention-h200.json [--hw h200] [--laws DIR] [--cache DIR]

Compiles every configuration that the table timed on standard normal inputs. Prints for each size the configuration that the model would have
chosen against the fastest, and how many pairs whose 95 % intervals do not overlap it orders as measured. These are few and good
configurations, so this says more of fine differences than of a search.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from bench.predict import Case
from spak.kernels.registry import spec
from spak.kg.files.loader import Laws, load
from spak.kg.model.hardware import hardware_facts
from spak.kg.space.completion import complete
from spak.tuner.backend.base import Request
from spak.tuner.backend.compile.backend import CompileBackend, open_task
from spak.tuner.backend.registry import Task
from spak.tuner.knowledge.predict import PredictedMachine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("op")
    parser.add_argument("table", type=Path)
    parser.add_argument("--hw", default="h200")
    parser.add_argument("--laws", type=Path, default=Path("laws"))
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/spak").expanduser())
    options = parser.parse_args()
    laws = load(options.laws)
    task = Task(options.hw, laws.ops[options.op], hardware_facts(laws, options.hw), options.cache, os.cpu_count() or 1)
    backend = open_task(task)
    try:
        cases = list(cases_of_table(laws, task, backend, json.loads(options.table.read_text())))
    finally:
        backend.close()
    right = total = 0
    for case in cases:
        predicted = case.predicted()
        good, judged = pairs(case, predicted)
        right, total = right + good, total + judged
        first = case.times[predicted.argmin()] / case.times.min()
        print(f"{case.name:28} {len(case.times):3} configurations, first choice {first:.3f}x, pairs {good} of {judged}")
    print(f"pairs ordered as measured: {right} of {total}, {len(cases)} sizes")


def cases_of_table(laws: Laws, task: Task, backend: CompileBackend, table: Mapping[str, Any]) -> Iterator[Case]:
    """Each size of the table with the configurations that it timed on standard normal inputs, each once."""
    machine, kernel, op = PredictedMachine.of(hardware_facts(laws, task.hw)), spec(task.op.id), task.op
    for row in table["rows"]:
        if row["inputs"] != "normal":
            continue
        problem = complete(op, row["problem"])
        timed = [one for one in row["contestants"].values() if one["configuration"]]
        own = {json.dumps(full := with_defaults(task, one), sort_keys=True): (full, one) for one in timed}
        chosen = [full for full, _ in own.values()]
        times = [one for _, one in own.values()]
        found = backend.features([Request(configuration, problem, "") for configuration in chosen])
        yield Case(
            name=row["size"],
            op=op.id,
            sweep=False,
            machine=machine,
            times=np.array([one["time_us"] for one in times]),
            works=[kernel.work(problem, configuration) for configuration in chosen],
            features=[features for features in found if features],
            missing=sum(features is None for features in found),
            configurations=chosen,
            lows=np.array([one["low_us"] for one in times]),
            highs=np.array([one["high_us"] for one in times]),
        )


def with_defaults(task: Task, timed: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration, with the defaults of parameters that the op did not have yet."""
    return {**{name: parameter.default for name, parameter in task.op.parameters.items()}, **timed["configuration"]}


def pairs(case: Case, predicted: Sequence[float] | np.ndarray) -> tuple[int, int]:
    """(ordered as measured, judged) of the pairs whose measured times differ by more than their intervals."""
    apart = [
        (fast, slow)
        for one, other in combinations(range(len(case.times)), 2)
        for fast, slow in [sorted((one, other), key=lambda index: case.times[index])]
        if case.highs[fast] < case.lows[slow]
    ]
    return sum(predicted[fast] < predicted[slow] for fast, slow in apart), len(apart)


if __name__ == "__main__":
    main()
