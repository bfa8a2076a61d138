"""Law roots on disk: read, check against the models, cache, lock, and write; one engine for every file written."""
