"""A law root with one imported op on two made-up GPUs, and the record of a third."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest

import spak
from spak.kg.formats.importing import Import, import_file

SPACE = [(bx, by, unroll) for bx in (16, 32, 64, 128) for by in (1, 2, 4) for unroll in (0, 1, 2)]


def t4(seed: int) -> dict:
    """A GPU as a T4 file; all three are much alike."""
    own = np.random.default_rng(seed)
    results = []
    for bx, by, unroll in SPACE:
        time = float(np.exp(abs(np.log2(bx) - 6) * 0.5 + abs(by - 4) * 0.3 + unroll * 0.01 + own.normal(0, 0.05)))
        failed = bx == 128 and by == 4
        results.append(
            {
                "configuration": {"bx": bx, "by": by, "unroll": unroll},
                "times": {"compilation": 1000.0, "framework": 10.0, "runtimes": [] if failed else [time] * 5},
                "invalidity": "runtime" if failed else "correct",
                "correctness": int(not failed),
                "measurements": [{"name": "time", "value": "RuntimeFailedConfig" if failed else time, "unit": "ms"}],
            }
        )
    return {"schema_version": "1.0.0", "metadata": {"timeunit": "ms"}, "results": results}


@pytest.fixture
def record(tmp_path) -> spak.Recording:
    """What the third GPU measured."""
    path = tmp_path / "three.json"
    path.write_text(json.dumps(t4(3)))
    return spak.read_recording(path)


@pytest.fixture
def conv(tmp_path) -> spak.Library:
    """What two others measured, imported, and a law about small blocks."""
    for seed, name in enumerate(("one", "two"), 1):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(t4(seed)))
        known = Import(path, spak.HardwareName(name, "family"), "conv")
        import_file(tmp_path / "laws", known, datetime(2026, 1, 1, tzinfo=UTC))
    law = tmp_path / "laws" / "family" / "avoid-narrow.yaml"
    law.parent.mkdir()
    law.write_text(
        "id: avoid-narrow\ntitle: Narrow blocks are slow\nkind: negative\nscope: {hw: family, op: conv}\n"
        "claim:\n  avoid: bx <= 32\n  effect: {slowdown: {at_least: 8.0}}\nstatus: proposed\n"
    )
    return spak.load(tmp_path / "laws")


@pytest.fixture
def hard(monkeypatch):
    """Lets every law remove what it names, which takes measured evidence otherwise."""
    from dataclasses import replace

    from spak import candidates
    from spak.kg.law.kinds.base import Power
    from spak.kg.law.power import Bearing
    from spak.tuner import first
    from spak.tuner.engine import opening
    from spak.tuner.knowledge.restriction import restrict

    def removing(*args):
        found = restrict(*args)
        return replace(found, rules=tuple(replace(rule, power=Power.REMOVE) for rule in found.rules))

    for module in (candidates, first, opening):
        monkeypatch.setattr(module, "restrict", removing)
    monkeypatch.setattr(candidates, "bearing", lambda *_: Bearing(Power.REMOVE, ""))
