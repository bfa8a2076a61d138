"""Makes the new trials of `kg verify`: meets the compiler or the GPU, the clock and the disk."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from spak.cli.app import Globals
from spak.cli.roots import cache_directory, open_root
from spak.kg.files.loader import EVIDENCE
from spak.kg.law.match import Matcher, Question
from spak.kg.model.run import Kernel, Run
from spak.kg.model.taxonomy import Taxonomy
from spak.tuner import verify
from spak.tuner.backend.registry import BACKENDS, Task, choose, wants_device
from spak.tuner.backend.source import source_of
from spak.tuner.engine import record, session
from spak.tuner.errors import TunerError
from spak.tuner.learn import writeback

if TYPE_CHECKING:
    from spak.kg.files.loader import Laws
    from spak.kg.model.law import Law
    from spak.kg.model.run import Trial
    from spak.tuner.backend.base import Backend
    from spak.tuner.learn.writeback import Change


@dataclass(frozen=True)
class Options:
    """The command line of a verification that makes new trials.

    Attributes:
        hw: Empty: the law's own hardware, or the GPU that is found.
        num_problems: Most problem sizes.
        write: Whether the run file and its evidence are written.
    """

    backend: str
    hw: str
    num_problems: int
    seed: int
    write: bool


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        found: The verification.
        changes: Law files changed, or without writing those that would be.
    """

    found: verify.Verification
    changes: tuple[Change, ...]


def repeat(state: Globals, laws: Laws, law: Law, options: Options) -> Outcome:
    """Try configurations that `law` names and others, judge it by them, and write what they say.

    Raises:
        KgError: For unknown names, or a root that cannot be written.
        TunerError: If the backend cannot tell, is missing, or there is nothing to try.
    """
    root = open_root(state)
    if options.write:
        root.require_writable()
    verify.check_tier(law, BACKENDS[options.backend].tier)
    question = _question(laws, law, options)
    test = verify.Experiment(law, question.op, question.facts, options.seed, options.num_problems)
    backend = open_backend(question, options)
    try:
        trials = verify.trials(test, laws, backend)
        run = _run(question, backend, (law, options), trials)
    finally:
        backend.close()
    changes = writeback.changes(run, laws)
    if options.write:
        print(f"run file: {record.write(run, root.path / EVIDENCE)}", file=sys.stderr)  # noqa: T201 - progress
        writeback.apply(changes)
    return Outcome(verify.verified(law, run, laws), changes)


def _question(laws: Laws, law: Law, options: Options) -> session.Question:
    """Where the experiment is made: hardware and op as the law has them, unless another is named.

    Raises:
        TunerError: If the law does not speak of that hardware.
    """
    hw = options.hw or (_device(options.backend) or _compiled_for(laws, law.scope.hw))
    question = session.ask(laws, law.scope.op, hw, "")
    found = Matcher(laws, Question(question.hw, question.op.id)).match(law)
    if found is None or found.hw == "transferred":
        raise TunerError(f"{law.id}: speaks of {law.scope.hw}, and {question.hw} is none; name another with --hw")
    return question


def _compiled_for(laws: Laws, hw: str) -> str:
    """A device that `hw` is or is a kind of, the usual one if it is among them; `hw` if none is known."""
    below = Taxonomy("hardware", laws.hardware).descendants(hw)
    devices = sorted(node for node in (hw, *below) if laws.hardware[node].kind == "device")
    return session.DEFAULT_HW if session.DEFAULT_HW in devices else next(iter(devices), hw)


def _device(backend: str) -> str:
    """The device that `backend` runs on; empty if it needs none."""
    from spak.tuner.backend.gpu.detect import detect

    gpu = detect() if wants_device(backend) else None
    choose(backend, has_device=gpu is not None)
    return gpu.name if gpu is not None else ""


def open_backend(question: session.Question, options: Options) -> Backend:
    """What evaluates.

    Raises:
        TunerError: If the compiler is missing, or the hardware is nothing to compile for.
    """
    workers = os.cpu_count() or 1
    task = Task(question.hw, question.op, question.facts, cache_directory(), workers, options.seed)
    return BACKENDS[options.backend].open(task)


def _run(question: session.Question, backend: Backend, about: tuple[Law, Options], trials: tuple[Trial, ...]) -> Run:
    """The experiment as a run file."""
    (law, options), provenance, now = about, backend.provenance(), datetime.now(UTC)
    source = source_of(question.op.id)
    subject = record.Subject(question.hw, question.op.id, {}, f"verify-{law.id}", source)
    return Run(
        id=record.run_id(provenance.tier, subject, now),
        tier=provenance.tier,  # type: ignore[arg-type]
        created=now.isoformat(),
        hw=question.hw,
        op=question.op.id,
        toolchain=provenance.toolchain,
        device=provenance.device,
        kernel=Kernel(name=question.op.id, source_sha256=source),
        noise=provenance.noise,
        seed=options.seed,
        reproduce=f"kg verify {law.id} --backend {options.backend} --hw {question.hw} --problems {options.num_problems}"
        f" --seed {options.seed}",
        trials=trials,
    )
