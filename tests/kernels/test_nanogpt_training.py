"""`python -m spak.nanogpt train`: settings, data, reports, checkpoints that resume bitwise, and one line for what is wrong."""

from __future__ import annotations

import math
from dataclasses import fields
from hashlib import sha256
from itertools import count

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")

from spak.kernels.nanogpt import command  # noqa: E402
from spak.kernels.nanogpt.data import SMALL_TEXT, read_data  # noqa: E402
from spak.kernels.nanogpt.loss_plot import loss_plot  # noqa: E402
from spak.kernels.nanogpt.parameters import GptConfig  # noqa: E402
from spak.kernels.nanogpt.settings import TrainingSettings, read_settings  # noqa: E402
from spak.kernels.nanogpt.surroundings import TrainingSurroundings, plain_operators  # noqa: E402
from spak.kernels.nanogpt.training import TrainingRun, flops_per_token  # noqa: E402
from spak.nanogpt import main, peak_tflops  # noqa: E402

TINY = "width: 16\nlayers: 1\nheads: 2\ncontext: 8\nbatch: 2\nsteps: 6\nevery: 2\nevaluate_every: 4\nevaluation_batches: 2\nsample_length: 9\ndevice: cpu\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a text and a configuration, which the commands run in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text(SMALL_TEXT.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(TINY)
    return tmp_path


def train(*options: str) -> int:
    return main(["train", "--config", "tiny.yaml", "--data", "text", *options])


def setting(*changes: str) -> list[str]:
    return [word for change in changes for word in ("--set", change)]


def run_of(place, *changes: str, checkpoint=None) -> TrainingRun:
    settings = read_settings(place / "tiny.yaml", changes)
    clock = count()
    world = TrainingSurroundings(plain_operators, peak_tflops, lambda: float(next(clock)))
    return TrainingRun(settings, read_data(place / "text", settings.context, settings.vocab), world, checkpoint)


def test_it_says_what_trains_reports_losses_and_prints_a_sample(place, capsys):
    """Samples are data, on stdout; the table says what computes the operators."""
    assert train("--plot", "loss.svg") == 0
    shown = capsys.readouterr()
    assert len(shown.out) == 10
    lines = shown.err.splitlines()
    assert lines[0].startswith("4,032 parameters on cpu in float32; 626 tokens of 37 characters, 70 for validation")
    assert [line for line in lines if "PyTorch" in line] == ["  every operator  PyTorch: no kernel for device 'cpu'"]
    reports = [line for line in lines if line.startswith("step")]
    assert [report.split("  ")[0] for report in reports] == ["step 2 / 6", "step 4 / 6", "step 6 / 6"]
    assert ["validation" in report for report in reports] == [False, True, True]
    assert "<polyline" in (place / "loss.svg").read_text()


def test_a_reason_that_most_operators_share_is_said_once():
    """After what the others say; half of them are not most."""
    short = command.reasons_in_short
    assert short({"a": "x", "b": "y", "c": "x", "d": "x"}) == {"b": "y", "all others": "x"}
    assert short({"a": "x", "b": "y"}) == {"a": "x", "b": "y"}
    assert short({"a": "x", "b": "x"}) == {"every operator": "x"}
    assert short({}) == {}


def test_it_learns(place):
    """Its losses fall well below that of guessing, and the validation loss with them."""
    run = run_of(place, "steps=60", "every=60", "evaluate_every=60", "learning_rate=1e-2", "warmup=5", "batch=16")
    (report,) = run
    assert run.losses[0] == pytest.approx(math.log(37), rel=0.05)
    assert run.losses[-10:].mean() < 3.0
    assert report.validation_loss < 3.3
    assert report.tokens_per_second == 59 * 16 * 8  # in the one second that the clock says passed


@pytest.mark.parametrize(
    "changes", [(), ("dropout=0.3", "accumulation=2"), ("dtype=bfloat16",)], ids=["plain", "dropout", "bf16"]
)
def test_a_run_that_is_resumed_ends_bitwise_where_an_uninterrupted_one_does(place, capsys, monkeypatch, changes):
    """Parameters, moments, losses and evaluations after a stop between two reports; the samples, too."""
    options = setting(*changes, "deterministic=true")
    assert train(*options, "--checkpoint", "whole") == 0
    whole = capsys.readouterr().out
    with monkeypatch.context() as patch:
        patch.setattr("spak.kernels.nanogpt.command.report_line", interrupted_after(2))
        assert train(*options, "--checkpoint", "parts") == 130
    with np.load("parts") as found:
        assert int(found["steps"]) == 4
    assert train(*options, "--checkpoint", "parts") == 0
    shown = capsys.readouterr()
    assert "going on after step 4" in shown.err
    assert shown.out == whole
    with np.load("whole") as one, np.load("parts") as other:
        assert all(np.array_equal(one[name], other[name]) for name in one.files)
        assert len(one["evaluations"]) == 2


