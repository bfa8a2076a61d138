"""Each kernel's spec against the op that owns its space, its counts against brute force, and its code against the compiler."""

from __future__ import annotations

import io
from functools import cache
from itertools import product
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spak.kernels.attention.fmha.spec import SPEC as FMHA
from spak.kernels.registry import SPECS, spec
from spak.kg.expression import parse
from spak.kg.files.loader import load
from spak.kg.space.completion import complete
from spak.kg.space.space import build

OPS = Path(__file__).parents[2] / "laws" / "ops"
SMALL_CORE = 300


@cache
def op_file(op: str) -> dict:
    return yaml.safe_load((OPS / f"{op}.yaml").read_text())


def defaults(op: str) -> dict:
    return {name: parameter["default"] for name, parameter in op_file(op)["parameters"].items()}


def first_problem(op: str) -> dict:
    return next(iter(op_file(op)["problems"].values()))


def each_direction(op: str) -> list[dict]:
    """The first problem of every `direction` that the op has."""
    found: dict[str | None, dict] = {}
    for problem in op_file(op)["problems"].values():
        found.setdefault(problem.get("direction"), problem)
    return list(found.values())


class Asked(dict):
    """A complete configuration or problem that notes which names are read."""

    def __init__(self, values):
        super().__init__(values)
        self.names = set()

    def __getitem__(self, name):
        self.names.add(name)
        return super().__getitem__(name)

    def get(self, name, default=None):
        self.names |= {name} & self.keys()
        return super().get(name, default)


FORMS = {
    "fmha-backward": ({"dq_form": "split"},),
    "microgpt": ({"plan": "sequence"},),
}
"""Op -> changes to the defaults that launch other functions, which have parameters of their own."""


@pytest.mark.parametrize("op", SPECS)
def test_a_spec_reads_every_parameter_of_its_op(op):
    """laws/ops owns names, values and defaults: none is repeated in a spec, and none of them does nothing."""
    problem, configuration = Asked(first_problem(op)), Asked(defaults(op))
    for changes in ({}, *FORMS.get(op, ())):
        asked = Asked({**configuration, **changes})
        for size in (problem, *each_direction(op)):
            for call in spec(op).calls(size, asked):
                spec(op).kernel(call.function, asked)
        configuration.names |= asked.names
    pytest.importorskip("torch", reason="inputs are torch's")
    kinds = op_file(op)["problem"].items()
    small = Asked(
        {name: min(kind["default"], 16) if kind["type"] == "int" else kind["default"] for name, kind in kinds}
    )
    spec(op).make_inputs(small, seed=0, device="cpu")
    problem.names |= small.names
    assert configuration.names == set(op_file(op)["parameters"])
    assert problem.names == set(op_file(op)["problem"])
    assert spec(op).op == op


VARIANTS_BY_NAME = [
    (op, name)
    for op in SPECS
    for name, parameter in op_file(op)["parameters"].items()
    if any(isinstance(value, str) for value in parameter["values"])
]


@pytest.mark.parametrize(("op", "name"), VARIANTS_BY_NAME)
def test_each_variant_that_has_a_name_is_code_of_its_own(op, name):
    """Whatever the order of the op's list, a name means one constant of the kernel, and no other name means it."""
    values = op_file(op)["parameters"][name]["values"]
    form = {"plan": "sequence"} if (op, name) == ("microgpt", "products") else {}
    every = [
        [spec(op).calls(size, {**defaults(op), **form, name: value}) for size in each_direction(op)] for value in values
    ]
    found = {tuple((call.function, call.constants) for calls in sizes for call in calls) for sizes in every}
    assert len(found) == len(values) > 1


