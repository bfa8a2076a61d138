"""What is compiled ahead is what a launch compiles: the same signature, array by array and for whole kernels."""

import multiprocessing
import sys
import types
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from tests.tuner.backend.gpu import fake_driver

SHAPES = [
    (8, 16, 1024, 64),
    (4, 32, 2048),
    (1, 1, 1),
    (3, 5, 7, 80),
    (3, 5, 8, 20),
    (1, 1, 1024, 64),
    (4096,),
    (1000,),
    (8, 1, 64),
    (8192, 8192),
    (32, 8),
    (5, 1),
]
TYPES = ["<f2", "<f4", "|u1", "<f8"]
LAWS = Path(__file__).parents[2] / "laws"


def asked_by_launches(launch):
    """Signatures that cuTile asks to be compiled while `launch` runs."""
    import cuda.tile as ct

    asked = []
    ct.kernel._compile = lambda kernel, signature, context, capability=None: (
        asked.append(signature) or (b"code", "symbol", None, ())
    )
    launch()
    return asked


def arrays(connection):
    """In a process of its own: (shape, type) pairs whose constraint or convention differs from a launch's."""
    fake_driver.install()
    import cuda.tile as ct

    from spak.kernels.signature import contiguous, convention

    names = {"<f2": ct.float16, "<f4": ct.float32, "|u1": ct.uint8, "<f8": ct.float64}
    different = []
    for pair in pairwise((shape, typestr) for shape in SHAPES for typestr in TYPES):
        ours = [contiguous(names[typestr], shape) for shape, typestr in pair]
        given = tuple(fake_driver.DeviceArray(*what, (1 + i) << 40) for i, what in enumerate(pair))

        @ct.kernel
        def kernel(X, Y):
            pass

        [asked] = asked_by_launches(lambda given=given, kernel=kernel: ct.launch(0, (1,), kernel, given))
        if list(asked.parameters) != ours or asked.calling_convention.code != convention(ours).code:
            different.append((pair, str(asked)))
    connection.send(different)


def fmha(connection):
    """In a process of its own: problem sizes at which FMHA's compile job differs from its launch."""
    fake_driver.install()
    torch = types.ModuleType("torch")
    properties = types.SimpleNamespace(multi_processor_count=132)
    torch.cuda = types.SimpleNamespace(current_stream=lambda: 0, get_device_properties=lambda device: properties)
    torch.float32 = "fp32"
    torch.empty = lambda shape, **_: fake_driver.DeviceArray(shape, "<f4", 1 << 30)
    sys.modules["torch"] = torch
    from spak.kernels.attention.fmha.spec import SPEC, Inputs

    parameters = yaml.safe_load((LAWS / "ops/fmha.yaml").read_text())["parameters"]
    default = {name: parameter["default"] for name, parameter in parameters.items()}
    different = []
    for batch, heads, kv_heads, length in [(8, 16, 16, 1024), (1, 16, 16, 16384), (4, 32, 8, 2048), (2, 3, 1, 1000)]:
        problem = {"batch": batch, "heads": heads, "kv_heads": kv_heads, "seq_q": length, "seq_kv": length}
        problem |= {"q_offset": 0, "head_dim": 64, "causal": True, "dtype": "fp16"}
        q = fake_driver.DeviceArray((batch, heads, length, 64), "<f2", 1 << 40)
        k, v = (fake_driver.DeviceArray((batch, kv_heads, length, 64), "<f2", i << 40) for i in (2, 3))
        out = fake_driver.DeviceArray((batch, heads, length, 64), "<f2", 4 << 40)
        out.device = "cuda"
        [job] = SPEC.compile_jobs(problem, default)
        [asked] = asked_by_launches(lambda q=q, k=k, v=v, o=out, p=problem: SPEC.launch(Inputs(q, k, v), o, p, default))
        same = asked.parameters == job.signature.parameters
        if not same or asked.calling_convention.code != job.signature.calling_convention.code:
            different.append(problem)
    connection.send(different)


@pytest.mark.compiler
@pytest.mark.parametrize("compare", [arrays, fmha])
def test_compile_ahead_and_launch_agree(compare):
    pytest.importorskip("cuda.tile", reason="needs cuda-tile")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=compare, args=(theirs,))
    process.start()
    theirs.close()
    assert ours.recv() == []
    process.join()
