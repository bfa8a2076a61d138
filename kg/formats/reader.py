"""Any result file as a recording: the format is told by what is in the file, not by its name."""

from __future__ import annotations

from pathlib import Path

from spak.kg.files import schema
from spak.kg.formats.content import decode, read_bytes, refuse
from spak.kg.formats.kernel_tuner import read_cache
from spak.kg.formats.recording import Recording, seen_parameters
from spak.kg.formats.t4 import read_t4

_SNIFFED_BYTES = 1 << 16


def read_recording(path: Path) -> Recording:
    """The recording in `path`: a T4 file, a Kernel Tuner cache, or one of our own run files; plain or gzipped.

    Raises:
        InvalidFilesError: If it is none of them, or cannot be used; the message says why.
        OSError: If it cannot be opened.
    """
    content = read_bytes(path)
    try:
        return _recording(path, content)
    except OverflowError:
        refuse(path, "a number that is too large for a double; correct it")


def _recording(path: Path, content: bytes) -> Recording:
    if b'"tune_params_keys"' in content[:_SNIFFED_BYTES] or b'"cache"' in content[:_SNIFFED_BYTES]:
        return read_cache(path, content)
    if b'"ConfigurationSpace"' in content[:_SNIFFED_BYTES]:
        refuse(path, "a T1 search space, which holds no results; pass it as --space beside a result file")
    if b'"trials"' in content and b'"results"' not in content[:_SNIFFED_BYTES]:
        return _own(path, content)
    return read_t4(path, content)


def _own(path: Path, content: bytes) -> Recording:
    run = decode(path, content, schema.Run)
    if not run.trials:
        refuse(path, "no trials", field="trials")
    names = run.trials[0].configuration.keys()
    for place, trial in enumerate(run.trials):
        if odd := sorted(names ^ trial.configuration.keys()):
            message = f"parameters differ from those of the first trial ({', '.join(odd)})"
            refuse(path, message, field=f"trials[{place}].configuration")
    problems = {tuple((trial.problem or run.problem).items()) for trial in run.trials}
    if len(problems) > 1:
        refuse(path, f"{len(problems)} problem sizes in one run; choose one with --problem", field="trials")
    return Recording(
        format="run",
        parameters=seen_parameters(run.trials),
        declared=False,
        trials=run.trials,
        device=run.device.name if run.device else "",
        kernel=run.kernel.name if run.kernel else "",
        problem=dict(next(iter(problems))),
        created=run.created,
    )
