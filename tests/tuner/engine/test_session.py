"""From names to a search: what is searched for whom, and what is refused in one line."""

from __future__ import annotations

import pytest

from spak.kg.errors import KgError, UnknownNameError
from spak.kg.law.kinds.base import Power
from spak.tuner.backend.compile.backend import open_task
from spak.tuner.backend.compile.toolchain import Toolchain
from spak.tuner.backend.registry import Task
from spak.tuner.engine import session
from spak.tuner.errors import TunerError
from spak.tuner.search import SearchRequest, choosing, field
from tests.shipped import LAWS
from tests.tuner.searching import store


def test_names_aliases_and_device_strings_resolve():
    """A person types what they see: the driver's name, an alias, a named size."""
    found = session.ask(LAWS, "FMHA", "NVIDIA GeForce RTX 5070", "d128-s1024-full")
    assert (found.hw, found.op.id, found.problem_name) == ("rtx5070", "fmha", "d128-s1024-full")
    assert found.problem["head_dim"] == 128
    assert found.facts["gpu_code"] == "sm_120"


def test_a_problem_may_be_typed():
    """Values complete the defaults; a size that has a name gets it, another is named by what differs."""
    assert session.ask(LAWS, "fmha", "h200", "").problem_name == "d64-s1024-causal"
    assert session.ask(LAWS, "fmha", "h200", "causal=false").problem_name == "d64-s1024-full"
    assert session.ask(LAWS, "fmha", "h200", "batch=3,heads=2,kv_heads=2").problem_name == "batch3-heads2-kv_heads2"


@pytest.mark.parametrize(
    ("kernel", "hw", "problem", "words"),
    [
        ("fhma", "rtx5070", "", "fmha"),
        ("layernorm", "rtx5070", "", "unknown kernel 'layernorm'"),
        ("fmha", "rtx5071", "", "rtx5070"),
        ("fmha", "rtx5070", "d64-s1024", "d64-s1024-causal"),
        ("fmha", "rtx5070", "seq=3", "no problem parameter 'seq'"),
        ("fmha", "rtx5070", "batch=", "expected name=value"),
    ],
)
def test_a_wrong_name_is_refused_with_the_right_ones(kernel, hw, problem, words):
    """Every wrong word is one line that names what was meant, or what there is."""
    with pytest.raises((KgError, TunerError)) as error:
        session.ask(LAWS, kernel, hw, problem)
    assert words in str(error.value)
    assert isinstance(error.value, UnknownNameError | KgError | TunerError)


def laws_on_fmha(**asked):
    """The laws of a search for fmha on an RTX 5070."""
    request = SearchRequest("fmha", "rtx5070", strategy="random", **asked)
    question = session.ask(LAWS, request.kernel, request.hw, "")
    where = field(LAWS, question, request)
    return choosing(LAWS, where, question.hw, request, "tileiras 13.4.92").restriction


def test_without_laws_the_same_path_has_no_rules():
    """An ablation differs in one input: the space is the same, the rules are gone."""
    with_laws, without = laws_on_fmha(use_laws=True), laws_on_fmha(use_laws=False)
    assert without.rules == ()
    assert len(without.space) == len(with_laws.space) > 1000
    near = laws_on_fmha(use_laws=True, transfer=False)
    assert {rule.match.hw for rule in with_laws.rules} >= {"transferred"}
    assert "transferred" not in {rule.match.hw for rule in near.rules}


def test_the_shipped_laws_postpone_what_spills_and_remove_nothing_on_sm_120():
    """Nothing was ever timed on sm_120 here, so no law may remove; the confirmed spill laws reorder."""
    found = laws_on_fmha(use_laws=True)
    assert not found.removed.any()
    spills = [rule for rule in found.live if rule.law.claim.because == "register-spill"]
    assert any(rule.law.status == "confirmed" and rule.power is Power.POSTPONE and rule.count > 1000 for rule in spills)


def test_hardware_that_is_no_device_cannot_be_compiled_for(tmp_path):
    """An architecture names no compute capability; a capability has no clock to predict with."""
    tools = Toolchain("t", "n", {"tileiras": "13.4.92"})
    for hw, words in (("blackwell", "compute capability"), ("sm_120", "boost_clock_ghz")):
        question = session.ask(LAWS, "fmha", hw, "")
        with pytest.raises(TunerError, match=words):
            open_task(Task(hw, question.op, question.facts, tmp_path, 1), tools)


def test_what_is_taken_where_nothing_is_named_is_data_of_the_law_root():
    """No GPU and no kernel is named in the code; a root without defaults says so."""
    assert (session.usual(LAWS.hardware, "hardware"), session.usual(LAWS.ops, "op")) == ("rtx5070", "fmha")
    with pytest.raises(TunerError, match="no hardware is named, and none of the law root says `default: true`"):
        session.usual(store().hardware, "hardware")
