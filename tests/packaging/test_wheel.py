"""What is published can be installed next to others: the real wheel, beside Hugging Face's `kernels` and NVIDIA's test tree.

Everything is built and installed for real, so this needs the package index; without one it is skipped, which says so.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from tests import workplace

ROOT = Path(__file__).parents[2]
UNREACHABLE = ("NewConnectionError", "Could not find a version", "Temporary failure", "Network is unreachable")
"""What pip says where there is no index."""

OURS_AND_THEIRS = """
import importlib, pathlib, sys
for name in sys.argv[1].split(","):
    importlib.import_module(name)
import kernels, spak.kernels.registry
print(kernels.__version__, kernels.get_kernel.__module__, "fmha" in spak.kernels.registry.SPECS)
for module in (kernels, spak.kernels):
    print(pathlib.Path(module.__file__).resolve())
"""

CUTILE_TREE = {
    "pytest.ini": "[pytest]\npythonpath = .\npython_files = test_*.py bench_*.py\npython_functions = test_* bench_*\n",
    "test/conftest.py": "",
    "test/util.py": "def estimate_bench_iter():\n    return 1\n",
    "test/kernels/attention.py": "def fmha_kernel():\n    return 'theirs'\n",
    "test/bench_attention.py": (
        "from util import estimate_bench_iter\n"
        "from kernels.attention import fmha_kernel\n"
        "from spak.kernels.attention.fmha import spec\n\n"
        "def bench_fmha():\n    assert (fmha_kernel(), spec.__name__) == ('theirs', 'spak.kernels.attention.fmha.spec')\n"
    ),
    "test/test_ours_first.py": (
        "import spak.kernels.attention.fmha.spec\n"
        "import spak.cli.kg\n"
        "from kernels.attention import fmha_kernel\n\n"
        "def test_fmha():\n    assert fmha_kernel() == 'theirs'\n"
    ),
}
"""As https://github.com/NVIDIA/cutile-python lays out its tests: `test/kernels` is a folder without `__init__.py`, so that
any installed package called `kernels` would take its place."""

USER_FILE = """
import spak
def worth(configurations: list[dict[str, int]]) -> int:
    return spak.load().rank(configurations, op="fmha", hw="h200").num_removed + ""
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def call(*words: object, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a program away from this checkout: nothing of it is on the path."""
    clean = workplace.environment("PYTHONPATH", "KG_LAWS")
    return subprocess.run(
        [str(word) for word in words], cwd=cwd, env=clean | more, capture_output=True, text=True, check=False
    )


def pip(*words: object, cwd: Path) -> None:
    """Run pip; skip where the index cannot be reached."""
    done = call(sys.executable, "-m", "pip", "--disable-pip-version-check", *words, cwd=cwd)
    if done.returncode != 0 and any(phrase in done.stderr for phrase in UNREACHABLE):
        pytest.skip(f"the package index cannot be reached: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


def unpacked(sdist: Path) -> Path:
    """The folder that a source archive holds, unpacked beside it."""
    with tarfile.open(sdist) as archive:
        assert not [entry.name for entry in archive if entry.issym() or entry.islnk()]
        archive.extractall(sdist.parent, filter="data")
    return next(sdist.parent.glob("spak-*/"))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """The wheel of this checkout, and the wheel made from its source archive."""
    folder = tmp_path_factory.mktemp("wheels")
    pip("install", "--quiet", "--no-compile", "--target", folder / "backend", "hatchling>=1.27", cwd=folder)

    def built(what: str, source: Path, name: str) -> Path:
        """As pip asks the backend that pyproject.toml names."""
        make = f"import sys; from hatchling.build import build_{what} as build; print(build(sys.argv[1]))"
        done = call(sys.executable, "-c", make, folder / name, cwd=source, PYTHONPATH=str(folder / "backend"))
        assert done.returncode == 0, done.stderr
        return folder / name / done.stdout.split()[-1]

    source = unpacked(built("sdist", ROOT, "source"))
    return {"checkout": built("wheel", ROOT, "checkout"), "sdist": built("wheel", source, "sdist")}


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """A folder with the wheel of Hugging Face's `kernels`, and one with all that it needs, installed."""
    folder = tmp_path_factory.mktemp("theirs")
    pip("download", "--quiet", "--dest", folder, "kernels", cwd=folder)
    from_here = ("--no-index", "--find-links", folder, "kernels")
    pip("install", "--quiet", "--no-compile", "--target", folder / "needs", *from_here, cwd=folder)
    return folder


def environment(folder: Path, *installs: tuple[object, ...], needs: tuple[Path, ...] = ()) -> Path:
    """The interpreter of a new environment with `installs` made one after the other; spak's own needs come from here.

    Args:
        folder: Where.
        installs: What to tell pip.
        needs: Folders in which an import looks last.
    """
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    for words in installs:
        pip("--python", python, "install", "--quiet", "--no-compile", "--no-deps", *words, cwd=folder)
    site = next(folder.glob("lib/python*/site-packages"))
    import msgspec

    (site / "needs.pth").write_text("".join(f"{path}\n" for path in (Path(msgspec.__file__).parents[1], *needs)))
    return python


@pytest.fixture(scope="module")
def alone(tmp_path_factory, wheels):
    """The wheel and nothing else."""
    return environment(tmp_path_factory.mktemp("alone") / "env", (wheels["checkout"],))


def names(wheel: Path) -> set[str]:
    """Every file in a wheel, without its own metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_the_wheel_holds_the_package_and_no_other_name(wheels):
    """Code, laws, pages and the mark of typed code; nothing that was only lying around."""
    found = names(wheels["checkout"])
    assert {PurePosixPath(name).parts[0] for name in found} == {"spak"}
    assert not [name for name in found if "__pycache__" in name or "/tests/" in name]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    here = [name for name in tracked if (ROOT / name).is_file()]
    code = {f"spak/{name}" for name in here if name.split("/")[0] in {"kg", "kernels", "tuner", "cli"}}
    laws = {f"spak/kg/packaged_laws/{name.removeprefix('laws/')}" for name in here if name.startswith("laws/")}
    face = {name.removeprefix("src/") for name in here if name.startswith("src/spak/")}
    assert {"spak/__init__.py", "spak/py.typed"} < face
    assert code | laws | face <= found
    with zipfile.ZipFile(wheels["checkout"]) as archive:
        metadata = next(archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA"))
    assert "License-Expression: Apache-2.0" in metadata
    assert "Description-Content-Type: text/markdown" in metadata
    assert "Private" not in metadata


def test_a_wheel_made_from_the_source_archive_is_the_same(wheels):
    """Links became files: who builds from the archive gets everything."""
    assert names(wheels["sdist"]) == names(wheels["checkout"])


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_beside_the_kernels_package_of_hugging_face(first, wheels, theirs, tmp_path):
    """In either order of installation, and of import: `kernels` is theirs and `spak.kernels` ours."""
    ours = (wheels["checkout"],)
    other = ("--no-index", "--find-links", theirs, "kernels")
    installs = (ours, other) if first == "ours" else (other, ours)
    python = environment(tmp_path / "env", *installs, needs=(theirs / "needs",))
    site = next((tmp_path / "env").resolve().glob("lib/python*/site-packages"))
    for order in ("kernels,spak.cli.tune", "spak.cli.tune,kernels"):
        done = call(python, "-c", OURS_AND_THEIRS, order, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        what, *places = done.stdout.splitlines()
        assert what.endswith(" True"), what
        assert what.split()[1].startswith("kernels."), what
        assert places == [f"{site}/kernels/__init__.py", f"{site}/spak/kernels/__init__.py"]


def test_beside_the_test_tree_of_cutile(alone, tmp_path):
    """Their benchmarks import `kernels.attention` from their own folder, whether ours are loaded already or not."""
    for name, text in CUTILE_TREE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    done = call(alone, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_the_commands_run_from_the_wheel_with_its_own_laws(alone, tmp_path):
    """Away from any checkout."""
    helped = call(alone.parent / "kg", "--help", cwd=tmp_path)
    assert (helped.returncode, helped.stderr) == (0, "")
    assert "query" in helped.stdout
    asked = call(
        alone.parent / "kg", "query", "--hw", "rtx5070", "--op", "fmha", cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path)
    )
    assert asked.returncode == 0, asked.stderr
    assert any(path.stem in asked.stdout for path in (ROOT / "laws/sm_120/fmha").glob("*.yaml"))


def test_a_type_checker_sees_the_types(alone, tmp_path):
    """`py.typed` is installed: a wrong use in a file of one's own is found."""
    (tmp_path / "use.py").write_text(USER_FILE)
    (tmp_path / "mypy.ini").write_text("[mypy]\n[mypy-torch.*]\nfollow_imports = skip\n")  # two thirds of the time
    check = ("-m", "mypy", "--no-incremental", "--python-executable", alone, "use.py")
    found = call(sys.executable, *check, cwd=tmp_path).stdout
    assert "use.py:4: error: Unsupported operand types for +" in found
    assert "import-untyped" not in found
