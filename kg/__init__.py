"""The knowledge graph: laws as files, a typed model, a graph derived from them, and the answers it gives."""
