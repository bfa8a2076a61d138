"""How training commands speak: one line on stderr for what is wrong, stdout for what was asked for."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

BAD_INPUT = 2
"""Exit code where an option or a file is wrong."""
INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the signal's number."""


class OneLineParser(argparse.ArgumentParser):
    """Ends in one line where a usage error would print the usage too."""

    def error(self, message: str) -> NoReturn:
        """Exit with 2."""
        self.exit(BAD_INPUT, f"error: {message}\n")


def to_people(line: str) -> None:
    """Print a line on stderr: stdout is for the samples."""
    sys.stderr.write(line + "\n")


def one_line_of(error: Exception) -> str:
    """What is wrong, in one line."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
