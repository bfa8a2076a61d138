"""Makes the new trials of `kg verify`: meets the compiler or the GPU, the clock and the disk."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from spak.cli.app import Globals
from spak.cli.roots import cache_directory, open_root
from spak.kg.files.loader import EVIDENCE
from spak.kg.law.match import Matcher, Question
from spak.kg.model.run import Kernel, Run
from spak.kg.model.taxonomy import Taxonomy
from spak.tuner import verify
from spak.tuner.engine import record, session
from spak.tuner.errors import TunerError
from spak.tuner.learn import writeback

if TYPE_CHECKING:
    from spak.kg.files.loader import Laws
    from spak.kg.model.law import Law
    from spak.kg.model.run import Trial
    from spak.tuner.backend.base import Backend
    from spak.tuner.learn.writeback import Change

Backends = Literal["compile", "gpu"]


@dataclass(frozen=True)
class Options:
    """The command line of a verification that makes new trials.

    Attributes:
        hw: Empty: the law's own hardware, or the GPU that is found.
        num_problems: Most problem sizes.
        write: Whether the run file and its evidence are written.
    """

    backend: Backends
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
    verify.check_tier(law, "compiled" if options.backend == "compile" else "measured")
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
    hw = options.hw or (_device() if options.backend == "gpu" else _compiled_for(laws, law.scope.hw))
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


def _device() -> str:
    from spak.tuner.backend.gpu.detect import detect

    gpu = detect()
    if gpu is None:
        raise TunerError("--backend gpu: no NVIDIA GPU with a driver was found; use --backend compile or replay")
    return gpu.name


def open_backend(question: session.Question, options: Options) -> Backend:
    """What evaluates.

    Raises:
        TunerError: If the compiler is missing, or the hardware is nothing to compile for.
    """
    workers, folder = os.cpu_count() or 1, cache_directory()
    if options.backend == "compile":
        from spak.tuner.backend.compile import toolchain

        return session.compile_backend(question, toolchain.find(), session.Workplace(folder / "compile", workers))
    from spak.tuner.backend.gpu.backend import Method
    from spak.tuner.backend.gpu.open import Bench, open_gpu

    bench = Bench(question.op.id, str(question.facts["gpu_code"]), question.facts, folder / "cubins", workers)
    opened: Backend = open_gpu(bench, Method(seed=options.seed))
    return opened


def _run(question: session.Question, backend: Backend, about: tuple[Law, Options], trials: tuple[Trial, ...]) -> Run:
    """The experiment as a run file."""
    (law, options), provenance, now = about, backend.provenance(), datetime.now(UTC)
    _, _, source = session.kernel_spec(question.op.id)
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
