"""What the compiler makes of the gradients' passes that lead on an H200: nothing of them leaves registers."""

from __future__ import annotations

import io
from typing import Any

import pytest

pytest.importorskip("cuda.tile", reason="needs cuda-tile")

from spak.kernels.attention.backward.spec import SPEC
from spak.tuner.backend.compile.features import of_cubin
from tests.kernels.backward_cases import DEFAULTS, OP

BEGUN: dict[str, Any] = {"tile_m": 128, "tile_n": 128, "accumulator_init": "delta-and-lse"}
TWO_LOADS: dict[str, Any] = {"accumulator_init": "delta", "q_loads": 2, "epilogue_subtiles": 4}


def spill_bytes(size: str, changes: dict[str, Any]) -> float:
    """Of the pass over keys, a thread, on sm_90."""
    from cuda.tile.compilation import export_kernel

    job, *_ = SPEC.compile_jobs(OP["problems"][size], {**DEFAULTS, **changes})
    code = io.BytesIO()
    export_kernel(job.kernel, [job.signature], code, gpu_code="sm_90", output_format="cubin")
    return of_cubin(code.getvalue(), job.symbol)["spill_bytes"]


@pytest.mark.compiler
@pytest.mark.parametrize(("size", "changes"), [("d64-s4096-causal", BEGUN), ("d128-s4096-causal", TWO_LOADS)])
def test_nothing_spills(size: str, changes: dict[str, Any]) -> None:
    """With the tiles and worker warps that the op's conditions let through."""
    assert spill_bytes(size, changes) == 0


@pytest.mark.compiler
def test_a_tile_that_the_conditions_refuse_spills() -> None:
    """So that 0 above is a measurement: four worker warps for 64 x 128 of 128 channels."""
    assert spill_bytes("d128-s4096-full", {"num_worker_warps": 4}) > 0
