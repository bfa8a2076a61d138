"""The signature of a contiguous array is the one cuTile derives at a launch."""

import multiprocessing

import pytest

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


def derived(connection):
    """Runs in a process of its own, under a fake driver: whether each shape and type has the same constraint."""
    from tests.tuner.backend.gpu import fake_driver

    fake_driver.install()
    import cuda.tile as ct
    from cuda.tile.compilation import CallingConvention, KernelSignature

    from kernels.signature import contiguous

    @ct.kernel
    def kernel(X):
        pass

    names = {"<f2": ct.float16, "<f4": ct.float32, "|u1": ct.uint8, "<f8": ct.float64}
    different = []
    for shape in SHAPES:
        for typestr in TYPES:
            array = fake_driver.DeviceArray(shape, typestr, 1 << 20)
            found = KernelSignature.from_kernel_args(kernel, (array,), CallingConvention.cutile_python_v1())
            ours = contiguous(names[typestr], shape)
            if found.parameters[0] != ours:
                different.append((shape, typestr, str(found.parameters[0]), str(ours)))
    connection.send(different)


@pytest.mark.compiler
def test_contiguous_arrays_get_the_constraints_of_a_launch():
    pytest.importorskip("cuda.tile", reason="needs cuda-tile")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=derived, args=(theirs,))
    process.start()
    theirs.close()
    assert ours.recv() == []
    process.join()
