"""Works that misbehave on purpose, for workers: they really die, chatter and raise. Loads nothing heavy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from spak.tuner.errors import TunerError
from spak.tuner.fleet.executor import RefusedError

WORKS = {name: f"{__name__}:{name.title()}" for name in ("echo", "odd")}


class Echo:
    """Answers with what it was given, and who and how often."""

    def __init__(self, place):
        self._place, self._count = place, 0

    def perform(self, data):
        self._count += 1
        return b"|".join([data, self._place.member.encode(), self._place.device.encode(), str(self._count).encode()])

    def close(self):
        self._count = -1


class Odd:
    """Does what the bytes say."""

    def __init__(self, place):
        self._place = place

    def perform(self, data):
        deed, _, rest = data.decode().partition(" ")
        return getattr(self, deed)(rest)

    def die(self, _):
        os.kill(os.getpid(), signal.SIGKILL)

    def leave(self, _):
        os._exit(7)

    def chatter(self, _):
        print("noise on standard output", flush=True)
        subprocess.run([sys.executable, "-c", "print('and from a child')"], check=True)
        return b"done"

    def stumble(self, _):
        raise RuntimeError("two\nlines")

    def refuse(self, said):
        raise TunerError(said)

    def unless(self, member):
        """Done by whoever is not called so: that one does no such piece."""
        if self._place.member == member:
            raise RefusedError("its source is another one")
        return self._place.member.encode()

    def wait(self, path):
        """Say who waits, then wait for a file that never comes."""
        Path(path).write_text(str(os.getpid()))
        while True:
            time.sleep(3600)

    def wait_unless(self, paths):
        """Wait, as above, unless there is the second file."""
        path, other = paths.split()
        if Path(other).exists():
            return b"the second had it"
        return self.wait(path)

    def close(self):
        pass
