"""The table of docs/architecture.md is true: each thing is added by the files and the line it names, and then works.

Each test copies the tree, puts a toy (a folder of `toys/`) over it, adds the line to the registry, and runs a program of the
copy. The toys are whole: what they leave out, nothing asks for.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import workplace
from tests.architecture.sources import PACKAGES, ROOT

TOYS = Path(__file__).parent / "toys"
ROW = re.compile(r"^\| a (?P<what>[\w ]+?) \| (?P<files>[^|]*)\|(?P<registry>[^|]*)\|", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")
TABLE = {found["what"]: found for found in ROW.finditer((ROOT / "docs/architecture.md").read_text())}

LINES = {
    "kernel": ("SPECS = {\n", '    "toy": "spak.kernels.toy.spec",\n'),
    "named check": ("CHECKS = {\n", '    "toy": "spak.kernels.toy:Toy",\n'),
    "strategy": ("STRATEGIES = {\n", '    "toy": StrategyEntry("spak.tuner.strategy.toy:Toy", "the last first"),\n'),
    "backend": (
        "    for entry in (\n",
        '        BackendEntry("toy", "make times up", "spak.tuner.backend.toy:open_task", "compiled", False, 4),\n',
    ),
    "law kind": ('            "transform:Transform",\n', '            "toy:Toy",\n'),
}
"""What -> (where in the registry, the line that is added after it)."""


@dataclass(frozen=True)
class Tree:
    """A copy of the sources and the laws."""

    folder: Path

    def add(self, what: str) -> None:
        """Put the toy there by nothing but what the table names."""
        toy = TOYS / what.replace(" ", "_")
        own = {path.relative_to(toy).as_posix() for path in toy.rglob("*") if path.is_file() and path.suffix != ".pyc"}
        assert own == {path.replace("<name>", "toy") for path in CODE.findall(TABLE[what]["files"])}
        assert not [path for path in own if (self.folder / path).exists()]
        shutil.copytree(toy, self.folder, dirs_exist_ok=True)
        registries = CODE.findall(TABLE[what]["registry"])
        assert (len(registries) == 1) == (what in LINES)
        for registry in registries:
            file = self.folder / registry
            place, line = LINES[what]
            before = file.read_text()
            assert before.count(place) == 1
            file.write_text(before.replace(place, place + line))

    def without_knowledge(self) -> None:
        """Take out all laws, their evidence and the systems: what is told of the nodes alone takes a fraction of the time."""
        for part in (self.folder / "laws").iterdir():
            if part.is_dir() and part.name not in {"hardware", "ops"}:
                shutil.rmtree(part)

    def run(self, *words: str) -> str:
        """What a program of the copy prints, however it ends."""
        own = {"PYTHONPATH": f"{self.folder}/src", "XDG_CACHE_HOME": str(self.folder / "cache")}
        environment = workplace.environment() | own
        done = subprocess.run(
            [sys.executable, *words], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr


@pytest.fixture
def tree(tmp_path) -> Tree:
    """Compiled files come along and stay valid, because times of change do."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    shutil.copytree(ROOT / "src", tmp_path / "src", symlinks=True)
    shutil.copytree(ROOT / "laws", tmp_path / "laws")
    return Tree(tmp_path)


def test_the_table_names_what_the_tests_add():
    """No row that nobody tries."""
    assert set(TABLE) == {folder.name.replace("_", " ") for folder in TOYS.iterdir()}


def test_a_check_is_found_by_being_there(tree):
    """`kg check` runs it."""
    tree.add("check")
    assert "title: write it out [finding: toy]" in tree.run("-m", "spak.cli.kg", "check")


def test_a_strategy_is_chosen_by_its_name(tree):
    """A search of recorded trials uses it, and `--help` lists it."""
    tree.add("strategy")
    run = "laws/evidence/measured-h200-fmha-d64-s1024-full.json"
    out = tree.run(
        "-m", "spak.cli.tune", "replay", run, "--hw", "h200", "--op", "fmha", "--budget", "5", "--strategy", "toy"
    )
    assert "best of 5" in out, out
    assert "backwards" in out
    assert "toy" in tree.run("-m", "spak.cli.tune", "replay", "--help")


TOY_LAW = """\
id: toy-law
title: Large tiles cost twice
kind: toy
scope: {hw: sm_90, op: fmha}
claim: {above: tile_m, limit: 64}
status: proposed
examples:
  avoided: [{tile_m: 128}]
  admitted: [{tile_m: 64}]
"""


