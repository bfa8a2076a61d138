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


TYPESTRS = {"fp16": "<f2", "bf16": "<f2", "fp32": "<f4", "int32": "<i4"}


class Tensor(fake_driver.DeviceArray):
    """What a launch needs of a torch tensor."""

    device = types.SimpleNamespace(type="cuda")

    def __init__(self, shape, dtype, address=1 << 40):
        super().__init__(shape, dtype, address)
        self.shape, self.dtype, self.address = shape, dtype, address

    def view(self, shape):
        return Tensor(shape, self.dtype, self.address)


def launches(connection):
    """In a process of its own: kernels and problem sizes whose compile jobs differ from their launches."""
    fake_driver.install()
    torch = types.ModuleType("torch")
    properties = types.SimpleNamespace(multi_processor_count=132)
    torch.cuda = types.SimpleNamespace(current_stream=lambda: 0, get_device_properties=lambda device: properties)
    torch.float16, torch.float32, torch.int32 = "<f2", "<f4", "<i4"
    torch.empty = lambda shape, dtype, device: Tensor(shape, dtype, 1 << 30)
    sys.modules["torch"] = torch
    from spak.kernels import cutile
    from spak.kernels.registry import SPECS, spec

    cutile.DTYPES["bf16"] = cutile.DTYPES["fp16"]  # as wide, and the driver here has no other type of 16 bits
    different = []
    for op in SPECS:
        node = yaml.safe_load((LAWS / f"ops/{op}.yaml").read_text())
        default = {name: parameter["default"] for name, parameter in node["parameters"].items()}
        odd = {"seq_q": 1000, "seq_kv": 1000, "batch": 1, "m": 1000}
        sizes = [*node["problems"].values(), {**{n: p["default"] for n, p in node["problem"].items()}, **odd}]
        for size in sizes:
            problem = {name: size.get(name, parameter["default"]) for name, parameter in node["problem"].items()}
            problem["dtype"] = "fp16"
            given = {
                name: Tensor(array.shape, TYPESTRS[array.dtype], (1 + i) << 40)
                for i, (name, array) in enumerate(spec(op).arrays(problem).items())
            }
            bound = spec(op)
            written = {name: given.pop(name) for name in bound.written(problem)}
            out = written["out"] if bound.outputs is None else bound.outputs(**written)
            cutile._hinted.cache_clear()  # a kernel object asks once for each signature
            jobs = spec(op).compile_jobs(problem, default)
            asked = asked_by_launches(
                lambda op=op, g=given, o=out, p=problem, d=default: spec(op).launch(spec(op).inputs(**g), o, p, d)
            )
            ours, theirs = (
                sorted(
                    ((s.parameters, s.calling_convention.code) for s in all_), key=repr
                )  # the hot one is compiled first
                for all_ in ([j.signature for j in jobs], asked)
            )
            if ours != theirs:
                different.append((op, problem))
    connection.send(different)


@pytest.mark.compiler
@pytest.mark.parametrize("compare", [arrays, launches])
def test_compile_ahead_and_launch_agree(compare):
    pytest.importorskip("cuda.tile", reason="needs cuda-tile")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=compare, args=(theirs,))
    process.start()
    theirs.close()
    assert ours.recv() == []
    process.join()
