"""`python -m spak.kernels.microgpt`: see `spak.kernels.microgpt.command`."""

from __future__ import annotations

import sys

from spak.kernels.microgpt.command import main

if __name__ == "__main__":
    sys.exit(main())