@pytest.mark.parametrize("op", SPECS)
def test_the_order_of_the_values_in_an_op_file_changes_no_code(op):
    """The same configurations of an op whose every list is turned round compile to the same functions."""
    node = load(OPS.parent).ops[op]
    turned = msgspec.structs.replace(
        node,
        parameters={
            name: msgspec.structs.replace(parameter, values=parameter.values[::-1])
            for name, parameter in node.parameters.items()
        },
    )
    problem = first_problem(op)
    ours, theirs = build(node, problem), build(turned, problem)
    for index in range(0, len(ours), max(1, len(ours) // 20)):
        configuration = ours.config(index)
        other = theirs.config(theirs.index(configuration))
        assert list(other.items()) == list(configuration.items())
        assert spec(op).calls(problem, other) == spec(op).calls(problem, configuration)


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
    orders = [
        dict(zip(("heavy_first", "heads_fastest"), order, strict=True)) for order in product((False, True), repeat=2)
    ]
    works = [
        FMHA.work(problem, {**defaults("fmha"), "tile_m": tile_m, "tile_n": tile_n, **order})[0] for order in orders
    ]
    count = 0
    for x, j in product(range(0, seq_q, tile_m), range(0, seq_kv, tile_n)):
        last_row = x + tile_m - 1  # a query tile is computed whole, its rows past the end too
        count += not causal or last_row + q_offset >= j
    assert [work.passes for work in works] == [6 * count] * 4
    assert [work.ctas for work in works] == [6 * -(-seq_q // tile_m)] * 4


def test_fmha_work_is_in_launch_order():
    """Two heads of three query tiles with 1, 2 and 3 key tiles: head after head, or all heads of a query tile."""
    problem = {"batch": 1, "heads": 2, "kv_heads": 1, "seq_q": 192, "seq_kv": 192, "q_offset": 0, "head_dim": 64}
    problem |= {"causal": True, "dtype": "fp16"}

    def order(**changes):
        (work,) = FMHA.work(problem, {**defaults("fmha"), **changes})
        return work.repeats, work.iterations, work.operands[0].run

    assert order(heavy_first=False) == (2, ((1, 1), (1, 2), (1, 3)), 6)
    assert order(heavy_first=True) == (2, ((1, 3), (1, 2), (1, 1)), 6)
    assert order(heavy_first=True, heads_fastest=True) == (1, ((2, 3), (2, 2), (2, 1)), 2)


def test_matmul_work_counts_every_product_once_when_tiles_divide_the_problem():
    """FLOPs of all CTAs together are the op's own formula."""
    problem = {"batch": 3, "m": 256, "n": 512, "k": 128, "dtype": "bf16"}
    (work,) = spec("matmul").work(problem, defaults("matmul"))
    assert work.passes * work.tensor_flops_per_iteration == 2 * 3 * 256 * 512 * 128
    assert work.global_bytes == 2 * 3 * (256 * 128 + 128 * 512 + 256 * 512)


def test_a_persistent_grid_is_what_stays_resident_and_never_more_than_the_blocks():
    """132 SMs at two CTAs each; a small problem gets one CTA for each block."""

    def grid(num_sms, **changes):
        return FMHA.calls(first_problem("fmha"), {**defaults("fmha"), **changes}, num_sms)[0].grid

    assert grid(132, persistent=True) == (264, 1, 1)
    assert grid(132, persistent=True, num_ctas=2) == (132, 1, 1)
    assert grid(10_000, persistent=True) == (2048, 1, 1)
    assert grid(1) == (1, 16, 128)
    assert grid(1, heads_fastest=True) == (1, 128, 16)


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


@pytest.mark.parametrize("op", ["naive-attention", "fused-attention", "fmha"])
def test_attention_work_counts_every_product_once_when_tiles_divide_the_problem(op):
    """FLOPs of all CTAs together are the op's own formula of unmasked attention, and so are the bytes but for S and P."""
    node = load(OPS.parent).ops[op]
    problem = complete(node, {**first_problem(op), **({"causal": False} if "causal" in node.problem else {})})
    (work,) = spec(op).work(problem, defaults(op))
    assert work.passes * work.tensor_flops_per_iteration == parse(node.flops["useful"].expression).evaluate(problem)
    extra = {"naive-attention": 8 * 16 * 1024 * 1024 * (4 * 4 + 2 * 2)}.get(op, 0)
    assert work.global_bytes == parse(node.bytes.expression).evaluate(problem) + extra
