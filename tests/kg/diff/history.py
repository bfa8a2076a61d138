"""A small law root in a real git repository, and the scripted changes that a reviewer must be able to judge."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec

from spak.kg.diff import words
from spak.kg.diff.report import Difference, difference
from spak.kg.diff.sources import open_source
from spak.kg.model.run import Measurement, Run, Trial

OP = """\
id: toy
title: Toy op
parameters:
  tile_m: {values: [32, 64, 128], default: 64, role: tile, description: rows}
  tile_n: {values: [32, 64, 128], default: 64, role: tile, description: columns}
  latency: {values: [1, 2, 3, 4], default: 2, role: hint, description: hint}
problem:
  size: {type: int, default: 1, description: size}
problems:
  small: {size: 1}
  large: {size: 8}
"""

HARDWARE = """\
id: {id}
title: {title}
kind: {kind}
{is_a}"""

LAW = """\
# {comment}
id: {id}
title: {title}
kind: negative
scope:
  hw: sm_90
  op: toy
claim:
  avoid: {avoid}
  because: register-spill
  effect: {{slowdown: {{at_least: {least}}}}}
status: {status}
evidence:
{evidence}
"""

FOUND = (
    "  - {run: found, verdict: supports, tier: measured, role: suggested, effect: {slowdown: 3},"
    " interval: {slowdown: [2.9, 3.1]}, problems: [size=1], toolchain: tileiras 13.4, occasion: 2026-01-01 h200}\n"
)
HELD = (
    "  - {run: held, verdict: supports, tier: measured, role: independent, effect: {slowdown: 3},"
    " interval: {slowdown: [2.8, 3.1]}, problems: [size=2, size=4], toolchain: tileiras 13.4, occasion: 2026-01-02 h200}"
)
AGAINST = (
    "  - {run: later, verdict: refutes, tier: measured, role: independent, effect: {slowdown: 1.01},"
    " interval: {slowdown: [1.0, 1.02]}, problems: [size=8], toolchain: tileiras 13.4}"
)


def law(
    identifier: str, avoid: str, *, least: float = 2, status: str = "confirmed", evidence: str = FOUND + HELD
) -> str:
    return LAW.format(
        id=identifier, title=f"Avoid {avoid}", avoid=avoid, least=least, status=status, evidence=evidence, comment="why"
    )


class History:
    """A git repository with a law root; `commit` after each change."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.laws = folder, folder / "laws"
        self.git("init", "-q", "-b", "main")
        self.write("hardware/nvidia.yaml", HARDWARE.format(id="nvidia", title="NVIDIA", kind="vendor", is_a=""))
        sm_90 = HARDWARE.format(id="sm_90", title="Capability 9", kind="compute-capability", is_a="is_a: [nvidia]\n")
        self.write("hardware/sm_90.yaml", sm_90)
        h200 = HARDWARE.format(id="h200", title="H200", kind="device", is_a="is_a: [sm_90]\n")
        self.write("hardware/h200.yaml", h200)
        self.write("ops/toy.yaml", OP)
        self.write("sm_90/toy/big-tiles.yaml", law("big-tiles", "tile_m >= 128 and tile_n >= 128"))
        self.write("sm_90/toy/small-tiles.yaml", law("small-tiles", "tile_m <= 32 and tile_n <= 32"))
        self.write("sm_90/toy/latency-four.yaml", law("latency-four", "latency == 4"))
        for run, sizes in (("found", (1,)), ("held", (2, 4)), ("later", (8,))):
            self.write_run(run, sizes)
        self.commit("laws")

    def git(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", *identity, *arguments], cwd=self.folder, check=check, capture_output=True, text=True
        )

    def write(self, path: str, text: str) -> None:
        target = self.laws / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def write_run(self, identifier: str, sizes: tuple[int, ...]) -> None:
        """A run whose best is 64x64 at latency 2, for every size."""
        trials = []
        for size in sizes:
            for tile_m in (32, 64, 128):
                for tile_n in (32, 64, 128):
                    for latency in (1, 2, 3, 4):
                        time = (
                            10.0 + 20 * (tile_m + tile_n >= 256) + 5 * ((tile_m, tile_n) != (64, 64)) + (latency != 2)
                        )
                        measured = Measurement(name="time", value=time * size, unit="us")
                        configuration = {"tile_m": tile_m, "tile_n": tile_n, "latency": latency}
                        trials.append(
                            Trial(configuration=configuration, problem={"size": size}, measurements=(measured,))
                        )
        run = Run(
            id=identifier, tier="measured", created="2026-01-01T00:00:00Z", hw="h200", op="toy", trials=tuple(trials)
        )
        self.write(f"evidence/{identifier}.json", msgspec.json.encode(run).decode())

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)


TOOLCHAIN = "tileiras 13.4"


def diff(history: History, before: str = "HEAD", after: str = "", toolchain: str = TOOLCHAIN) -> Difference:
    """What `after`, unless named the working tree, means beside `before`."""
    with open_source(before, history.laws) as old, open_source(after, history.laws) as new:
        return difference((old, new), toolchain)


def only(found: Difference):
    """Its one item."""
    assert len(found.items) == 1
    return found.items[0]


def said(item) -> str:
    """All lines about an item."""
    return "\n".join(f"{label}: {text}" for label, text in words.lines(item))
