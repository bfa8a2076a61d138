"""Other people's files: T4 results, T1 search spaces, Kernel Tuner caches; read strictly, refused with the reason."""
