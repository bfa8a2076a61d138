"""Each kernel's spec against the op that owns its space, its counts against brute force, and its code against the compiler."""

from __future__ import annotations

import io
from itertools import product
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spak.kernels.attention.fmha.spec import SPEC as FMHA
from spak.kernels.registry import SPECS, spec

OPS = Path(__file__).parents[2] / "laws" / "ops"
SMALL_CORE = 300


def op_file(op: str) -> dict:
    return yaml.safe_load((OPS / f"{op}.yaml").read_text())


def defaults(op: str) -> dict:
    return {name: parameter["default"] for name, parameter in op_file(op)["parameters"].items()}


def first_problem(op: str) -> dict:
    return next(iter(op_file(op)["problems"].values()))


@pytest.mark.parametrize("op", SPECS)
def test_a_spec_has_the_parameters_of_its_op(op):
    """Names and values are those of laws/ops, which owns the space."""
    declared = {name: tuple(parameter["values"]) for name, parameter in op_file(op)["parameters"].items()}
    assert {name: tuple(values) for name, values in spec(op).parameters.items()} == declared
    assert set(spec(op).problem_parameters) == set(op_file(op)["problem"])
    assert spec(op).op == op


@pytest.mark.parametrize("op", ["fmha", "matmul"])
def test_the_declared_core_is_large(op):
    """What a sweep tries exhaustively has at least 300 configurations that satisfy the op's conditions."""
    node = op_file(op)
    core = {name: p.get("core") or [p["default"]] for name, p in node["parameters"].items()}
    conditions = [compile(c["require"], op, "eval") for c in node["conditions"]]
    sizes = first_problem(op)
    every = (dict(zip(core, values, strict=True)) for values in product(*core.values()))
    scope = {"__builtins__": {}, "max": max}
    assert sum(all(eval(c, scope, {**sizes, **x}) for c in conditions) for x in every) >= SMALL_CORE  # noqa: S307


@given(
    st.booleans(), st.integers(1, 300), st.integers(1, 300), st.integers(0, 100), st.sampled_from([(32, 64), (64, 32)])
)
def test_fmha_work_counts_the_key_tiles_that_hold_an_unmasked_pair(causal, seq_q, seq_kv, q_offset, tiles):
    """Iterations of each kind of CTA, against looking at every tile of the score matrix."""
    tile_m, tile_n = tiles
    problem = {"batch": 2, "heads": 3, "kv_heads": 1, "seq_q": seq_q, "seq_kv": seq_kv, "head_dim": 64, "dtype": "fp16"}
    problem |= {"q_offset": q_offset, "causal": causal}
    work = FMHA.work(problem, {**defaults("fmha"), "tile_m": tile_m, "tile_n": tile_n})
    count = 0
    for x, j in product(range(0, seq_q, tile_m), range(0, seq_kv, tile_n)):
        last_row = x + tile_m - 1  # a query tile is computed whole, its rows past the end too
        count += not causal or last_row + q_offset >= j
    assert sum(number * iterations for number, iterations in work.iterations) == 6 * count
    assert sum(number for number, _ in work.iterations) == work.ctas == 6 * -(-seq_q // tile_m)


def test_matmul_work_counts_every_product_once_when_tiles_divide_the_problem():
    """FLOPs of all CTAs together are the op's own formula."""
    problem = {"batch": 3, "m": 256, "n": 512, "k": 128, "dtype": "bf16"}
    work = spec("matmul").work(problem, defaults("matmul"))
    done = sum(n * i for n, i in work.iterations) * work.tensor_flops_per_iteration
    assert done == 2 * 3 * 256 * 512 * 128
    assert work.global_bytes == 2 * 3 * (256 * 128 + 128 * 512 + 256 * 512)


def test_a_persistent_grid_is_what_stays_resident_and_never_more_than_the_blocks():
    """132 SMs at two CTAs each; a small problem gets one CTA for each block."""
    from spak.kernels.attention.problem import Shape

    shape = Shape.of(first_problem("fmha"))
    persistent = {**defaults("fmha"), "persistent": True}
    assert FMHA.grid(shape, persistent, 132) == (264, 1, 1)
    assert FMHA.grid(shape, {**persistent, "num_ctas": 2}, 132) == (132, 1, 1)
    assert FMHA.grid(shape, persistent, 10_000) == (2048, 1, 1)
    assert FMHA.grid(shape, defaults("fmha"), 1) == (1, 16, 128)
    assert FMHA.grid(shape, {**defaults("fmha"), "heads_fastest": True}, 1) == (1, 128, 16)


def test_impossible_attention_problems_are_refused():
    """A problem the kernel cannot compute is an error that says why, not a wrong answer."""
    problem = first_problem("fmha")
    with pytest.raises(ValueError, match="kv_heads 5 does not divide heads 16"):
        FMHA.work({**problem, "kv_heads": 5}, defaults("fmha"))
    with pytest.raises(ValueError, match=r"head_dim must be 16\.\.256 \(got 8\)"):
        FMHA.work({**problem, "head_dim": 8}, defaults("fmha"))


VARIANTS = {
    "pipelines": {"pipeline": "early-scores", "sum_lanes": 8, "tile_n": 128, "num_worker_warps": 4},
    "persistent": {"pipeline": "late-values", "persistent": True, "heads_fastest": True},
}


@pytest.mark.compiler
@pytest.mark.parametrize("arch", ["sm_90", "sm_120"])
@pytest.mark.parametrize(
    ("op", "changes"), [*((op, {}) for op in SPECS), *(("fmha", changes) for changes in VARIANTS.values())]
)
def test_a_kernel_compiles_without_a_gpu(op, changes, arch):
    """The defaults of each op, and the variants of FMHA, become machine code for both architectures."""
    pytest.importorskip("cuda.tile", reason="needs cuda-tile")
    from cuda.tile.compilation import export_kernel

    for job in spec(op).compile_jobs(first_problem(op), {**defaults(op), **changes}):
        code = io.BytesIO()
        export_kernel(job.kernel, [job.signature], code, gpu_code=arch, output_format="cubin")
        assert job.symbol.encode() in code.getvalue()
