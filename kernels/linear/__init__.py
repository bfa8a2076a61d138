"""Linear layer."""
