"""NVIDIA's softmax over rows, as it is, for `tune`."""

from tilegym_softmax import _softmax_kernel, _softmax_kernel_tma

import spak

HINTS = ("occupancy", "num_worker_warps")


def arrays(p):
    rows = spak.Array("fp16", (p["rows"], p["cols"]))
    return {"out": rows, "x": rows}


def launch(p, c, num_sms):
    tile = 1 << (p["cols"] - 1).bit_length()  # a whole row
    grid = (min(p["rows"], num_sms * c["occupancy"]),)  # persistent
    if c["load"] == "tma":
        kernel, constants = _softmax_kernel_tma, (p["rows"], p["cols"], tile)
    else:
        kernel, constants = _softmax_kernel, (p["rows"], tile, p["cols"])
    return spak.KernelLaunch(kernel, grid, ("out", "x", *constants), {name: c[name] for name in HINTS})


softmax = spak.kernel(
    "row-softmax",
    spak.KernelSpace(
        tune={"load": ["gather", "tma"], "occupancy": [4, 1, 2, 8], "num_worker_warps": [0, 4, 8]},
        problem={"rows": 4096, "cols": 16384},
        problems={f"c{cols}": {"cols": cols} for cols in (16384, 14000, 12000, 10000)},
        specialises=["cols"],
        flops="5 * rows * cols",
        bytes="4 * rows * cols",
    ),
    arrays=arrays,
    launch=launch,
    check=spak.OutputCheck(
        lambda inputs, p: inputs["x"].softmax(dim=1), tolerance=2e-3, small={"rows": 5, "cols": 200}
    ),
)
