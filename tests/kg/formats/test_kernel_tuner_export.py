"""Restrictions for Kernel Tuner: accepted by the real one, and meaning exactly what the laws mean."""

from __future__ import annotations

import contextlib
import io
import json
from itertools import product

import pytest

from spak.cli import kg as kg_cli
from spak.cli.app import build_app, run_app
from spak.kg.errors import KgError
from spak.kg.expression import parse
from spak.kg.files.loader import load
from spak.kg.formats.kernel_tuner_export import export

HARDWARE = """\
id: gpu
title: A GPU
kind: device
facts:
  compute_capability: {value: "9.9", source: test}
  smem_per_sm: {value: 4096, source: test}
"""
OP = """\
id: conv
title: A convolution
parameters:
  bx: {values: [16, 32, 48, 64], default: 16, role: tile, description: block}
  by: {values: [1, 2, 4, 8], default: 1, role: tile, description: block}
  pad: {values: [0, 1], default: 0, role: variant, description: padding}
problem:
  n: {type: int, default: 100, description: size}
conditions:
  - {require: "bx * by <= 256", because: threads}
  - {require: "ceil_div(n, bx) > 1", because: grid}
"""
AVOIDS = {
    "facts": "bx * by * 32 > hw.smem_per_sm or bx % 32 != 0 and pad == 1",
    "ceil": "ceil_div(n, bx * by) < 2",
    "members": "bx in [48] and not (by >= 4)",
    "bounds": "max(bx, by) - min(bx, by) > 55 and abs(bx - by) != 56",
}
UNSAYABLE = {"logs": "log2(bx) > 5", "compiled": "spill_bytes > 0"}


def law(name, claim, **changes):
    fields = {
        "id": name,
        "title": f"Law {name}",
        "kind": "negative",
        "scope": {"hw": "gpu", "op": "conv"},
        "claim": claim,
        "status": "proposed",
        **changes,
    }
    return json.dumps(fields)  # JSON is YAML


@pytest.fixture
def laws(tmp_path):
    root = tmp_path / "laws"
    for folder in ("hardware", "ops", "gpu"):
        (root / folder).mkdir(parents=True)
    (root / "hardware" / "gpu.yaml").write_text(HARDWARE)
    (root / "ops" / "conv.yaml").write_text(OP)
    for name, avoid in {**AVOIDS, **UNSAYABLE}.items():
        text = law(name, {"avoid": avoid, "effect": {"slowdown": {"at_least": 2}}})
        (root / "gpu" / f"{name}.yaml").write_text(text)
    (root / "gpu" / "best.yaml").write_text(law("best", {"prefer": {"bx": 32}}, kind="positive"))
    return load(root)


def admitted_by_us(laws):
    op = laws.ops["conv"]
    known = {"n": 100, "hw.smem_per_sm": 4096}
    keep = [parse(condition.require) for condition in op.conditions]
    avoid = [parse(text) for text in AVOIDS.values()]
    names = list(op.parameters)
    space = [dict(zip(names, values, strict=True)) for values in product(*(p.values for p in op.parameters.values()))]
    return [
        c
        for c in space
        if all(e.holds({**known, **c}) for e in keep) and not any(e.holds({**known, **c}) for e in avoid)
    ]


def exported(laws, **changes):
    return export(laws, **{"hw": "gpu", "op": "conv", "problem": {"n": 100}, "soft": True, **changes})


def test_what_cannot_be_said_is_listed_with_the_reason(laws):
    found = {item.law: item.reason for item in exported(laws).cannot_say}
    assert found == {
        "best": "a positive law orders a search; a restriction can only forbid",
        "compiled": "spill_bytes is known only after compiling",
        "logs": "log2 has no form in Kernel Tuner's language",
    }


def test_laws_that_may_only_reorder_forbid_nothing_unless_asked_for(laws):
    found = exported(laws, soft=False)
    assert {item.source for item in found.sources} == {"condition"}
    assert {item.law: item.reason for item in found.cannot_say}["facts"].startswith(
        "it may only reorder: it is proposed"
    )


