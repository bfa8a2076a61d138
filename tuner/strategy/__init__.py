"""Search strategies. Each sees a space, a history and a random generator; never a backend, never a law."""
