"""Executes the checks that invariants about numbers name: configurations that keep them and that break them, at fresh sizes.

Nothing is timed and no GPU is asked. A check runs in a process of its own, with a time limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from spak.kg.errors import InvalidFilesError
from spak.kg.files.loader import Laws
from spak.kg.law.kinds import meaning
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.law import Law
from spak.kg.model.op import Op
from spak.kg.model.run import CONFIRM, Run, Trial
from spak.kg.space.completion import complete
from spak.kg.space.space import build
from spak.tuner.backend.base import Request
from spak.tuner.backend.check import Checker
from spak.tuner.chance import Purpose, stream
from spak.tuner.engine import record
from spak.tuner.engine.session import SearchTask
from spak.tuner.errors import TunerError

MOST_CONFIGURATIONS = 16
"""Of an op's space; where it has more they are drawn at random. A check that runs a kernel takes 30 ms for one."""


def executed(named: Iterable[Law], laws: Laws, seed: int, now: datetime) -> Mapping[str, Run]:
    """Law -> run of the check that it names, for each of `named` that names one; laws of one check share its trials.

    Raises:
        InvalidFilesError: If a law names a check that there is not, or that is about an op which the root lacks.
    """
    trials: dict[str, tuple[Trial, ...]] = {}
    runs = {}
    for law in named:
        name = meaning(law).check
        if name:
            checker, op = _checker(law, laws, seed)
            if name not in trials:
                trials[name] = tuple(checker.execute(_requests(checker, op)))
            run = msgspec.structs.replace(_frame(law, laws, checker, now), trials=trials[name])
            runs[law.id] = msgspec.structs.replace(run, reproduce=f"kg verify {law.id} --probe --seed {seed}")
    return runs


def _checker(law: Law, laws: Laws, seed: int) -> tuple[Checker, Op]:
    drawn = int(stream(seed, Purpose.REPETITION).integers(2**31))
    try:
        checker = Checker(meaning(law).check, drawn)
    except TunerError as error:
        raise _refused(law, laws, str(error)) from None
    if checker.check.op not in laws.ops:
        raise _refused(law, laws, f"the check is about op {checker.check.op}, which this law root lacks")
    return checker, laws.ops[checker.check.op]


def _refused(law: Law, laws: Laws, message: str) -> InvalidFilesError:
    return InvalidFilesError([laws.document("law", law.id).problem("claim.check", message)])


def _requests(checker: Checker, op: Op) -> list[Request]:
    """Every configuration of the op, as far as they are not too many, at every size that the check draws."""
    requests = []
    for size in checker.sizes:
        problem = complete(op, size)
        space = build(op, problem, {})
        places = stream(checker.seed, Purpose.REPETITION, 1).permutation(len(space))[:MOST_CONFIGURATIONS]
        requests += [Request(space.config(int(place)), problem, CONFIRM) for place in sorted(places)]
    return requests


def _frame(law: Law, laws: Laws, checker: Checker, now: datetime) -> Run:
    """The run file before its trials."""
    op = laws.ops[checker.check.op]
    task = SearchTask(law.scope.hw, op, {}, f"verify-{law.id}", hardware_facts(laws, law.scope.hw))
    run = record.frame(task, "", checker.provenance, now)
    return msgspec.structs.replace(run, flop_rule="", check=checker.name, kernel=checker.kernel, seed=checker.seed)
