"""NVIDIA's LayerNorm over rows, as it is, for `tune`."""

from tilegym_layer_norm import _persistent_layer_norm_fwd_kernel
from torch.nn.functional import layer_norm

import spak

EPS = 1e-5
MOST_BLOCKS = 1056  # eight for each of an H200's 132 multiprocessors


def arrays(p):
    rows, stats = spak.Array("bf16", (p["rows"], p["cols"])), spak.Array("fp32", (p["rows"],))
    one = spak.Array("bf16", (p["cols"],))
    return {"x": rows, "w": one, "b": one, "y": rows, "mean": stats, "rstd": stats}


def launch(p, c, num_sms):
    n, d, block = p["rows"], p["cols"], c["block_n"]
    blocks = min(-(-n // block), MOST_BLOCKS)
    constants = (n, d, EPS, d, d, 0, 1, block, 1 << (d - 1).bit_length(), 1, blocks)
    arguments = ("x", "y", "w", "b", "mean", "rstd", *constants)
    hints = {"num_worker_warps": c["num_worker_warps"], "occupancy": c["occupancy"]}
    return spak.KernelLaunch(_persistent_layer_norm_fwd_kernel, (blocks,), arguments, hints)


def reference(inputs, p):
    x, width = inputs["x"], (p["cols"],)
    rstd = (x.var(dim=1, correction=0) + EPS).rsqrt()
    return {"y": layer_norm(x, width, inputs["w"], inputs["b"], EPS), "mean": x.mean(dim=1), "rstd": rstd}


tune = {"block_n": [8, 1, 2, 4, 16, 32], "num_worker_warps": [8, 4], "occupancy": [0, 1, 2]}
sizes = {f"c{cols}": {"cols": cols} for cols in (1024, 768, 2048, 4096)}
space = spak.KernelSpace(tune, {"rows": 8192, "cols": 1024}, sizes, tiles=["block_n"])
check = spak.OutputCheck(reference, 8e-3, outputs=("y", "mean", "rstd"), small={"rows": 40, "cols": 100})
layer_norm_rows = spak.kernel("row-layer-norm", space, arrays=arrays, launch=launch, check=check)
