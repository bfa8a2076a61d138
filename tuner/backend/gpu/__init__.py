"""Measures configurations on a GPU: correctness first, then interleaved rounds, each batch in a worker process."""
