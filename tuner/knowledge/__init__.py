"""What is known of a space before a search: laws as a restriction, trials recorded elsewhere, predicted times."""
