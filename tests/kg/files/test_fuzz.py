"""Evil and mutated input from a fixed corpus: a value or a problem with its place; never a traceback, never a hang."""

from __future__ import annotations

import ast
import contextlib
import random
import warnings
from pathlib import Path

import pytest

from spak.kg.errors import InvalidFilesError, KgError
from spak.kg.expression import ExpressionError, parse
from spak.kg.expression.scalar import truth
from spak.kg.files import fmt
from spak.kg.files.loader import load
from spak.kg.files.yaml_reader import read

CORPUS = Path(__file__).parents[1] / "corpus"
FILES = sorted(CORPUS.glob("*.yaml"))
EXPRESSIONS = [ast.literal_eval(line) for line in (CORPUS / "expressions.txt").read_text().splitlines()]

NUM_MUTANTS = 60
pytestmark = pytest.mark.timeout(60)  # these take milliseconds each: only a hang takes that long

_SPLICES = [
    b":",
    b"- ",
    b"[",
    b"]",
    b"{",
    b"}",
    b"\n",
    b"  ",
    b"\t",
    b"#",
    b"&a ",
    b"*a",
    b"!!x ",
    b'"',
    b"'",
    b"|",
    b"\xff",
    b"\x00",
    b"? ",
]


def _mutants(data: bytes, seed: int) -> list[bytes]:
    """Copies of `data` with bytes cut, doubled, spliced in or overwritten; the same ones for the same seed."""
    dice = random.Random(seed)
    mutants = []
    for _ in range(NUM_MUTANTS):
        mutant = data
        for _ in range(dice.randint(1, 4)):
            start = dice.randint(0, len(mutant))
            end = min(len(mutant), start + dice.randint(0, 12))
            middle = dice.choice([b"", mutant[start:end] * 2, dice.choice(_SPLICES), bytes([dice.randrange(256)])])
            mutant = mutant[:start] + middle + mutant[end:]
        mutants.append(mutant)
    return mutants


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_corpus_files_and_their_mutants_are_read_or_refused_with_a_place(path):
    for seed, data in enumerate([path.read_bytes(), *_mutants(path.read_bytes(), seed=len(path.stem))]):
        try:
            document = read(data, "f")
            places = document.places
        except InvalidFilesError as error:
            assert error.problems, seed  # noqa: PT017 - what was raised is what is tested
            assert all(problem.line >= 1 and problem.column >= 1 for problem in error.problems)  # noqa: PT017
        else:
            assert "" in places
            with contextlib.suppress(KgError):
                fmt.formatted(document, "law")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_corpus_file_in_a_law_root_is_reported_with_its_name(law_root, path):
    target = law_root / "sm_120" / "fmha" / path.name
    target.write_bytes(path.read_bytes())
    with pytest.raises(InvalidFilesError) as caught:
        load(law_root)
    assert {problem.path for problem in caught.value.problems} == {str(target)}


@pytest.mark.parametrize("text", EXPRESSIONS, ids=lambda text: repr(text[:20]))
def test_expressions_are_evaluated_or_refused_and_never_run(text):
    dice = random.Random(len(text))
    cuts = [text] + [text[: dice.randint(0, len(text))] + dice.choice("()[]{}.,*'\" \\") + text for _ in range(20)]
    for candidate in cuts:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                expression = parse(candidate)
            except ExpressionError as error:
                assert 0 <= error.column <= len(candidate) + 2  # noqa: PT017
            else:
                values = dict.fromkeys(expression.all_names, 3)
                assert truth(expression.evaluate(values)) in {True, False}
                assert parse(expression.text).text == expression.text