def interrupted_after(reports: int):
    left = count(1)

    def line(*_) -> str:
        if next(left) == reports:
            raise KeyboardInterrupt
        return ""

    return line


def test_accumulated_micro_batches_are_one_batch(place):
    """Twice two sequences give the gradient of the four: the norm before clipping and the loss say so."""
    run = run_of(place, "accumulation=2", "steps=1", "every=1", "evaluate_every=1")
    whole = run_of(place, "batch=4", "steps=1", "every=1", "evaluate_every=1")
    batches = run.batches(0)
    run.step.run(batches)
    whole.step.run([torch.cat(list(batches), 1)])
    torch.testing.assert_close(run.step.history(), whole.step.history())
    torch.testing.assert_close(run.step.state.parameters, whole.step.state.parameters, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("poison", "tensor"),
    [
        ("h.0.mlp.c_fc.weight", "parameter h.0.mlp.c_fc.weight"),
        (None, "the residual stream after h.0.attn"),
    ],
)
def test_a_run_that_meets_nan_stops_with_the_step_and_the_tensor(place, poison, tensor, monkeypatch):
    """Steps after the bad one change nothing, so what is left can be looked at."""
    run = run_of(place, "steps=8", "every=4", "evaluate_every=4")
    next(run)
    if poison:
        run.step.network.parameters[poison][3, 2] = math.nan
    else:
        plain = run.operators.linear
        bad = run.step.network.operators
        monkeypatch.setitem(
            vars(bad), "linear", lambda x, w, b: plain(x, w, b) * (math.inf if w.shape == (16, 16) else 1)
        )
    before = run.step.state.parameters.clone()
    with pytest.raises(ArithmeticError, match=f"step 5: {tensor} is not finite; no parameter was changed"):
        next(run)
    torch.testing.assert_close(run.step.state.parameters, before, rtol=0, atol=0, equal_nan=True)


def test_nan_ends_the_command_with_one_line(place, capsys):
    """A learning rate that is far too large, without clipping: exit code 1, and no traceback."""
    assert train(*setting("learning_rate=1e30", "clip=0", "warmup=0")) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("stopped: step 2: ")


def test_samples_are_drawn_by_the_seed(place, capsys):
    options = setting("samples=2", "steps=2", "evaluate_every=2")
    drawn = []
    for more in ((), (), setting("temperature=0.05")):
        assert train(*options, *more) == 0
        drawn.append(capsys.readouterr().out)
    assert drawn[0] == drawn[1] != drawn[2]


def test_token_files_train_without_samples(place, capsys):
    """Raw uint16, as nanoGPT's prepare scripts write them."""
    folder = place / "tokens"
    folder.mkdir()
    np.random.default_rng(0).integers(100, size=300).astype(np.uint16).tofile(folder / "train.bin")
    np.arange(50, dtype=np.uint16).tofile(folder / "val.bin")
    options = ["train", "--config", "tiny.yaml", "--data", "tokens", *setting("steps=2", "evaluate_every=2")]
    assert main([*options, *setting("vocab=100")]) == 0
    assert capsys.readouterr().out == ""
    assert main([*options, *setting("vocab=40")]) == 2
    assert "data: a token is" in capsys.readouterr().err


