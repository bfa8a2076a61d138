"""Kernel specs that misbehave on purpose, for the workers: they really crash, hang and eat memory."""

from __future__ import annotations

import errno
import os
import time


class Misbehaving:
    """Does what the configuration says instead of describing a kernel."""

    op = "broken"
    source_files = ()

    def compile_jobs(self, problem, configuration):
        return getattr(self, configuration["do"])()

    @staticmethod
    def die():
        os.abort()

    @staticmethod
    def leave():
        os._exit(7)

    @staticmethod
    def hang():
        time.sleep(3600)

    @staticmethod
    def eat():
        return [bytearray(1 << 40)]

    @staticmethod
    def refuse():
        raise ValueError("tile_m must be even")

    @staticmethod
    def stumble():
        raise RuntimeError("two\nlines")

    @staticmethod
    def fill():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "kernel.tileirbc")

    @staticmethod
    def chatter():
        print("noise on standard output")
        raise ValueError("after the noise")


SPEC = Misbehaving()
