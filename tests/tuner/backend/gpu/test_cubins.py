"""The store of cubins, and that a launch finds in it what was compiled ahead."""

import multiprocessing

import pytest

from spak.tuner.backend.gpu.cubins import Cubin, CubinStore, compile_into, cubin_key, load_ahead_of_time
from tests.tuner.backend.gpu import fake_driver

PROBLEM = {"n": 1 << 16}


def test_the_store_returns_what_was_put_and_nothing_else(tmp_path):
    store = CubinStore(tmp_path / "cubins")
    store.put("a", Cubin("kernel", b"\x7fELF\n\n\x00"))
    assert store.get("a") == Cubin("kernel", b"\x7fELF\n\n\x00")
    assert store.get("b") is None
    assert [path.name for path in (tmp_path / "cubins").iterdir()] == ["a.cubin"], "no temporary file stays"


def test_a_damaged_or_swapped_cubin_is_none(tmp_path):
    """It would be loaded onto the GPU as it is."""
    store = CubinStore(tmp_path)
    store.put("a", Cubin("kernel", b"\x7fELF code"))
    store.put("b", Cubin("kernel", b"\x7fELF other"))
    a, b = tmp_path / "a.cubin", tmp_path / "b.cubin"
    whole, other = a.read_bytes(), b.read_bytes()
    for place in range(len(whole)):
        a.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert store.get("a") is None
    for damaged in (b"", whole[:-1], whole + b"\0", other, b"kernel\n\x7fELF code"):
        a.write_bytes(damaged)
        assert store.get("a") is None


def test_a_store_that_cannot_be_written_keeps_nothing_and_breaks_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = CubinStore(tmp_path / "file")
    store.put("a", Cubin("kernel", b"code"))
    assert store.get("a") is None


def spec():
    pytest.importorskip("cuda.tile", reason="needs cuda-tile")
    from tests.tuner.backend.gpu.scale_spec import SPEC

    return SPEC


@pytest.mark.compiler
def test_a_job_compiles_once_and_its_key_has_everything_in_it(tmp_path):
    store = CubinStore(tmp_path)
    [job] = spec().compile_jobs(PROBLEM, {"tile": 256, "kind": "good"})
    key, cubin = compile_into(store, job, "sm_90", "source")
    assert cubin.code.startswith(b"\x7fELF")
    store.put(key, Cubin("scale", b"from the store"))
    assert compile_into(store, job, "sm_90", "source")[1].code == b"from the store"
    [other] = spec().compile_jobs(PROBLEM, {"tile": 512, "kind": "good"})
    hinted = job.kernel.replace_hints(occupancy=2)
    keys = {
        key,
        cubin_key(job.kernel, other.signature, "sm_90", "source"),
        cubin_key(hinted, job.signature, "sm_90", "source"),
        cubin_key(job.kernel, job.signature, "sm_100", "source"),
        cubin_key(job.kernel, job.signature, "sm_90", "changed"),
    }
    assert len(keys) == 5


def launch_under_fake_driver(folder, connection):
    """Runs in a process of its own: a launch asks the hook for its code, twice for two kernels."""
    calls = fake_driver.install()
    import cuda.tile as ct

    from tests.tuner.backend.gpu import scale_spec

    store = CubinStore(folder)
    loaded = load_ahead_of_time(store, "source")
    x, y = (fake_driver.DeviceArray((1 << 16,), "<f4", 1 << shift) for shift in (20, 21))
    for _ in range(2):
        ct.launch(0, (1,), scale_spec.scale, (x, y, 2.0, 256))
    ct.launch(0, (1,), scale_spec.scale, (x, y, 2.0, 128))
    connection.send((loaded.hits, loaded.misses, calls.count("cuLaunchKernelEx")))


@pytest.mark.compiler
def test_a_launch_loads_what_was_compiled_ahead_and_compiles_only_the_rest(tmp_path):
    [job] = spec().compile_jobs(PROBLEM, {"tile": 256, "kind": "good"})
    compile_into(CubinStore(tmp_path), job, "sm_90", "source")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=launch_under_fake_driver, args=(tmp_path, theirs))
    process.start()
    theirs.close()
    assert ours.recv() == (1, 1, 3)
    process.join()
