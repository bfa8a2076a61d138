"""One module for each `spak` command; each defines `command`."""
