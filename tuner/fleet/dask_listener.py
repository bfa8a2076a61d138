"""What a fleet's servers do about connections that never come to TLS: each holds memory and a file that a member may need."""

from __future__ import annotations

import asyncio
import resource
from typing import Any

from distributed.comm.tcp import TLSBackend, TLSListener

HANDSHAKE_S = 10.0
"""How long a peer may take to prove that it has the fleet's key: a member over a slow network takes a second."""


class PromptListener(TLSListener):  # type: ignore[misc]  # distributed has no types
    """Hangs up on who does not finish the handshake in time; Dask's own waits for ever."""

    async def _prepare_stream(self, stream: Any, address: Any) -> Any:
        try:
            return await asyncio.wait_for(super()._prepare_stream(stream, address), HANDSHAKE_S)
        except TimeoutError:
            stream.close()
            return None


def listen_promptly() -> None:
    """From now on TLS servers of this process hang up in time, and may have as many connections as the system allows."""
    TLSBackend._listener_class = PromptListener  # noqa: SLF001 - Dask has no setting for it
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
