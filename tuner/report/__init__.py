"""A kernel's engineering report, told from recorded runs: one document, rendered as one HTML page and as Markdown."""
