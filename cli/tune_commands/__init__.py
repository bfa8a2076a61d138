"""One module for each command of `tune`."""
