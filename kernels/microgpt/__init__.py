"""MicroGPT: a whole GPT trained, one document a step, with everything that Karpathy's microgpt.py computes (February 2026)."""
