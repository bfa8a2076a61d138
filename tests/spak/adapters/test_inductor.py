"""Inductor's choice between kernels: one compilation with the real one, the rest with choices of its form."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

import spak
from spak.adapters.inductor import InductorTuning, choice_parameters

NAMES = {"BLOCK_M": "bx", "BLOCK_N": "by", "GROUP_M": "unroll", "EVEN_K": ""}
INFINITE = float("inf")


class Node:
    """An input of a choice."""

    def __init__(self, *size):
        self.size = size

    def get_size(self):
        return self.size

    def get_dtype(self):
        return "torch.float16"


class Choice:
    """What a hook sees of a `ChoiceCaller`."""

    def __init__(self, name, description="", failed=False, size=(7, 64)):
        self.name, self.description, self.failed = name, description, failed
        self.input_nodes = [Node(*size)]


def described(bx, by=1, k=32):
    return f"ACC_TYPE='tl.float32', BLOCK_K=32, BLOCK_M={bx}, BLOCK_N={by}, EVEN_K={k == bx}, GROUP_M=0, num_warps=4"


def choices(*bx, **more):
    return [Choice("mm"), *(Choice(f"triton_mm_{x}_{by}", described(x, by), **more) for x in bx for by in (1, 4))]


@pytest.fixture
def asked(kernel):
    return replace(kernel, names=NAMES)


def names(found):
    return [choice.name for choice in found]


def test_a_description_says_what_a_choice_sets():
    """As templates write it; another choice has none."""
    found = choice_parameters(Choice("", described(64)))
    assert list(found.values()) == ["tl.float32", 32, 64, 1, False, 0, 4]
    assert list(found)[:2] == ["ACC_TYPE", "BLOCK_K"]
    assert choice_parameters(Choice("", "LAYOUT=torch.strided, SHAPE=(1,)")) == {
        "LAYOUT": "torch.strided",
        "SHAPE": "(1,)",
    }
    assert choice_parameters(Choice("mm")) == {}


def test_choices_are_sifted_and_ordered_all_others_kept(asked, hard):
    """What all choices have alike needs no name; PyTorch's own operators are never left out."""
    tuning = InductorTuning(asked, "triton_mm_", toolchain="")
    found = tuning.preprocess([*choices(16, 64), Choice("cpp_0")])
    assert names(found) == ["mm", "cpp_0", "triton_mm_64_4", "triton_mm_64_1"]
    only = [Choice("bmm")]
    assert tuning.preprocess(only) is only


def test_what_varies_and_has_no_name_is_unknown_to_the_op(asked, hard, caplog):
    """So nothing is left out by it."""
    caplog.set_level(logging.INFO, "spak.adapters")
    tuning = InductorTuning(replace(asked, names={**NAMES, "BLOCK_N": "by2"}), "triton_mm_", toolchain="")
    assert len(tuning.preprocess(choices(16, 64))) == 5
    assert "op 'conv' has no parameter 'by2'" in caplog.text


def test_times_become_evidence_failures_included(asked, now):
    """Infinite ones, and those that never compiled; what Inductor skipped was not tried."""
    tuning = InductorTuning(asked, "triton_mm_")
    found = tuning.preprocess(choices(64, 128))
    mm, *ours = found
    ours[1].failed = True
    tuning.feedback({mm: 0.01, ours[0]: 0.02, ours[2]: INFINITE}, "mm", [], found, None, {})
    tuning.feedback({mm: 0.01}, "mm", [], [mm], None)
    tuning.feedback({ours[0]: 0.02}, "mm", [], found, None)
    (told,) = tuning.results(now, checked=True)
    assert [(one.time_us, one.failure and one.stage) for one in told.tried] == [
        *((20.0, ""), (None, "compile"), (None, "runtime")),
    ]
    done = spak.record(asked.laws.root, told)
    assert (done.trials, done.failures) == (3, 2)


def test_the_problem_size_is_that_of_the_inputs(asked, caplog, now):
    """And where a size is only a symbol, nothing is asked."""
    op = spak.op("mine", {"bx": [64, 128], "by": [1, 4], "unroll": [0]}, problem={"n": 1}, is_a=["conv"])
    tuning = InductorTuning(replace(asked, op=op), "triton_mm_", lambda inputs: {"n": inputs[0][0][0]})
    for size in (7, 9):
        found = tuning.preprocess(choices(64, size=(size, 64)))
        tuning.feedback({found[1]: 0.02}, "mm", [], found, None)
    assert [told.problem for told in tuning.results(now)] == [{"n": 7}, {"n": 9}]
    given = choices(64, size=(None, 64))
    assert tuning.preprocess(given) is given
    assert "the problem size is not known" in caplog.text


def test_laws_are_asked_for_code_of_tritons_compiler(asked, monkeypatch):
    """Or of torch where there is no Triton."""
    from spak.adapters import inductor

    assert not inductor._version("no-such-package")
    monkeypatch.setattr(inductor, "_version", {"torch": "2.11.0", "triton": "3.6.0"}.get)
    assert InductorTuning(asked, "")._kernel.laws.toolchain == "triton 3.6.0"
    monkeypatch.setattr(inductor, "_version", {"torch": "2.13.0"}.get)
    assert InductorTuning(asked, "")._kernel.laws.toolchain == "torch 2.13.0"


class Request:
    """What times a template: a recorded time, or the failure of a launch."""

    module_path = None
    num_stages, num_warps, n_regs = 2, 4, 0

    def __init__(self, key, time_us):
        self.module_cache_key, self.time_us = key, time_us

    def precompile(self):
        """There is nothing to compile."""

    def benchmark(self, *_, out=None):
        if self.time_us is None:
            raise RuntimeError("out of shared memory")
        return self.time_us


@pytest.mark.slow
def test_the_real_inductor_asks_and_tells(asked, hard, now):
    """A product compiled on the CPU, among whose choices are templates that a GPU would have; only their times are made up."""
    torch = pytest.importorskip("torch", reason="needs torch")
    from torch._inductor import config
    from torch._inductor.select_algorithm import TritonTemplateCaller, get_algorithm_selector_cache

    times = {16: 7000.0, 64: 5000.0, 128: None}
    seen = []

    def with_templates(found):
        """PyTorch's product, and templates beside it."""
        mm = found[0]
        return [
            mm,
            *(
                TritonTemplateCaller(
                    f"triton_mm_{bx}", mm.input_nodes, mm.layout, None, described(bx), Request(f"{bx}", time)
                )
                for bx, time in times.items()
            ),
        ]

    def after(found):
        seen.append(names(found))
        return found

    cache = get_algorithm_selector_cache()
    tuning = InductorTuning(replace(asked, problem={}), "triton_mm_", toolchain="")
    patched = config.patch(max_autotune_gemm=True, max_autotune_gemm_backends="ATEN", force_disable_caches=True)
    cache.add_preprocessing_fn(with_templates)
    try:
        with tuning.installed(), patched:
            cache.add_preprocessing_fn(after)
            a, b = torch.ones(7, 64), torch.ones(64, 5)
            assert torch.equal(torch.compile(lambda a, b: a @ b)(a, b), a @ b)
    finally:
        cache.clear_preprocessing_fns()
    assert seen == [["mm", "triton_mm_64", "triton_mm_128"]]
    (told,) = tuning.results(now, checked=True)
    assert told.tool == f"torch._inductor {torch.__version__}"
    done = spak.record(asked.laws.root, told)
    assert (done.trials, done.failures) == (2, 1)
    run = spak.load(asked.laws.root).laws.run(done.run)
    assert run.trials[0].value("time") == 5_000_000.0
    assert not cache.feedback_saver_fns
