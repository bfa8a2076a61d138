"""`kg`: ask the knowledge graph. One line here for each command; a command's module loads when it is invoked."""

from __future__ import annotations

import sys

from spak.cli.app import Entry, build, run

COMMANDS = {
    "query": Entry("spak.cli.kg_commands.query", "What is known about an op on some hardware, and how sure."),
    "explain": Entry("spak.cli.kg_commands.explain", "One law whole: evidence, trials, how to repeat them."),
    "why": Entry("spak.cli.kg_commands.why", "Which laws speak for or against a configuration."),
    "lineage": Entry("spak.cli.kg_commands.lineage", "The systems that led to one, what each added."),
    "graph": Entry("spak.cli.kg_commands.graph", "The whole graph as JSON, GraphML, DOT or Mermaid."),
    "view": Entry("spak.cli.kg_commands.view", "The graph as one interactive HTML page, or for other tools."),
    "check": Entry("spak.cli.kg_commands.check", "Everything that is wrong with the laws, at once."),
    "fmt": Entry("spak.cli.kg_commands.fmt", "Canonical key order and layout, comments kept."),
    "new": Entry("spak.cli.kg_commands.new", "The file of a new law."),
    "verify": Entry("spak.cli.kg_commands.verify", "A law's own experiment again: replayed, compiled or measured."),
    "withdraw": Entry("spak.cli.kg_commands.withdraw", "Retire a law, with a date and a reason."),
    "schema": Entry("spak.cli.kg_commands.schema", "The JSON Schemas of the file formats."),
    "diff": Entry("spak.cli.kg_commands.diff", "What a change of laws means, and what a search does differently."),
    "merge-file": Entry("spak.cli.kg_commands.merge_file", "Git merge driver: evidence of both branches adds up."),
    "import": Entry("spak.cli.kg_commands.import_", "Measurements of other tools (T4, Kernel Tuner) into run files."),
    "export": Entry("spak.cli.kg_commands.export", "Laws as restrictions for Kernel Tuner, or a run as T4."),
}

HELP = "What is known about kernels on GPUs, why, and how sure."


def main() -> None:
    """Run `kg` on the process's arguments and exit."""
    sys.exit(run(build(registry=COMMANDS, help_text=HELP), "kg"))


if __name__ == "__main__":
    main()
