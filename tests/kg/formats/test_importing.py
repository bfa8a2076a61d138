"""`kg import`: run files and the nodes they need, all or nothing."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spak.kg.errors import KgError
from spak.kg.files.loader import load
from spak.kg.formats import importing
from spak.kg.formats.importing import Import, import_file
from spak.kg.formats.nodes import HardwareName

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def import_(root, file, hw="A100", op="conv", arch="", vendor="", **changes):
    return import_file(root, Import(file, HardwareName(hw, arch, vendor), op, **changes), NOW)


def t1(folder, x="[1, 2, 4]", conditions=(), default=2):
    parameters = [
        {"Name": "x", "Type": "int", "Values": x, "Default": default},
        {"Name": "y", "Type": "int", "Values": "[0, 1]", "Default": 1},
    ]
    conditions = [{"Expression": text, "Parameters": []} for text in conditions]
    path = folder / "T1.json"
    path.write_text(json.dumps({"ConfigurationSpace": {"TuningParameters": parameters, "Conditions": conditions}}))
    return path


@pytest.fixture
def file(tmp_path, samples):
    return samples.save(tmp_path, samples.t4_file(samples.grid()))


def test_an_import_makes_a_root_with_hardware_op_and_run(tmp_path, file):
    root = tmp_path / "laws"
    done = import_(root, file, arch="Ampere", vendor="NVIDIA")
    laws = load(root)
    assert {name: node.is_a for name, node in laws.hardware.items()} == {
        "nvidia": (),
        "ampere": ("nvidia",),
        "a100": ("ampere",),
    }
    assert {name: p.values for name, p in laws.ops["conv"].parameters.items()} == {"x": (1, 2, 4), "y": (0, 1)}
    assert laws.ops["conv"].open
    run = laws.run(done.run)
    assert (run.hw, run.op, len(run.trials), done.failures) == ("a100", "conv", 6, 1)
    assert run.created == "2024-01-01T00:00:00+00:00"
    assert run.trials[0].value("time") == 6000.0


def test_hardware_that_nobody_described_is_a_node_without_parents_or_facts(tmp_path, file):
    import_(tmp_path / "laws", file, hw="MI250X")
    node = load(tmp_path / "laws").hardware["mi250x"]
    assert (node.title, node.is_a, node.facts) == ("MI250X", (), {})


def test_known_hardware_is_found_by_alias_and_not_written_again(tmp_path, file):
    root = tmp_path / "laws"
    import_(root, file, hw="RTX A4000")
    again = import_(root, file, hw="rtx_a4000")
    assert again.written == ()


def test_the_same_results_twice_or_in_another_format_change_nothing(tmp_path, file, samples):
    root = tmp_path / "laws"
    first = import_(root, file)
    before = tree(root)
    cache = samples.save(tmp_path, {**samples.cache_file(), "problem_size": None}, "cache.json")
    again = import_(root, cache)
    assert (again.run, again.written, tree(root)) == (first.run, (), before)


def test_an_open_op_grows_by_union_and_keeps_its_comments(tmp_path, file, samples):
    root = tmp_path / "laws"
    import_(root, file)
    path = root / "ops" / "conv.yaml"
    path.write_text("# mine\n" + path.read_text())
    more = [samples.t4_result({"x": x, "y": 0}, float(x)) for x in (3, 8)]
    import_(root, samples.save(tmp_path, samples.t4_file(more), "more.json"), hw="A4000")
    assert load(root).ops["conv"].parameters["x"].values == (1, 2, 3, 4, 8)
    assert path.read_text().startswith("# mine\n")


def test_numbers_that_yaml_loaders_read_differently_are_imported_and_extended(tmp_path, samples):
    """Python writes 1e-05, which YAML 1.1 takes for text: an import wrote it so, and then refused its own op file."""
    root = tmp_path / "laws"
    for values in ([1e-05, 2.5e20, 4], [1e-05, 2.5e20, 1e-07]):
        content = samples.cache_file()
        content["tune_params"]["x"] = values
        for entry in content["cache"].values():
            entry["x"] = dict(zip((1, 2, 4), values, strict=True))[entry["x"]]
            entry.pop("times", None)
            entry["time"] = 1.0 if isinstance(entry["time"], float) else entry["time"]
        del content["tune_params"]
        import_(root, samples.save(tmp_path, content), hw=f"gpu {values[2]}")
    assert load(root).ops["conv"].parameters["x"].values == (1e-07, 1e-05, 4, 2.5e20)
    assert "    values: [1.0e-07, 1.0e-05, 4, 2.5e+20]\n" in (root / "ops/conv.yaml").read_text()


def test_a_parameter_that_is_no_finite_number_is_refused_by_name(tmp_path, samples):
    content = samples.t4_file(samples.grid())
    for result in content["results"]:
        result["configuration"]["x"] *= float("inf")
    with pytest.raises(KgError, match=r"conv\.yaml: parameters: inf is not a finite number"):
        import_(tmp_path / "laws", samples.save(tmp_path, content))
    assert not (tmp_path / "laws").exists()


def test_a_cache_adds_its_problem_size_to_an_open_op(tmp_path, file, samples):
    root = tmp_path / "laws"
    import_(root, file)
    done = import_(root, samples.save(tmp_path, samples.cache_file(), "cache.json"), hw="A4000")
    laws = load(root)
    assert laws.ops["conv"].problem["problem_size"].default == "64x32"
    assert laws.run(done.run).problem == {"problem_size": "64x32"}
    assert laws.run(done.run).device.name == "Some GPU"


def test_a_t1_file_closes_the_op_with_its_defaults_and_conditions(tmp_path, file):
    root = tmp_path / "laws"
    import_(root, file, space=t1(tmp_path, "[1, 2, 4, 8]", ["1 <= x * (y + 1) <= 16"]))
    op = load(root).ops["conv"]
    assert not op.open
    assert op.parameters["x"].values == (1, 2, 4, 8)
    assert op.parameters["x"].default == 2
    assert op.conditions[0].require == "1 <= x * (y + 1) and x * (y + 1) <= 16"


def test_a_t1_file_closes_an_open_op_later_and_agrees_again(tmp_path, file, samples):
    root = tmp_path / "laws"
    import_(root, file)
    more = samples.save(tmp_path, samples.t4_file(samples.grid()[:2]), "more.json")
    import_(root, more, hw="A4000", space=t1(tmp_path))
    assert not load(root).ops["conv"].open
    assert "open" not in (root / "ops" / "conv.yaml").read_text()
    other = samples.save(tmp_path, samples.t4_file(samples.grid()[:3]), "other.json")
    import_(root, other, hw="A6000", space=t1(tmp_path))


def refused(tmp_path, root, file, reason, **changes):
    before = tree(root) if root.exists() else {}
    with pytest.raises(KgError) as caught:
        import_(root, file, **changes)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (tree(root) if root.exists() else {}) == before


def test_results_outside_a_closed_space_are_refused(tmp_path, file):
    root = tmp_path / "laws"
    refused(tmp_path, root, file, "2 results lie outside the space of op 'conv'", space=t1(tmp_path, "[1, 2]"))
    refused(tmp_path, root, file, "they break `x < 4`, the first at x=4, y=0", space=t1(tmp_path, conditions=["x < 4"]))


def test_results_marked_as_breaking_the_conditions_may_break_them(tmp_path, samples):
    results = samples.grid()
    for result in results[4:]:
        result.update(invalidity="constraints", correctness=0)
        result["measurements"][0]["value"] = "InvalidConfig"
    file = samples.save(tmp_path, samples.t4_file(results))
    assert import_(tmp_path / "laws", file, space=t1(tmp_path, conditions=["x < 4"])).failures == 2


def test_parameters_that_do_not_match_are_refused(tmp_path, file, samples):
    root = tmp_path / "laws"
    import_(root, file)
    other = samples.save(tmp_path, samples.t4_file([samples.t4_result({"x": 1, "z": 0}, 1.0)]), "other.json")
    refused(tmp_path, root, other, "they lack y and have z, which it has not")
    refused(tmp_path, root, other, "do not match the parameters of the T1 file", space=t1(tmp_path))


def test_what_contradicts_the_known_is_refused(tmp_path, file, samples):
    root = tmp_path / "laws"
    import_(root, file, arch="ampere", vendor="nvidia")
    refused(tmp_path, root, file, "A100 is known and is no hopper", arch="hopper")
    refused(tmp_path, root, file, "makes no id", hw="???")
    (root / "ops" / "group.yaml").write_text("id: group\ntitle: A group\n")
    refused(tmp_path, root, file, "has no tunable parameters", op="group")
    refused(tmp_path, root, file, "T1 condition 'open(x)'", op="new", space=t1(tmp_path, conditions=["open(x)"]))
    narrow = samples.save(tmp_path, samples.t4_file(samples.grid()[:2]), "narrow.json")
    refused(tmp_path, root, narrow, "leaves out x=2", space=t1(tmp_path, "[1]", default=1))


def test_a_closed_op_takes_no_other_space_and_no_unknown_problem(tmp_path, file, samples):
    root = tmp_path / "laws"
    import_(root, file, space=t1(tmp_path))
    refused(tmp_path, root, file, "other values of x than the T1 file", space=t1(tmp_path, "[1, 2, 4, 8]"))
    cache = samples.save(tmp_path, samples.cache_file(), "cache.json")
    refused(tmp_path, root, cache, "no problem parameter problem_size")
    refused(tmp_path, root, file, "no problem parameter n", problem={"n": 3})


def test_an_unreadable_file_leaves_no_root_behind(tmp_path):
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    refused(tmp_path, tmp_path / "laws", bad, "truncated")


def test_a_check_that_fails_after_all_is_written_takes_everything_back(tmp_path, file, samples, monkeypatch):
    root = tmp_path / "laws"
    import_(root, file)
    before = tree(root)
    more = samples.save(tmp_path, samples.t4_file([samples.t4_result({"x": 3, "y": 0}, 1.0)]), "more.json")
    loads = []

    def failing(path):
        loads.append(path)
        if len(loads) > 1:
            assert tree(root) != before
            raise KgError("does not load")
        return load(path)

    monkeypatch.setattr(importing, "load", failing)
    with pytest.raises(KgError, match="does not load"):
        import_(root, more, hw="A4000")
    assert tree(root) == before


def test_results_under_long_names_are_told_apart(tmp_path, samples):
    """The digest was cut off the id, and the second file's results were said to be there already."""
    root = tmp_path / "laws"
    for time_ in (1.0, 2.0):
        name = samples.save(tmp_path, samples.t4_file([samples.t4_result({"x": 1}, time_)]))
        assert import_(root, name, hw="h" * 70, op="o" * 70).written
    assert len(load(root).run_ids) == 2


