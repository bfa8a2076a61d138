"""One file with many problem sizes: parameters that are of the problem become problem sizes, each a run of its own."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from spak.kg.errors import KgError
from spak.kg.evidence.table import from_runs
from spak.kg.files.loader import load
from spak.kg.formats.importing import Import, import_file
from spak.kg.formats.nodes import HardwareName

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def import_(root, file, hw="A100", **changes):
    return import_file(root, Import(file, HardwareName(hw), "gemm", **changes), NOW)


@pytest.fixture
def file(tmp_path, samples):
    """x and y tuned at two sizes n; at n = 64 larger x is slower, at n = 128 faster."""
    results = [
        samples.t4_result({"n": n, "x": x, "y": y}, float(x + y if n == 64 else 9 / (x + y + 1)))
        for n in (64, 128)
        for x in (1, 2, 4)
        for y in (0, 1)
    ]
    return samples.save(tmp_path, samples.t4_file(results))


def t1(folder, size):
    parameters = [
        {"Name": name, "Type": "int", "Values": values, "Default": 1}
        for name, values in (("n", "[64, 128]"), ("x", "[1, 2, 4]"), ("y", "[0, 1]"))
    ]
    space = {"TuningParameters": parameters, "Conditions": [{"Expression": "x <= n", "Parameters": ["x", "n"]}]}
    path = folder / "T1.json"
    path.write_text(json.dumps({"ConfigurationSpace": space, "KernelSpecification": {"ProblemSize": size}}))
    return path


def test_each_value_of_a_problem_parameter_is_a_problem_size(tmp_path, file):
    done = import_(tmp_path / "laws", file, problem_parameters=("n",))
    laws = load(tmp_path / "laws")
    assert (done.trials, len(done.runs)) == (12, 2)
    assert list(laws.ops["gemm"].parameters) == ["x", "y"]
    assert laws.ops["gemm"].problem["n"].default == 64
    table = from_runs([laws.run(run) for run in done.runs])
    assert [dict(problem) for problem in table.problems] == [{"n": 64}, {"n": 128}]
    assert [table.space.config(int(best)) for best in table.best()] == [{"x": 1, "y": 0}, {"x": 4, "y": 1}]


def test_a_file_at_one_size_and_one_at_many_are_of_one_op(tmp_path, file, samples):
    root = tmp_path / "laws"
    import_(root, file, problem_parameters=("n",))
    more = samples.save(tmp_path, samples.t4_file(samples.grid()), "more.json")
    done = import_(root, more, hw="A4000", problem={"n": 256})
    assert load(root).run(done.run).problem == {"n": 256}


def test_a_t1_file_says_which_parameters_are_of_the_problem(tmp_path, file):
    root = tmp_path / "laws"
    done = import_(root, file, space=t1(tmp_path, ["n", 7]))
    op = load(root).ops["gemm"]
    assert (len(done.runs), list(op.parameters), op.open) == (2, ["x", "y"], False)
    assert op.conditions[0].require == "x <= n"
    assert len(import_(tmp_path / "other", file, space=t1(tmp_path, [4096, 4096])).runs) == 1
    assert len(import_(tmp_path / "text", file, space=t1(tmp_path, "n")).runs) == 2


def test_a_condition_is_held_at_each_trials_own_size(tmp_path, samples):
    results = [samples.t4_result({"n": n, "x": x, "y": 0}, 1.0 + x) for n in (64, 2) for x in (1, 4)]
    file = samples.save(tmp_path, samples.t4_file(results))
    space = t1(tmp_path, ["n"])
    space.write_text(space.read_text().replace("[64, 128]", "[2, 64]"))
    with pytest.raises(KgError, match=r"1 results lie outside the space .* `x <= n`, the first at x=4, y=0"):
        import_(tmp_path / "laws", file, space=space)
    assert not (tmp_path / "laws").exists()


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("no parameter 'm' to take for a problem parameter; it has n, x, y", {"problem_parameters": ("m",)}),
        ("every parameter is called a problem parameter", {"problem_parameters": ("n", "x", "y")}),
        ("n is a parameter of the file", {"problem_parameters": ("n",), "problem": {"n": 1}}),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, file, reason, changes):
    with pytest.raises(KgError) as caught:
        import_(tmp_path / "laws", file, **changes)
    assert str(caught.value).startswith(f"{file}: {reason}")
    assert not (tmp_path / "laws").exists()


def test_the_same_times_at_another_size_are_another_run(tmp_path, samples):
    root = tmp_path / "laws"
    runs = set()
    for n in (64, 128):
        results = [samples.t4_result({"n": n, "x": x, "y": 0}, float(x)) for x in (1, 2, 4)]
        file = samples.save(tmp_path, samples.t4_file(results), f"{n}.json")
        runs.add(import_(root, file, problem_parameters=("n",)).run)
    assert len(runs) == 1, "the same numbers are one experiment, whatever the files call their size"
