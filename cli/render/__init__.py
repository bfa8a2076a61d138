"""Results as text, Markdown, JSON and annotations; no decision is made here."""