def test_large_runs_are_packed(tmp_path, samples):
    results = [samples.t4_result({"x": x, "y": y, "z": 7}, 1.0 + x + y) for x in range(200) for y in range(100)]
    for result in results:
        result["times"]["runtimes"] = [result["measurements"][0]["value"]] * 32
    file = samples.save(tmp_path, samples.t4_file(results))
    done = import_(tmp_path / "laws", file)
    assert done.trials == 20_000
    path = done.written[-1]
    assert path.name.endswith(".json.gz")
    assert path.stat().st_size < file.stat().st_size / 20


def test_small_runs_stay_readable(tmp_path, file):
    assert json.loads(import_(tmp_path / "laws", file).written[-1].read_text())["hw"] == "a100"


def test_packing_is_the_same_every_time(tmp_path, hub):
    one = import_(tmp_path / "a", hub / "A100_T4.json.gz").written[-1].read_bytes()
    two = import_(tmp_path / "b", hub / "A100_T4.json.gz").written[-1].read_bytes()
    assert one == two
    assert gzip.decompress(one)


def test_the_public_space_holds_the_public_results(tmp_path, hub):
    assert import_(tmp_path / "laws", hub / "W6600_T4.json.gz", space=hub / "T1.json").trials == 4362


def test_results_of_another_known_device_are_not_recorded_under_this_name(tmp_path, samples):
    root = tmp_path / "laws"
    first = import_(root, samples.save(tmp_path, samples.cache_file(), "first.json"), hw="Some GPU", op="one")
    assert first.hw == "some-gpu"
    again = samples.save(tmp_path, samples.cache_file(), "again.json")
    refused(tmp_path, root, again, "it says that it ran on 'Some GPU', which is some-gpu, not a100", op="two")
