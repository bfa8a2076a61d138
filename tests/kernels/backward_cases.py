"""Awkward shapes of attention's gradients: one table for the simulator (here) and the GPU (tests/gpu)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml

from spak.kernels import sim
from spak.kernels.attention.backward.spec import SPEC, BackwardInputs, Gradients
from spak.kernels.cutile import DTYPES
from tests.kernels.attention_problem import AttentionProblem

OP = yaml.safe_load((Path(__file__).parents[2] / "laws/ops/fmha-backward.yaml").read_text())
DEFAULTS = {name: parameter["default"] for name, parameter in OP["parameters"].items()}
SMALL = {"tile_m": 32, "tile_n": 32, "num_worker_warps": 0, "dq_tile_m": 64, "dq_tile_n": 32, "dq_worker_warps": 0}
"""Tiles of which a small problem has several."""


@dataclass(frozen=True)
class BackwardCase(AttentionProblem):
    """A problem, how its inputs are drawn, and the settings that matter for being right."""

    settings: Mapping[str, Any] = field(default_factory=dict)

    def configuration(self, **changes: Any) -> dict[str, bool | int | float | str]:
        """As `KernelSpec` takes it, of small tiles."""
        return {**DEFAULTS, **SMALL, **self.settings, **changes}


CASES = (
    BackwardCase("exact tiles"),
    BackwardCase("tails of queries and keys", seq_q=77, seq_kv=101),
    BackwardCase("one query, three keys", seq_q=1, seq_kv=3),
    BackwardCase("one query, causal at the end", seq_q=1, seq_kv=130, q_offset=129, causal=True),
    BackwardCase("causal tails", seq_q=100, seq_kv=100, causal=True),
    BackwardCase("causal, more keys than queries", seq_q=40, seq_kv=110, q_offset=70, causal=True),
    BackwardCase("causal, keys that no row sees", seq_q=40, seq_kv=150, causal=True),
    BackwardCase("causal, rows that see no key", seq_q=70, seq_kv=40, q_offset=-35, causal=True),
    BackwardCase("causal, more queries than keys", seq_q=150, seq_kv=50, causal=True),
    BackwardCase("causal, an offset that no tile divides", seq_q=90, seq_kv=120, q_offset=17, causal=True),
    BackwardCase("tile_m under tile_n", seq_q=90, seq_kv=130, causal=True, settings={"tile_n": 128, "dq_tile_n": 128}),
    BackwardCase("tile_n under tile_m", seq_q=150, seq_kv=90, causal=True, settings={"tile_m": 128, "dq_tile_m": 128}),
    BackwardCase("GQA, 6 heads over 2", heads=6, kv_heads=2, seq_q=50, seq_kv=60, batch=2),
    BackwardCase("GQA, causal, staggered", heads=4, kv_heads=1, seq_q=130, seq_kv=130, settings={"stagger": True}),
    BackwardCase("staggered, more key than query tiles", seq_q=70, seq_kv=200, settings={"stagger": True}),
    BackwardCase("neighbours are heads", batch=2, heads=4, kv_heads=2, seq_q=70, settings={"heads_fastest": True}),
    BackwardCase("head_dim 16", head_dim=16, seq_q=50, seq_kv=50, causal=True),
    BackwardCase("head_dim 80, not a power of two", head_dim=80, seq_q=50, seq_kv=70),
    BackwardCase("head_dim 160, whose last channels no tile starts in", head_dim=160, seq_q=40, seq_kv=40),
    BackwardCase("head_dim 256", head_dim=256, seq_q=40, seq_kv=40, causal=True, dtype="bf16"),
    BackwardCase("bf16", seq_q=90, seq_kv=110, heads=2, kv_heads=1, dtype="bf16"),
    BackwardCase("without the tensor memory accelerator", seq_q=50, seq_kv=70, settings={"use_tma": False}),
    *(
        BackwardCase(f"{kind}, {dtype}", seq_q=130, seq_kv=130, head_dim=64, causal=True, inputs=kind, dtype=dtype)
        for kind in ("std-4", "std-6", "rising", "sink")
        for dtype in ("fp16", "bf16")
    ),
)

FORMS: Mapping[str, Mapping[str, Any]] = {
    "fused": {},
    "fused, queries first": {"scores": "queries-first"},
    "fused, dQ in rows": {"dq_sum": "rows"},
    "fused, sums that begin at delta": {"accumulator_init": "delta", "q_loads": 2, "epilogue_subtiles": 4},
    "fused, sums that begin at both, one loop": {"accumulator_init": "delta-and-lse", "masked_tiles": "inline"},
    "fused, queries first, sums that begin at both": {
        "scores": "queries-first",
        "accumulator_init": "delta-and-lse",
        "q_loads": 2,
    },
    "split": {"dq_form": "split"},
    "split, queries first, one loop": {"dq_form": "split", "scores": "queries-first", "masked_tiles": "inline"},
}
"""Every code path, by name."""

RUNS = tuple(
    (case, form) for case in CASES for form in FORMS if not (form.startswith("split") and case.settings.get("stagger"))
)
"""Every case in every form that the op's conditions let it have."""


def drawn(case: BackwardCase, device: str = "cpu", *, surround: Callable[[Any], Any] = lambda x: x) -> BackwardInputs:
    """Inputs of the case's kind; `surround` may move each to other memory."""
    exact = SPEC.make_inputs(case.problem, seed=1, device=device)
    return BackwardInputs(**{name: surround(array) for name, array in vars(exact).items()})


def simulated(
    case: BackwardCase, x: BackwardInputs, settings: Mapping[str, Any], *, module: Any = None, order: Any = range
) -> Gradients:
    """Every launch of the case on the simulator, outputs and scratch poisoned before.

    Args:
        case: The problem, and settings for all of its runs.
        x: Its inputs.
        settings: Those of this run.
        module: Where the cuTile functions are, if not the kernel's own.
        order: Blocks of a grid of n -> the order to run them in.
    """
    from spak.kernels.attention.backward import kernel as own

    outputs = SPEC.make_outputs(case.problem, device="cpu")
    arrays = {**vars(x), **vars(outputs)}
    for call in SPEC.calls(case.problem, case.configuration(**settings)):
        for name, array in call.arrays.items():
            if name not in arrays:
                arrays[name] = torch.full(array.shape, float("nan"), dtype=getattr(torch, DTYPES[array.dtype]))
        args = (*(arrays[name] for name in call.arrays), *call.scalars, *call.constants)
        sim.launch(None, call.grid, getattr(module or own, call.function), args, order=order)
    return outputs


def errors(got: Gradients, want: Gradients) -> dict[str, float]:
    """||got - want|| / ||want|| of each gradient, NaN if any element is; a gradient that is 0 has to be 0."""
    found = {}
    for name, exact in vars(want).items():
        difference = float(torch.linalg.vector_norm(getattr(got, name).double() - exact))
        found[name] = difference / max(float(torch.linalg.vector_norm(exact)), 1e-30)
    return found


def right(got: Gradients, want: Gradients, problem: Mapping[str, Any]) -> bool:
    """Whether every gradient is within the tolerance."""
    return all(error <= SPEC.tolerance(problem) for error in errors(got, want).values())
