"""NanoGPT: GPT-2 trained by operators of which each has its own kernel, or PyTorch's."""
