"""spak: a knowledge graph of GPU hardware laws, and a kernel tuner that obeys, tests and extends them."""
