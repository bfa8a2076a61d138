"""The documents that larger sizes of MicroGPT are timed on."""

import numpy as np

from bench.microgpt_scale import STEPS, Size, full_documents
from spak.kernels.microgpt.data import begin, small_list


def test_documents_are_full_and_are_the_names_in_their_order():
    """Every position has a target; a piece goes on where the one before ended."""
    size = Size(width=16, layers=1, context=10, batch=3)
    beginning = begin(small_list(), context=size.context)
    tokens, lengths = full_documents(beginning, size)
    assert tokens.shape == (3 * STEPS, size.context + 1)
    assert (lengths == size.context).all()
    first, second = beginning.corpus.documents[:2]
    text = "".join(
        "|" if token == beginning.model.bos else beginning.corpus.text([token]) for token in np.ravel(tokens)
    )
    assert text.startswith(f"|{first}|{second}|")
