"""`tune`: search a kernel's space under the laws. One line here for each command; its module loads when it is invoked."""

from __future__ import annotations

import os
import sys

from spak.cli.app import CommandEntry, build_app, run_app

COMMANDS: dict[str, CommandEntry] = {
    "search": CommandEntry("spak.cli.tune_commands.search", "Search a kernel's space (the default command)."),
    "replay": CommandEntry("spak.cli.tune_commands.replay", "Search recorded measurements as if they were live."),
    "first": CommandEntry("spak.cli.tune_commands.first", "What to try first on some hardware, new or known."),
    "learn": CommandEntry("spak.cli.tune_commands.learn", "Look for laws in recorded runs, and test them on others."),
    "report": CommandEntry("spak.cli.tune_commands.report", "Write a kernel's engineering report from recorded runs."),
}

HELP = "Search a kernel's configurations under what is known, test it, and write back what was learned."


def main() -> None:
    """Run `tune` on the process's arguments and exit."""
    # the model's matrices are small: threads that wait for each other cost more than they save, and disturb what is measured
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(run_app(build_app(registry=COMMANDS, help_text=HELP, default="search"), "tune"))


if __name__ == "__main__":
    main()
