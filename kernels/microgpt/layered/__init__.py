"""Plan layered: a launch for each operation."""
