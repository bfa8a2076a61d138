"""What holds of every reader, whatever bytes it is given: an answer or one clear line, soon."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from spak.kg.errors import KgError
from spak.tuner.errors import TunerError

HANG_S = 60
"""No reader takes a second for any of these; a machine that stalls is no hang."""


class Hang(BaseException):
    """Nothing catches it."""


@contextmanager
def ends() -> Iterator[None]:
    """Fail where what is inside goes on and on."""

    def over(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(HANG_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def refused_or_done() -> Iterator[None]:
    """A value, or an error that says in short lines what is wrong; nothing else may be raised."""
    with ends():
        try:
            yield
        except (KgError, TunerError) as error:
            said = str(error)
            assert said.strip()
            assert len(said) < 100_000
