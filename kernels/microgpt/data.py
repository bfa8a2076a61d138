"""Documents, the characters they are made of, and the tokens that each step trains on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from random import Random

import numpy as np

from spak.kernels.microgpt.model import Model, initial_parameters

SEED = 42
"""Source: microgpt.py."""
SMALL = files("spak.kernels.microgpt") / "names-small.txt"
"""A short list of our own, with every letter, an empty line, and a name longer than microgpt.py's context."""


@dataclass(frozen=True)
class Corpus:
    """Documents in the order they are trained on, and their characters.

    Attributes:
        documents: None of them empty.
        characters: Every character, sorted; a character's place is its token, and the next token begins and ends a document.
    """

    documents: tuple[str, ...]
    characters: str

    @classmethod
    def of(cls, lines: Iterable[str]) -> Corpus:
        """A document a line, without the blanks at its ends; empty lines are none.

        Raises:
            ValueError: If no line has a character.
        """
        documents = tuple(document for line in lines if (document := line.strip()))
        if not documents:
            raise ValueError("data: no document in it; one line is one document")
        return cls(documents, "".join(sorted(set("".join(documents)))))

    @property
    def vocab(self) -> int:
        """Tokens: a `Model` for this corpus has as many."""
        return len(self.characters) + 1

    def shuffled(self, generator: Random) -> Corpus:
        """The same documents, in the order that `generator` draws."""
        documents = list(self.documents)
        generator.shuffle(documents)
        return Corpus(tuple(documents), self.characters)

    def text(self, tokens: Iterable[int]) -> str:
        """The characters of `tokens`."""
        return "".join(self.characters[token] for token in tokens)

    def batches(
        self, context: int, steps: int, *, batch: int = 1, first_step: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """What `steps` steps train on, each on the next `batch` documents; after the last one the first comes again.

        Args:
            context: Positions of the model; the rest of a longer document is left out.
            steps: Steps, from `first_step` on.
            batch: Documents a step.
            first_step: 0 for the first of all.

        Returns:
            Tokens (steps * batch, context + 1), int32: input i is token i, its target token i + 1, filled up with the token
            that ends a document. Lengths (steps * batch,), int32: inputs of a row that have a target.
        """
        token = {character: index for index, character in enumerate(self.characters)}
        bos = len(self.characters)
        tokens = np.full((steps * batch, context + 1), bos, np.int32)
        lengths = np.empty(steps * batch, np.int32)
        for row in range(steps * batch):
            document = self.documents[(first_step * batch + row) % len(self.documents)]
            inside = [token[character] for character in document[:context]]
            tokens[row, 1 : len(inside) + 1] = inside
            lengths[row] = min(context, len(document) + 1)
        return tokens, lengths


@dataclass(frozen=True)
class Beginning:
    """Where a run begins.

    Attributes:
        corpus: Shuffled.
        model: With the corpus's vocabulary.
        parameters: (num_parameters,), float64.
        generator: Its next numbers are the samples'.
    """

    corpus: Corpus
    model: Model
    parameters: np.ndarray
    generator: Random


def begin(
    lines: Iterable[str], *, seed: int = SEED, width: int = 16, layers: int = 1, heads: int = 4, context: int = 16
) -> Beginning:
    """Shuffle the documents, then draw the weights, as microgpt.py does with one generator.

    Raises:
        ValueError: If no line is a document, or the sizes make no model.
    """
    generator = Random(seed)  # noqa: S311  # microgpt.py's numbers, not a secret
    corpus = Corpus.of(lines)
    model = Model(corpus.vocab, width, layers, heads, context)
    corpus = corpus.shuffled(generator)
    return Beginning(corpus, model, initial_parameters(model, generator), generator)


def lines_of(path: Path) -> list[str]:
    """Lines of a text file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is not UTF-8.
    """
    return path.read_text(encoding="utf-8").split("\n")


def small_list() -> list[str]:
    """Lines of the list that comes with the package, for tests."""
    return SMALL.read_text(encoding="utf-8").split("\n")
