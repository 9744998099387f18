"""What users test their bots with: a server inside the test's own process.

    async with local_server(listens=False) as server, Signal("app", server=server) as signal:
        session = await signal.login("alice", "_no_need_token")

Without a port it lives in memory and on trio's clock, so that a mock clock moves its timers too.
"""

from signal_sdk.testing.memory import MemoryTransport, memory_transport_pair
from signal_sdk.testing.server import LocalServer, local_server, trio_wall_clock

__all__ = [
    "LocalServer",
    "MemoryTransport",
    "local_server",
    "memory_transport_pair",
    "trio_wall_clock",
]
