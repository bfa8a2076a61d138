"""MicroGPT's training step for larger models and batches: a row of CTAs for the documents, one for the weights, one for Adam."""
