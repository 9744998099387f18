"""What users test their bots with: a server inside the test's own process, and a network that
fails.

    async with local_server(listens=False) as server, Signal("app", server=server) as signal:
        session = await signal.login("alice", "_no_need_token")

Without a port it lives in memory and on trio's clock, so that a mock clock moves its timers too.
Between the two, `FaultyNetwork` delays, drops and repeats frames, and cuts connections or lets them
hang, by a seed or by hand. `native_peer` is a client as the original native SDK is one, for those
who test what their old apps will hear. What the pytest plugin's fixtures give is here for its
types: `SignalServer`, `BotRunner`, `Peer` and the others.
"""

from signal_sdk.testing.faults import ClientDialer, FaultyNetwork, ServerSource
from signal_sdk.testing.faulty_link import Faults, FaultyLink
from signal_sdk.testing.fronts import (
    BotRunner,
    NetworkFaults,
    Peer,
    PeerCall,
    SignalServer,
)
from signal_sdk.testing.memory import MemoryTransport, memory_transport_pair
from signal_sdk.testing.native_line import connect_by_lookup
from signal_sdk.testing.native_peer import NativePeer, native_peer
from signal_sdk.testing.server import LocalServer, local_server, trio_wall_clock
from signal_sdk.testing.sync_fronts import SyncBotRunner, SyncPeer, SyncPeerCall

__all__ = [
    "BotRunner",
    "ClientDialer",
    "Faults",
    "FaultyLink",
    "FaultyNetwork",
    "LocalServer",
    "MemoryTransport",
    "NativePeer",
    "NetworkFaults",
    "Peer",
    "PeerCall",
    "ServerSource",
    "SignalServer",
    "SyncBotRunner",
    "SyncPeer",
    "SyncPeerCall",
    "connect_by_lookup",
    "local_server",
    "memory_transport_pair",
    "native_peer",
    "trio_wall_clock",
]
