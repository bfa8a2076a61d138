"""One module for each `kg` command; each defines `command`."""
