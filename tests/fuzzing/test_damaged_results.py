"""Result files of other tuners, damaged: imported whole or refused, and a law root that stays as it was where refused."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from spak.kg import checks
from spak.kg.files.loader import load
from spak.kg.formats.importing import Import, import_file
from spak.kg.formats.nodes import HardwareName
from tests.fuzzing.bounds import refused_or_done
from tests.fuzzing.damage import damaged

FEWER = settings(max_examples=max(50, settings.default.max_examples // 4))
"""An import writes and loads a law root; a reader alone takes a tenth of that."""

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
T4 = {
    "schema_version": "1.0.0",
    "metadata": {"timeunit": "miliseconds"},
    "results": [
        {
            "timestamp": "2024-01-01 00:00:00+00:00",
            "configuration": {"x": x, "flag": x > 1, "way": "row"},
            "objectives": ["time"],
            "times": {"compilation_time": 12.5, "benchmark": 3.0, "runtimes": [5.9, 6.0, 6.1]},
            "invalidity": "correct" if x < 4 else "compile",
            "correctness": 1,
            "measurements": [{"name": "time", "value": 6.0 if x < 4 else "CompilationFailedConfig", "unit": "ms"}],
        }
        for x in (1, 2, 4)
    ],
}
CACHE = {
    "device_name": "NVIDIA A100",
    "kernel_name": "conv",
    "problem_size": [4096, 4096],
    "tune_params_keys": ["x", "flag"],
    "tune_params": {"x": [1, 2, 4], "flag": [0, 1]},
    "objective": "time",
    "cache": {
        f"{x},{flag}": {
            "x": x,
            "flag": flag,
            "time": 6.0 / x if flag else "RuntimeFailedConfig",
            "times": [6.0 / x] * 3,
            "compile_time": 100.0,
            "verification_time": 0,
            "benchmark_time": 1.0,
            "timestamp": "2024-01-01T00:00:00+00:00",
        }
        for x in (1, 2, 4)
        for flag in (0, 1)
    },
}
SPACE = {
    "ConfigurationSpace": {
        "TuningParameters": [
            {"Name": "x", "Type": "int", "Values": "[1, 2, 4]", "Default": 2},
            {"Name": "flag", "Type": "bool", "Values": "[True, False]", "Default": True},
            {"Name": "way", "Type": "string", "Values": "['row', 'column']", "Default": "row"},
        ],
        "Conditions": [{"Expression": "x < 4 or flag", "Parameters": ["x", "flag"]}],
    }
}


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@FEWER
@given(st.data())
def test_a_damaged_result_file_is_imported_whole_or_refused(data):
    """What was imported loads, and every check reads it."""
    known = data.draw(st.booleans())
    results, space = data.draw(st.sampled_from([(T4, None), (CACHE, None), (T4, SPACE)]))
    with tempfile.TemporaryDirectory() as folder:
        file, declared, root = Path(folder, "r.json"), Path(folder, "T1.json"), Path(folder, "laws")
        file.write_text(json.dumps(results))
        declared.write_text(json.dumps(space))
        what = Import(file, HardwareName("A100", "Ampere", "NVIDIA"), "conv", declared if space else None)
        if known:
            import_file(root, what, NOW)
        damaged_one = file if not space or data.draw(st.booleans()) else declared
        damaged_one.write_bytes(data.draw(damaged(results if damaged_one == file else space)))
        before, done = tree(root), None
        with refused_or_done():
            done = import_file(root, what, NOW)
        if done is None:
            assert {path: raw for path, raw in tree(root).items() if not path.startswith(".")} == before
        else:
            laws = load(root)
            assert len(laws.run(done.run).trials) == done.trials
            checks.run_checks(laws)
