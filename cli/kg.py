"""`kg`: ask the knowledge graph. One line here for each command; a command's module loads when it is invoked."""

from __future__ import annotations

import sys

from spak.cli.app import CommandEntry, build_app, run_app

COMMANDS = {
    "query": CommandEntry("spak.cli.kg_commands.query", "What is known about an op on some hardware, and how sure."),
    "list": CommandEntry("spak.cli.kg_commands.list_", "The hardware, ops, kernels, laws, systems or runs there are."),
    "explain": CommandEntry("spak.cli.kg_commands.explain", "One law whole: evidence, trials, how to repeat them."),
    "why": CommandEntry("spak.cli.kg_commands.why", "Which laws speak for or against a configuration."),
    "lineage": CommandEntry("spak.cli.kg_commands.lineage", "The systems that led to one, what each added."),
    "graph": CommandEntry("spak.cli.kg_commands.graph", "The whole graph as JSON, GraphML, DOT or Mermaid."),
    "view": CommandEntry("spak.cli.kg_commands.view", "The graph as one interactive HTML page, or for other tools."),
    "check": CommandEntry("spak.cli.kg_commands.check", "Everything that is wrong with the laws, at once."),
    "fmt": CommandEntry("spak.cli.kg_commands.fmt", "Canonical key order and layout, comments kept."),
    "seal": CommandEntry("spak.cli.kg_commands.seal", "Digests and occasions that older files lack."),
    "new": CommandEntry("spak.cli.kg_commands.new", "The file of a new law."),
    "verify": CommandEntry(
        "spak.cli.kg_commands.verify", "A law's own experiment again: replayed, compiled or measured."
    ),
    "withdraw": CommandEntry("spak.cli.kg_commands.withdraw", "Retire a law, with a date and a reason."),
    "schema": CommandEntry("spak.cli.kg_commands.schema", "The JSON Schemas of the file formats."),
    "diff": CommandEntry(
        "spak.cli.kg_commands.diff", "What a change of laws means, and what a search does differently."
    ),
    "review": CommandEntry("spak.cli.kg_commands.review", "All that the reviewer of a change of laws is told."),
    "merge-file": CommandEntry(
        "spak.cli.kg_commands.merge_file", "Git merge driver: evidence of both branches adds up."
    ),
    "import": CommandEntry(
        "spak.cli.kg_commands.import_", "Measurements of other tools (T4, Kernel Tuner) into run files."
    ),
    "export": CommandEntry(
        "spak.cli.kg_commands.export", "Laws as restrictions for Kernel Tuner, or recorded runs as T4."
    ),
}

HELP = "What is known about kernels on GPUs, why, and how sure."


def main() -> None:
    """Run `kg` on the process's arguments and exit."""
    sys.exit(run_app(build_app(registry=COMMANDS, help_text=HELP), "kg"))


if __name__ == "__main__":
    main()
