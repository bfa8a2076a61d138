"""A CUDA kernel through torch, for `tune`: y = a x + y with a number of elements for each thread."""

import functools

import torch

import spak

SOURCE = """
extern "C" __global__ void saxpy(const float* x, const float* y, float* out, int n) {
    for (int k = 0; k < EACH; ++k) {
        int i = (blockIdx.x * EACH + k) * blockDim.x + threadIdx.x;
        if (i < n) out[i] = 2.5f * x[i] + y[i];
    }
}
"""


@functools.cache
def compiled(each):
    return torch.cuda._compile_kernel(SOURCE.replace("EACH", str(each)), "saxpy")


def run(tensors, p, c):
    blocks = -(-p["n"] // (c["threads"] * c["each"]))
    arguments = [tensors["x"], tensors["y"], tensors["out"], p["n"]]
    compiled(c["each"])((blocks, 1, 1), (c["threads"], 1, 1), arguments)


saxpy = spak.kernel(
    "cuda-saxpy",
    spak.KernelSpace(
        {"threads": [256, 64, 128, 512], "each": [1, 2, 4, 8]},
        problem={"n": 1 << 24},
        problems={f"n{n}": {"n": n} for n in (1 << 24, 1 << 22, 10_000_019)},
    ),
    arrays=lambda p: dict.fromkeys(("x", "y", "out"), spak.Array("fp32", (p["n"],))),
    launch=spak.Runs(run),
    check=spak.OutputCheck(lambda inputs, p: 2.5 * inputs["x"] + inputs["y"], tolerance=1e-6),
)
