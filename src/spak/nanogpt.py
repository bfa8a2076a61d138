"""`python -m spak.nanogpt train`: a GPT trained by kernels that laws and recorded runs choose; see `docs/nanogpt-training.md`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from spak.gpt_operators import operators_by_laws
from spak.kernels.command_line import BAD_INPUT, to_people
from spak.kernels.nanogpt.command import run_command
from spak.kernels.nanogpt.parallel import worker_of
from spak.kernels.nanogpt.surroundings import TrainingSurroundings
from spak.kg.errors import KgError
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.taxonomy import Taxonomy
from spak.library import load
from spak.tuner.report.bounds import Roofs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; see `run_command`."""
    try:
        worker = worker_of(os.environ)
    except ValueError as error:
        to_people(f"error: {error}")
        return BAD_INPUT
    surroundings = TrainingSurroundings(operators_by_laws(load()), peak_tflops, worker=worker)
    return run_command(arguments, "python -m spak.nanogpt", surroundings)


def peak_tflops(gpu: str) -> float | None:
    """Dense tensor-core peak for fp16 and bf16 that the hardware node of this name states; None: none is known."""
    laws = load().laws
    try:
        hardware = Taxonomy("hardware", laws.hardware).resolve(gpu)
    except KgError:
        return None
    roofs = Roofs.of(hardware_facts(laws, hardware))
    return roofs.tflops if roofs else None


if __name__ == "__main__":
    sys.exit(main())
