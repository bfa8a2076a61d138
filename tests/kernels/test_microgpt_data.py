"""MicroGPT's documents, tokens and initial weights are those of microgpt.py."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from spak.kernels.microgpt.data import Corpus, begin, lines_of, small_list
from spak.kernels.microgpt.model import Model, names_and_shapes, num_parameters, offsets


def test_the_default_model_has_the_parameters_of_microgpt():
    """4,192, each matrix where the one before it ends."""
    shapes, starts = names_and_shapes(Model()), offsets(Model())
    assert num_parameters(Model()) == 4192
    assert list(shapes) == list(starts)
    assert starts["lm_head"] == 27 * 16 + 16 * 16
    ends = [starts[name] + rows * columns for name, (rows, columns) in shapes.items()]
    assert [*starts.values(), 4192] == [0, *ends]


def test_every_layer_has_its_matrices():
    """The order is that of the random numbers: a layer after the other."""
    names = list(names_and_shapes(Model(layers=2)))
    assert names[3:9] == [name.replace("layer1", "layer0") for name in names[9:]]


@pytest.mark.parametrize(
    ("sizes", "named"), [({"heads": 3}, "heads"), ({"layers": 0}, "layers"), ({"context": -1}, "context")]
)
def test_sizes_that_make_no_model_are_refused_by_name(sizes, named):
    with pytest.raises(ValueError, match=f"^{named}:"):
        Model(**sizes)


def test_one_generator_shuffles_and_then_draws_the_weights():
    """Drawn the other way round, or with a generator each, every number would differ."""
    start = begin(small_list())
    generator = Random(42)
    documents = [line.strip() for line in small_list() if line.strip()]
    generator.shuffle(documents)
    assert list(start.corpus.documents) == documents
    assert start.parameters.tolist() == [generator.gauss(0, 0.08) for _ in range(4192)]
    assert start.generator.random() == generator.random()


def test_the_small_list_has_the_alphabet_of_the_whole_one():
    """27 tokens: the model of the tests has microgpt.py's size."""
    assert begin(small_list()).model == Model()


def test_a_row_begins_and_ends_with_the_same_token_and_a_long_document_is_cut():
    corpus = Corpus.of(["", " ab ", "abcdef"])
    tokens, lengths = corpus.batches(4, 2)
    bos = corpus.vocab - 1
    assert tokens.tolist() == [[bos, 0, 1, bos, bos], [bos, 0, 1, 2, 3]]
    assert lengths.tolist() == [3, 4]
    assert (tokens.dtype, lengths.dtype) == (np.int32, np.int32)


def test_a_document_that_fills_the_context_leaves_no_room_for_its_end():
    """With as many characters as positions, the end would be target number context + 1."""
    corpus = Corpus.of(["abcd", "abc"])
    tokens, lengths = corpus.batches(4, 2)
    assert tokens.tolist() == [[4, 0, 1, 2, 3], [4, 0, 1, 2, 4]]
    assert lengths.tolist() == [4, 4]


def test_steps_take_the_documents_in_turn_and_begin_again():
    """Also where a run is resumed, and where a batch spans the last document and the first."""
    corpus = Corpus.of(["a", "b", "c"])
    whole = corpus.batches(1, 4, batch=2)[0]
    assert whole[:, 1].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert np.array_equal(corpus.batches(1, 2, batch=2, first_step=2)[0], whole[4:])


def test_data_without_a_document_is_refused():
    with pytest.raises(ValueError, match=r"^data: no document"):
        Corpus.of(["", "  "])


def test_lines_end_at_line_feeds_only(tmp_path):
    """As microgpt.py reads them: a form feed or a line separator is a character of a document."""
    (tmp_path / "text").write_text("a\u2028b\r\nc\n", encoding="utf-8")
    assert Corpus.of(lines_of(tmp_path / "text")).documents == ("a\u2028b", "c")


def test_tokens_are_read_back():
    corpus = Corpus.of(["hello"])
    tokens, lengths = corpus.batches(8, 1)
    assert corpus.text(tokens[0, 1 : lengths[0]]) == "hello"