def test_facts_and_problem_sizes_are_numbers(laws):
    texts = exported(laws).restrictions
    assert not any("hw." in text or "ceil_div" in text for text in texts)
    assert any("4096" in text for text in texts)


def test_the_real_kernel_tuner_admits_exactly_what_the_laws_admit(laws, tmp_path):
    kernel_tuner = pytest.importorskip("kernel_tuner.interface", reason="needs kernel_tuner (pip install kernel_tuner)")
    found = exported(laws)
    names = list(found.tune_params)
    entries = {}
    for place, values in enumerate(product(*found.tune_params.values())):
        entry = dict(zip(names, values, strict=True))
        timing = {"time": 1.0 + place, "compile_time": 0, "verification_time": 0, "benchmark_time": 0}
        entries[",".join(map(str, values))] = {**entry, **timing}
    cache = tmp_path / "cache.json"
    cache.write_text(
        json.dumps(
            {
                "device_name": "recorded",
                "kernel_name": "conv",
                "problem_size": [100],
                "tune_params_keys": names,
                "tune_params": found.tune_params,
                "objective": "time",
                "cache": entries,
            }
        )
    )
    with contextlib.redirect_stdout(io.StringIO()):
        results, _ = kernel_tuner.tune_kernel(
            "conv",
            "",
            100,
            [],
            {name: list(values) for name, values in found.tune_params.items()},
            restrictions=list(found.restrictions),
            cache=str(cache),
            simulation_mode=True,
            lang="CUDA",
            quiet=True,
            block_size_names=["bx"],
        )
    tried = sorted(tuple(result[name] for name in names) for result in results)
    ours = sorted(tuple(c.values()) for c in admitted_by_us(laws))
    assert tried == ours
    assert 0 < len(ours) < len(entries)


def test_a_law_that_holds_everywhere_here_and_unknown_sizes_are_told_apart(laws):
    never = {item.law: item.reason for item in exported(laws, problem={"n": 1000}).cannot_say}
    assert "ceil" not in never
    with pytest.raises(KgError, match="n is no parameter"):
        exported(laws, problem={})


def test_an_op_without_parameters_has_no_restrictions(laws, tmp_path):
    (laws.root / "ops" / "group.yaml").write_text("id: group\ntitle: A group\n")
    with pytest.raises(KgError, match="only groups others"):
        exported(load(laws.root), op="group")


def command(*args):
    return run_app(build_app(registry=kg_cli.COMMANDS, help_text=""), "kg", [str(arg) for arg in args])


def test_the_command_prints_what_tune_kernel_takes(laws, capsys):
    assert command("--laws", laws.root, "export", "--format", "kernel-tuner", "--hw", "GPU", "--op", "conv") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["restrictions"] == ["bx * by <= 256", "-(-100 // bx) > 1"]
    assert found["tune_params"]["pad"] == [0, 1]
    assert command("--laws", laws.root, "export", "--hw", "gpu") == 2
    assert "--hw and --op" in capsys.readouterr().err
    assert command("--laws", laws.root, "export", "--format", "t4") == 2
    assert "--run" in capsys.readouterr().err


def test_a_run_is_exported_as_t4_that_imports_again(tmp_path, samples, capsys):
    file = samples.save(tmp_path, samples.t4_file(samples.grid()))
    root = tmp_path / "mine"
    assert command("--laws", root, "import", file, "--hw", "x", "--op", "o", "--format", "json") == 0
    name = json.loads(capsys.readouterr().out)["run"]
    assert command("--laws", root, "export", "--format", "t4", "--run", name) == 0
    again = tmp_path / "again.json"
    again.write_text(capsys.readouterr().out)
    assert command("--laws", root, "import", again, "--hw", "x", "--op", "o") == 0
    assert "nothing changed" in capsys.readouterr().out
