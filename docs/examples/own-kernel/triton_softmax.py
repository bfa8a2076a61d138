"""A softmax over rows in Triton, for `tune`."""

import triton
import triton.language as tl

import spak


@triton.jit
def softmax_rows(X, Out, cols, BLOCK: tl.constexpr):
    row, at = tl.program_id(0), tl.arange(0, BLOCK)
    x = tl.load(X + row * cols + at, mask=at < cols, other=-float("inf")).to(tl.float32)
    e = tl.exp(x - tl.max(x, axis=0))
    tl.store(Out + row * cols + at, (e / tl.sum(e, axis=0)).to(tl.float16), mask=at < cols)


def arrays(p):
    rows = spak.Array("fp16", (p["rows"], p["cols"]))
    return {"x": rows, "out": rows}


def launch(p, c, num_sms):
    arguments = ("x", "out", p["cols"], triton.next_power_of_2(p["cols"]))
    return spak.KernelLaunch(softmax_rows, (p["rows"],), arguments, {"num_warps": c["num_warps"]})


sizes = {f"c{cols}": {"cols": cols} for cols in (4096, 2048, 8192, 16384, 32768)}
softmax = spak.kernel(
    "triton-softmax",
    spak.KernelSpace({"num_warps": [4, 1, 2, 8, 16]}, {"rows": 4096, "cols": 4096}, sizes),
    arrays=arrays,
    launch=launch,
    check=spak.OutputCheck(lambda inputs, p: inputs["x"].softmax(dim=1), tolerance=2e-3),
)
