"""Processes of a search that was killed."""

import signal
import subprocess
import sys

POOL = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from spak.tuner.backend.gpu.orphan import end_with_parent
pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"), initializer={initializer})
pool.submit(time.sleep, {busy})
print(pool.submit(os.getpid).result(), flush=True)
time.sleep(600)
"""


def killed(initializer: str, *, busy: float) -> subprocess.Popen[str]:
    """A process with a pool of two, killed once the pool has begun; whoever lives on holds its output open."""
    code = POOL.format(initializer=initializer, busy=busy)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    return process


def test_pool_workers_end_with_a_killed_parent_idle_or_busy():
    """The output closes, so no process holds it any more, although one worker sleeps for ten minutes."""
    assert killed("end_with_parent", busy=600).communicate(timeout=200) == ("", None)


def test_end_with_parent_does_nothing_in_a_process_that_was_not_spawned():
    """Called in the main process, nothing ends."""
    code = "from spak.tuner.backend.gpu.orphan import end_with_parent as e; e(); import time; time.sleep(0.2); print('alive')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "alive\n"
