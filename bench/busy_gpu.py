"""Whether reference kernels notice another process that uses the GPU at the same time: readings without it, beside it, after it.

    python -m bench.busy_gpu [--readings 5] [--json FILE]

The other process multiplies large matrices without pause. Two processes take turns on a GPU, so that a short kernel may
run as if alone; what it does to medians is measured here, and nothing is set on the card. Takes half a minute.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from spak.tuner.backend.gpu.steady import ReferenceTimes, SteadyWatch

BURN = """
import torch
factor = torch.ones(8192, 8192, dtype=torch.bfloat16, device="cuda")
product = torch.mm(factor, factor)
torch.cuda.synchronize()
print("burning", flush=True)
while True:
    for _ in range(8):
        torch.mm(factor, factor, out=product)
    torch.cuda.synchronize()
"""


def told(when: str, readings: list[ReferenceTimes], watch: SteadyWatch) -> list[dict[str, object]]:
    """Of each reading the medians in microseconds, and the drift against the first of all."""
    rows = []
    for reading in readings:
        found = watch.judge([reading])
        medians = {kernel: round(statistics.median(samples), 2) for kernel, samples in reading.items()}
        rows.append({"when": when, **medians, "drift": str(found) if found is not None else ""})
        print(rows[-1], flush=True)
    return rows


def main() -> int:
    """Read, burn, read, and read again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readings", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    import torch

    from spak.tuner.backend.gpu.timing import CudaTimer

    timer, watch = CudaTimer(), SteadyWatch()

    def read() -> list[ReferenceTimes]:
        return [timer.reference() for _ in range(arguments.readings)]

    rows = told("alone", read(), watch)
    burning = subprocess.Popen([sys.executable, "-c", BURN], stdout=subprocess.PIPE)
    try:
        if burning.stdout is None or burning.stdout.readline().strip() != b"burning":
            raise SystemExit("the other process did not begin")
        rows += told("beside another process", read(), watch)
    finally:
        burning.kill()
        burning.wait()
    rows += told("alone again", read(), watch)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"gpu": torch.cuda.get_device_name(), "readings": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