def test_a_kind_of_law_is_known_to_every_answer(tree):
    """Loaded, checked, found, asked of one configuration and of a space, explained, compared, drawn."""
    tree.add("law kind")
    tree.without_knowledge()
    shutil.copytree(tree.folder / "laws", tree.folder / "before")
    file = tree.folder / "laws/sm_90/fmha/toy-law.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(TOY_LAW)
    kg, asked = ("-m", "spak.cli.kg"), ("--hw", "h200")
    assert "tile_m above 64" in tree.run(*kg, "query", *asked, "--op", "fmha", "--kind", "toy")
    why = tree.run(*kg, "why", "fmha", *asked, "--config", "tile_m=128", "--format", "json")
    assert '"stance": "against"' in why.partition('"id": "toy-law"')[2].partition("}")[0]
    assert "keep tile_m at most" in tree.run(*kg, "explain", "toy-law")
    assert "toy-law" not in tree.run(*kg, "check")
    assert "toy-law" in tree.run(*kg, "graph", "--format", "mermaid")
    assert '"toy"' in tree.run(*kg, "schema", "law")
    assert "fmha on sm_90: moves back" in tree.run(*kg, "diff", "before")
    file.write_text(TOY_LAW.replace("[{tile_m: 128}]", "[{tile_m: 32}]"))
    assert "the claim admits it" in tree.run(*kg, "check")
    file.write_text(TOY_LAW.replace("above: tile_m", "above: tile_mm"))
    assert "unknown parameter 'tile_mm'; nearest: tile_m" in tree.run(*kg, "check")


def test_a_backend_is_chosen_by_its_name(tree):
    """A search asks it for trials, and reports its best."""
    tree.add("backend")
    tree.without_knowledge()
    out = tree.run("-m", "spak.cli.tune", "matmul", "--hw", "h200", "--backend", "toy", "--budget", "3", "--dry-run")
    assert "the lowest of 2" in out, out


CHECKED_LAW = """\
id: narrow-tiles
title: Narrow tiles give no NaN
kind: invariant
scope: {hw: nvidia, op: attention}
claim:
  require: tile_n == 32
  otherwise: every row is NaN
  check: toy
  effect: {nan_rows: {at_most: 0}, nan_rows_otherwise: {at_least: 1}}
status: proposed
"""


def test_a_named_check_is_executed_for_the_laws_that_name_it(tree):
    """It supports the law that it shows and refutes another."""
    tree.add("named check")
    tree.without_knowledge()
    file = tree.folder / "laws/nvidia/attention/narrow-tiles.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(CHECKED_LAW)
    assert "supports: nan_rows 0, nan_rows_otherwise" in tree.run("-m", "spak.cli.kg", "verify", "narrow-tiles")
    file.write_text(CHECKED_LAW.replace("tile_n == 32", "tile_n == 64"))
    assert "toy, executed now: refutes: nan_rows" in tree.run("-m", "spak.cli.kg", "verify", "narrow-tiles")


SIMULATE = """
import torch
from spak.kernels.registry import spec
from spak.kernels import sim
found = spec("toy")
problem, configuration = {"size": 1001, "dtype": "fp16"}, {"tile": 128}
inputs, out = found.make_inputs(problem, seed=0, device="cpu"), found.make_outputs(problem, device="cpu")
(call,) = found.calls(problem, configuration)
sim.launch(None, call.grid, found.kernel(call.function, configuration), (inputs.x, out, *call.constants))
print("right" if torch.equal(out.double(), found.reference(inputs, problem)) else out)
"""


def test_a_kernel_runs_on_the_simulator(tree):
    """Its own source, launched as its spec says, gives what its reference gives."""
    pytest.importorskip("cuda.tile")
    pytest.importorskip("torch")
    tree.add("kernel")
    assert tree.run("-c", SIMULATE) == "right\n"


@pytest.mark.compiler
def test_a_kernel_is_searched_by_the_compiler(tree):
    """Its op's space is searched; no other file knows its name."""
    tree.add("kernel")
    tree.without_knowledge()
    out = tree.run("-m", "spak.cli.tune", "toy", "--hw", "h200", "--backend", "compile", "--budget", "2", "--dry-run")
    assert "best = {" in out, out
