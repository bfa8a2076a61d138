"""A small law root, complete in itself, that a test may change."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from spak.kg.files.seal import trials_digest

FILES = {
    "hardware/nvidia.yaml": "id: nvidia\ntitle: NVIDIA\nkind: vendor\n",
    "hardware/sm_120.yaml": """
id: sm_120
title: Compute capability 12.0
kind: compute-capability
is_a: [nvidia]
facts:
  smem_per_sm: {value: 102400, source: guide}
""",
    "hardware/rtx5070.yaml": """
id: rtx5070
title: RTX 5070
kind: device
is_a: [sm_120]
aliases: [NVIDIA GeForce RTX 5070]
facts:
  num_sms: {value: 48, source: paper}
  boost_clock_ghz: {value: 2.512, source: paper}
  fp16_tflops: {value: 61.7, source: paper}
  tensor_flops_per_sm_clock: {value: 512, source: derived}
""",
    "ops/attention.yaml": "id: attention\ntitle: Attention\n",
    "ops/fmha.yaml": """
id: fmha
title: FMHA
is_a: [attention]
parameters:
  tile_m: {values: [32, 64, 128], default: 64, role: tile, description: rows}
  tile_n: {values: [32, 64, 128], default: 64, role: tile, description: columns}
  v_latency: {values: [1, 4, 5], default: 4, role: hint, description: hint}
problem:
  seq: {type: int, default: 1024, description: queries}
  head_dim: {type: int, default: 64, description: features}
  causal: {type: bool, default: false, description: mask}
conditions:
  - {require: tile_m * tile_n <= 16384, because: registers}
flops:
  useful: {expression: 4 * seq * seq * head_dim / (1 + causal), rule: masked work is not counted}
  full: {expression: 4 * seq * seq * head_dim, rule: masked work is counted}
bytes: {expression: 8 * seq * head_dim, rule: each input read once}
problems:
  small: {seq: 128, head_dim: 64, causal: true}
""",
    "systems/naive.yaml": "id: naive\ntitle: Naive\nlevel: atom\nstate: built\nbuilt_from: [fmha]\n",
    "systems/fused.yaml": """
id: fused
title: Fused
level: atom
state: built
built_from: [fmha]
derived_from: [naive]
inherits: [spills]
tuning_space:
  - {op: fmha, parameters: [tile_m]}
configurations:
  fmha: {tile_m: 64}
""",
    "sm_120/fmha/spills.yaml": """
# why: see the compiler
id: spills
title: FMHA spills at 128 x 128
kind: negative
scope:
  hw: sm_120
  op: fmha
  when: head_dim == 64 and hw.smem_per_sm > 0
  toolchain: tileiras >=13.4,<14
claim:
  avoid: tile_m >= 128 and tile_n >= 128
  because: register-spill
  effect: {spill_bytes: {at_least: 1}}
status: proposed
examples:
  avoided:
    - {tile_m: 128, tile_n: 128, head_dim: 64}
  admitted:
    - {tile_m: 64, tile_n: 64, head_dim: 64}
evidence:
  - run: compiled-one
    verdict: supports
    tier: compiled
    role: suggested
    effect: {spill_bytes: 1208}
    problems: ["causal=true,head_dim=64,seq=1024"]
    toolchain: tileiras 13.4.92
    occasion: 2026-01-01 sm_120
""",
}

RUN = {
    "id": "compiled-one",
    "tier": "compiled",
    "created": "2026-01-01T00:00:00Z",
    "hw": "sm_120",
    "op": "fmha",
    "toolchain": {"tileiras": "13.4.92"},
    "problem": {"causal": True, "head_dim": 64, "seq": 1024},
    "trials": [
        {
            "configuration": {"tile_m": 128, "tile_n": 128, "v_latency": latency},
            "measurements": [{"name": "spill_bytes", "value": 1208}],
        }
        for latency in (1, 4, 5)
    ],
}


@pytest.fixture
def law_root(tmp_path: Path) -> Path:
    """A law root that loads without a problem."""
    root = tmp_path / "laws"
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.removeprefix("\n"), encoding="utf-8")
    (root / "evidence").mkdir()
    (root / "evidence" / "compiled-one.json").write_bytes(
        msgspec.json.encode({**RUN, "trials_sha256": trials_digest(RUN["trials"])})
    )
    return root


@pytest.fixture
def law_file(law_root: Path) -> Path:
    """The one law of `law_root`."""
    return law_root / "sm_120" / "fmha" / "spills.yaml"
