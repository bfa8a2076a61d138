"""Documents that MicroGPT's gate trains on keep clear of ReLU's bend, and depend on seed and sizes alone."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from spak.kernels.microgpt.model import Model, initial_parameters, learning_rates

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")
from spak.kernels.microgpt import drawing, reference  # noqa: E402
from spak.kernels.microgpt.spec import float64_place  # noqa: E402

MODEL = Model(width=8, heads=2, context=8)
STEPS, BATCH = 40, 2


def beginning(seed=1):
    """(parameters, generator) as `make_inputs` has them before it draws documents."""
    generator = Random(seed)
    return initial_parameters(MODEL, generator).astype(np.float32), generator


def nearest(tokens, lengths, parameters):
    """(steps,): the smallest magnitude before ReLU at each step of a run in float64, seen in what ReLU itself is given."""
    training, found = reference.TorchTraining(MODEL, parameters), []
    for step, rate in enumerate(learning_rates(STEPS)):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        given = [torch.from_numpy(array[rows]).long() for array in (tokens, lengths)]
        found.append(
            smallest_given_to_relu(lambda given=given, rate=rate: training.step(*given, float(rate)), given[1])
        )
    return np.array(found)


def smallest_given_to_relu(work, lengths):
    """Of the magnitudes at positions that count, while `work` runs."""
    seen, relu = [], torch.Tensor.relu

    def watched(hidden):
        seen.extend(row[:length].abs().min().item() for row, length in zip(hidden.detach(), lengths, strict=True))
        return relu(hidden)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "relu", watched)
        work()
    return min(seen)


def test_drawn_documents_keep_clear_all_the_way():
    """Drawn without a look at the run, some come nearer than half of what is asked for."""
    parameters, generator = beginning()
    blind = drawing.draw_documents(MODEL, STEPS * BATCH, generator)
    assert nearest(*blind, parameters).min() < drawing.CLEARANCE / 2
    parameters, generator = beginning()
    drawn = drawing.draw_run(MODEL, parameters, generator, batch=BATCH, steps=STEPS)
    assert nearest(*drawn, parameters).min() >= drawing.CLEARANCE
    parameters, generator = beginning()
    again = drawing.draw_run(MODEL, parameters, generator, batch=BATCH, steps=STEPS)
    assert all(np.array_equal(*pair) for pair in zip(drawn, again, strict=True))


def test_where_none_is_clear_the_clearest_is_taken(monkeypatch):
    """Drawing ends, and with more tries no document comes nearer."""
    parameters, _ = beginning()
    training = reference.TorchTraining(MODEL, parameters)
    monkeypatch.setattr(drawing, "CLEARANCE", np.inf)
    first, last = (tries(training, number, monkeypatch) for number in (0, 6))
    assert (last >= first).all()
    assert (last > first).any()


def test_no_first_gradient_is_near_adams_epsilon():
    """Of these seeds, the first documents that are clear of the bend give smaller ones; `draw_run` goes on drawing."""
    given = []
    for seed in range(12):
        parameters, generator = beginning(seed)
        training = reference.TorchTraining(MODEL, parameters)
        given.append(drawing.smallest_gradient(training, drawing.clear_documents(training, BATCH, generator)))
        parameters, generator = beginning(seed)
        drawn = drawing.draw_run(MODEL, parameters, generator, batch=BATCH, steps=1)
        first = reference.train(MODEL, parameters, *drawn, batch=BATCH, steps=1).gradients
        assert first[first != 0].abs().min() >= drawing.SMALLEST_GRADIENT
    assert min(given) < drawing.SMALLEST_GRADIENT


def tries(training, number, monkeypatch):
    """(documents,): how clear those are that are drawn again `number` times."""
    monkeypatch.setattr(drawing, "REDRAWS", number)
    return drawing.distances_of(training, drawing.clear_documents(training, 5, Random(3)))


def test_a_document_may_begin_with_any_token():
    """Were it always the same one, a first position near the bend would be there in whatever is drawn."""
    tokens, _ = drawing.draw_documents(MODEL, 200, Random(5))
    assert set(tokens[:, 0]) == set(range(MODEL.vocab))


def test_positions_beyond_a_document_do_not_count():
    """A row is filled up to the context; those positions have hidden values that train nothing."""
    parameters, generator = beginning()
    tokens, lengths = drawing.draw_documents(MODEL, 6, generator)
    lengths[:] = [2, 3, 4, 5, 6, 8]
    training = reference.TorchTraining(MODEL, parameters)
    found = drawing.distances_of(training, (tokens, lengths))
    alone = [drawing.distances_of(training, (tokens[row : row + 1], lengths[row : row + 1]))[0] for row in range(6)]
    assert found == pytest.approx(alone, rel=1e-9)
    assert (drawing.distances_of(training, (tokens, np.full(6, MODEL.context, np.int32))) < found).any()


@pytest.mark.parametrize(("batch", "context", "place"), [(1, 16, "cpu"), (64, 16, "cpu"), (64, 64, "cuda")])
def test_short_steps_of_float64_take_one_core(batch, context, place):
    """Threads and a GPU wait longer than one core works; who asked has its threads again afterwards."""
    before = torch.get_num_threads()
    with float64_place({"batch": batch, "context": context}, "cuda") as found:
        assert found == place
        assert torch.get_num_threads() == (1 if place == "cpu" else before)
    assert torch.get_num_threads() == before
