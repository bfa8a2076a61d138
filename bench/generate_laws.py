"""A law root of any size: the shipped one with generated laws beside it. Same count, same files."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import yaml

_LAW = """\
id: {id}
title: Generated law {number}, {op} on {hw}
kind: {kind}
scope:
  hw: {hw}
  op: {op}
  dtype: [fp16, bf16]
{when}claim:
{claim}
  because: register-spill
  effect: {{slowdown: {{at_least: 1.2}}}}
status: proposed
evidence:
  - {{run: {run}, verdict: supports, tier: reported, role: suggested, effect: {{slowdown: {slowdown}}}}}
  - run: {run}
    verdict: inconclusive
    tier: reported
    role: independent
    effect: {{slowdown: 1.0}}
    note: Generated for a benchmark; no measurement stands behind it.
references:
  - title: bench/generate_laws.py
"""


def generate(source: Path, target: Path, count: int, *, seed: int = 0) -> None:
    """Copy the law root `source` to `target` and add `count` laws over its hardware and its ops with parameters."""
    shutil.copytree(source, target)
    rng = random.Random(seed)
    hardware = sorted(path.stem for path in (source / "hardware").glob("*.yaml"))
    ops = [op for op in map(_read, sorted((source / "ops").glob("*.yaml"))) if len(_axes(op)) > 1]
    run = min((source / "evidence").glob("reported-*.json")).stem
    for number in range(count):
        op, hw = rng.choice(ops), rng.choice(hardware)
        (one, first), (two, second) = rng.sample(sorted(_axes(op).items()), 2)
        claim, kind = (
            (f"  avoid: {one} >= {rng.choice(_upper(first))} and {two} >= {rng.choice(_upper(second))}", "negative")
            if number % 3
            else (f"  prefer: {{{one}: {rng.choice(_lower(first))}, {two}: {rng.choice(_lower(second))}}}", "positive")
        )
        when = (
            f"  when: head_dim == {rng.choice((64, 128))}\n"
            if "head_dim" in op.get("problem", {}) and number % 2
            else ""
        )
        identifier = f"generated-{number:06d}"
        folder = target / hw / op["id"]
        folder.mkdir(parents=True, exist_ok=True)
        text = _LAW.format(
            id=identifier, number=number, op=op["id"], hw=hw, kind=kind, when=when, claim=claim, run=run,
            slowdown=round(rng.uniform(1.2, 4), 3),
        )  # fmt: skip
        (folder / f"{identifier}.yaml").write_text(text)


def _read(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


def _lower(values: list[int]) -> list[int]:
    """What generated laws prefer; disjoint from `_upper`, so that they do not contradict each other."""
    return sorted(values)[: len(values) // 2]


def _upper(values: list[int]) -> list[int]:
    """What generated laws avoid."""
    return sorted(values)[len(values) // 2 :]


def _axes(op: dict) -> dict:
    """Parameters whose values are all integers."""
    parameters = op.get("parameters", {})
    return {name: p["values"] for name, p in parameters.items() if all(type(value) is int for value in p["values"])}
