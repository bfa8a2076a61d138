"""What a law means: where it is in scope, what it removes, names and prefers, its status, conflicts and words. Nothing of files."""