WRONG = {
    "no such setting": (setting("widht=3"), "error: widht: no such setting; there are vocab, width,"),
    "not a number": (setting("width=wide"), "error: width: must be a whole number (got 'wide')"),
    "not a boolean": (setting("bias=maybe"), "error: bias: must be true or false (got 'maybe')"),
    "no value": (setting("width"), "error: set: must be key=value (got 'width')"),
    "nan": (setting("learning_rate=nan"), "error: learning_rate: must be above 0 (got nan)"),
    "negative": (setting("warmup=-1"), "error: warmup: must be at least 0 (got -1)"),
    "all dropped": (setting("dropout=1"), "error: dropout: must be below 1 (got 1.0)"),
    "heads": (setting("heads=3"), "error: heads: must divide width (got 3 heads, width 16)"),
    "evaluations": (setting("evaluate_every=3"), "error: evaluate_every: must be a multiple of every, 2 (got 3)"),
    "no GPU": (setting("device=cuda"), "error: device: torch sees no GPU (got cuda)"),
    "choice": (setting("dtype=float16"), "error: dtype: one of auto, float32, bfloat16 (got 'float16')"),
    "context": (setting("context=70"), "error: data: 70 tokens for validation in text; context 70 needs more"),
    "vocabulary": (setting("vocab=5"), "error: vocab: text has 37 characters (got 5)"),
    "folder": (["--checkpoint", "none/file"], "error: checkpoint: no folder none"),
    "plot": (["--plot", "none/file"], "error: plot: no folder none"),
    "no data": (["--data", "none"], "error: none: No such file or directory"),
    "no config": (["--config", "none"], "error: none: No such file or directory"),
    "bad config": (["--config", "list"], "error: config: list must be a mapping of settings, one a line"),
    "no YAML": (["--config", "broken"], "error: config: broken is not YAML"),
    "no text": (["--data", "binary"], "error: data: binary is not UTF-8 text"),
    "no tokens": (["--data", "odd"], "error: data: odd/train.bin has 3 bytes; tokens are uint16, 2 bytes each"),
    "no checkpoint": (["--checkpoint", "text"], "error: checkpoint: text is not one; give another file"),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line(place, capsys, options, message):
    (place / "list").write_text("- 1\n")
    (place / "broken").write_text("a: [1\n")
    (place / "binary").write_bytes(b"\xff\xfe\x00")
    (place / "odd").mkdir()
    (place / "odd" / "train.bin").write_bytes(b"abc")
    assert train(*options) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(message)


def test_a_checkpoint_of_another_run_is_refused(place, capsys):
    """What differs is said; where it runs and what it reports may differ."""
    assert train("--checkpoint", "run", *setting("steps=2", "evaluate_every=2")) == 0
    assert train("--checkpoint", "run", *setting("steps=2", "evaluate_every=2", "width=32")) == 2
    assert "is of another run (width 16, not 32)" in capsys.readouterr().err
    assert train("--checkpoint", "run", *setting("steps=2", "every=1", "evaluate_every=2", "samples=0")) == 0


@pytest.mark.parametrize("name", command.shipped_configs())
def test_shipped_configurations_are_settings(name):
    """Each names a model and a run that exist."""
    assert read_settings(command.config_file(name)).model(65).vocab == 65


def test_the_shipped_models_are_the_known_ones():
    """10.65 and 123.6 million parameters without positions and biases, as nanoGPT prints them."""
    char = read_settings(command.config_file("shakespeare-char"))
    gpt2 = read_settings(command.config_file("gpt2-124m"))
    assert (char.dropout, char.batch, char.context, char.steps, char.beta2) == (0.2, 64, 256, 5000, 0.99)
    assert flops_per_token(char.model(65), 0) / 6 == pytest.approx(10.65e6, rel=1e-3)
    assert flops_per_token(gpt2.model(50_304), 0) / 6 == pytest.approx(123.59e6, rel=1e-3)
    assert gpt2.batch * gpt2.context * gpt2.accumulation == 491_520


def test_learning_rate_warms_up_and_falls_along_half_a_cosine():
    """At its corners; what a run decays over may end before the run."""
    settings = TrainingSettings(steps=20, warmup=4, decay_steps=10, learning_rate=1.0, least_rate=0.1)
    rates = settings.factors()[:, 0]
    assert rates[:5].tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[7] == pytest.approx(0.55)
    assert rates[10:].tolist() == pytest.approx([0.1] * 10)
    assert settings.factors()[2].tolist() == pytest.approx([0.6, 1 - 0.9**3, 1 - 0.99**3])


def test_what_a_checkpoint_goes_on_with_is_all_but_places_and_reports():
    """A new setting is of a run's identity unless it is said not to be."""
    left_out = {one.name for one in fields(TrainingSettings)} - set(TrainingSettings().identity)
    assert {"device", "every", "temperature"} <= left_out
    assert {"seed", "batch", "learning_rate", "residual_dtype", "steps"} <= set(TrainingSettings().identity)


def test_the_peak_is_the_hardware_nodes():
    assert peak_tflops("NVIDIA H200") == 989
    assert peak_tflops("GPU that nobody has") is None


def test_shakespeare_is_fetched_once_and_only_if_it_is_the_right_file(place, capsys, monkeypatch):
    """The checksum decides; what is there already is not fetched again."""
    content = (place / "text").read_bytes()
    fetched = []

    def fetch(path, *, url, checksum):
        fetched.append(url)
        assert checksum == command.SHAKESPEARE_SHA256
        path.write_bytes(content)

    monkeypatch.setattr(command, "download", fetch)
    for _ in range(2):
        assert train("--download", "--data", "fetched", *setting("steps=2", "evaluate_every=2")) == 0
    assert len(fetched) == 1
    assert sha256(content).hexdigest() != command.SHAKESPEARE_SHA256


def test_a_plot_of_many_steps_is_of_means():
    """A line of at most 400 points, however long the run."""
    drawn = loss_plot(np.linspace(4, 1, 5000), [(2500, 2.0)], "a & b")
    assert drawn.count(",") - drawn.count("system-ui,") <= 401
    assert "means of 13" in drawn
    assert "a &amp; b" in drawn
    assert drawn.count("<circle") == 1


def test_the_batch_is_tokens_and_the_ones_after(place):
    data = read_data(place / "text", 8)
    tokens, targets = data.batch("train", (1, 2), 5, 8)
    assert torch.equal(tokens[:, 1:], targets[:, :-1])
    text = SMALL_TEXT.read_text(encoding="utf-8")
    assert all(data.text(row) in text for row in tokens.tolist())
    assert not torch.equal(tokens, data.batch("train", (1, 3), 5, 8)[0])
    assert GptConfig(vocab=data.vocab, width=16, layers=1, heads=1, context=8).padded_vocab == 64
