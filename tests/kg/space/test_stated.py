"""Sizes by name and values that exist: one reading for every command and for Python."""

from __future__ import annotations

import pytest

from spak.cli import app, kg, tune
from spak.kg.answers.query import Ask
from spak.kg.answers.why import why
from spak.kg.errors import KgError, UnknownNameError
from spak.kg.expression.assignment import show_assignments
from spak.kg.model.base import IMPLIED
from spak.kg.space.completion import check_configuration, complete, stated
from tests.shipped import LAWS

FMHA = LAWS.ops["fmha"]


def test_a_name_is_the_whole_size_and_assignments_only_what_they_say():
    named = stated([FMHA], "d64-s1024-causal")
    assert complete(FMHA, named) == complete(FMHA, FMHA.problems["d64-s1024-causal"])
    assert set(named) == set(FMHA.problem) - set(IMPLIED)
    assert stated([FMHA], "head_dim=64,causal=true") == {"head_dim": 64, "causal": True}
    assert stated([FMHA], "") == {}


def test_what_follows_a_name_changes_the_size():
    """So any named size is judged on other inputs in one word more."""
    named = stated([FMHA], "d64-s1024-causal")
    assert stated([FMHA], "d64-s1024-causal, inputs=sink") == {**named, "inputs": "sink"}
    assert stated([FMHA], "d64-s1024-causal,seq_kv=2048")["seq_kv"] == 2048
    with pytest.raises(KgError, match="expected name=value"):
        stated([FMHA], "d64-s1024-causal,sink")
    with pytest.raises(KgError, match="inputs is one of normal"):
        complete(FMHA, stated([FMHA], "d64-s1024-causal,inputs=std-3"))


def test_the_name_of_a_relatives_size_counts_and_an_unknown_one_is_told_its_nearest():
    assert stated([LAWS.ops["attention"], FMHA], "d64-s1024-causal")["head_dim"] == 64
    with pytest.raises(UnknownNameError) as unknown:
        stated([FMHA], "d64-s1024-casual")
    assert "d64-s1024-causal" in unknown.value.nearest


@pytest.mark.uncounted
@pytest.mark.parametrize(
    ("registry", "command"),
    [
        (kg.COMMANDS, ("kg", "export", "--hw", "h200")),
        (tune.COMMANDS, ("tune", "first", "--hw", "h200", "--format", "json")),
    ],
    ids=["kg export", "tune first"],
)
def test_a_command_takes_a_size_by_name_or_by_values(registry, command, capsys):
    """The two said that a name is no assignment."""
    program, *words = command

    def answer(problem: str) -> str:
        asked = ["--laws", str(LAWS.root), *words, "--op", "matmul", "--problem", problem]
        assert app.run_app(app.build_app(registry=registry, help_text="."), program, asked) == 0
        return capsys.readouterr().out

    named = answer("m2048")
    assert named == answer(
        show_assignments(complete(LAWS.ops["matmul"], LAWS.ops["matmul"].problems["m2048"]), separator=",")
    )
    assert named != answer("m=512")
    asked = ["--laws", str(LAWS.root), *words, "--op", "matmul", "--problem", "m2O48"]
    assert app.run_app(app.build_app(registry=registry, help_text="."), program, asked) == 2
    assert "m2048" in capsys.readouterr().err


def test_a_value_that_its_parameter_has_not_is_refused():
    with pytest.raises(KgError, match=r"tile_m=129: tile_m of op 'fmha' is one of 32, 64, 128"):
        check_configuration([FMHA], {"tile_m": 129})
    with pytest.raises(KgError, match="tile_m=129"):
        why(LAWS, Ask("rtx5070", "fmha"), {"tile_m": 129})
    why(LAWS, Ask("rtx5070", "attention"), {"tile_m": 128})


def test_what_is_no_parameter_and_an_open_op_may_have_any_value():
    from msgspec.structs import replace

    check_configuration([FMHA], {"spill_bytes": 12})
    check_configuration([replace(FMHA, open=True)], {"tile_m": 129})
