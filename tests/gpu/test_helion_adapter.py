"""Helion itself on a GPU: a product that it tunes with our filter and seeds, and whose log becomes evidence."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

import spak
from spak.adapters.advice import MeasuredBy, TunedKernel
from spak.adapters.helion import HelionAdvice

pytestmark = pytest.mark.gpu
torch = pytest.importorskip("torch")
helion = pytest.importorskip(
    "helion",
    reason="helion is not installed (pip install helion triton), or wants a newer PyTorch",
    exc_type=ImportError,
)

NAMES = {"block_sizes[0]": "tile_m", "block_sizes[1]": "tile_n", "block_sizes[2]": "tile_k"}
SIZE = 1024


@pytest.fixture(autouse=True)
def needs_a_gpu():
    """Skips where there is none."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")


def test_helion_tunes_with_advice_and_its_log_is_evidence(tmp_path):
    """Ten random configurations beside the seeds; checked by Helion against its baseline."""
    import helion.language as hl

    (tmp_path / "laws").mkdir()
    op = spak.op("helion-matmul", {name: [16, 32, 64, 128] for name in NAMES.values()})
    hw = spak.HardwareName(torch.cuda.get_device_name())
    whatever = dict.fromkeys(("num_warps", "num_stages", "pid_type", "indexing"), "")
    advice = HelionAdvice(TunedKernel(spak.load(tmp_path / "laws"), op, hw, names={**NAMES, **whatever}))

    @helion.kernel(
        autotune_config_filter=advice.filter,
        autotune_seed_configs=[{"block_sizes": [64, 64, 32]}, {"block_sizes": [128, 64, 32]}],
        autotune_log=str(tmp_path / "run"),
        autotune_log_level=logging.ERROR,
        autotuner_fn=lambda bound, args, **_: helion.autotuner.RandomSearch(bound, args, count=10),
        static_shapes=True,
    )
    def product(x, y):
        out = torch.empty([x.size(0), y.size(1)], dtype=x.dtype, device=x.device)
        for tile_m, tile_n in hl.tile([x.size(0), y.size(1)]):
            acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
            for tile_k in hl.tile(x.size(1)):
                acc = torch.addmm(acc, x[tile_m, tile_k], y[tile_k, tile_n])
            out[tile_m, tile_n] = acc
        return out

    a, b = (torch.randn(SIZE, SIZE, device="cuda", dtype=torch.float16) for _ in range(2))
    torch.testing.assert_close(product(a, b), a @ b, rtol=1e-2, atol=1e-1)
    by = MeasuredBy(f"helion {helion.__version__}", datetime.now(UTC), "its do_bench", checked=True)
    names = {**NAMES, **dict.fromkeys(_set_in(tmp_path / "run.csv"), "")}
    logged = HelionAdvice(TunedKernel(advice.kernel.laws, op, hw, names={**names, **NAMES}))
    done = spak.record(tmp_path / "laws", logged.results(tmp_path / "run.csv", by))
    assert done.trials > 0


def _set_in(log):
    """Every setting that the log names, which this op does not say."""
    import csv

    from spak.adapters.helion import _configuration

    with log.open(newline="") as file:
        return {name for row in csv.DictReader(file) for name in _configuration(row["config"])}
