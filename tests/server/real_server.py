"""A server as a process of its own, and what is asked of it costs: the time of its processor, and
the memory that stays.
"""

from __future__ import annotations

import resource
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from signal_sdk.net.transport import SocketTransport
from signal_sdk.wire import tokens
from tests.cli.program import Program, address_in, program
from tests.server.helpers import CERTIFICATE
from tests.wire_client import WireClient, wire_client

WARM_UP: Final = 5
"""What the server's code itself needs is there after so many times."""
TIMES: Final = 20


@attrs.define
class RealServer:
    """A server with the app `app`, whose certificate is `CERTIFICATE`."""

    running: Program
    port: int
    data: Path
    ann: WireClient = attrs.field(init=False)
    """Somebody who is logged in."""
    waiting: list[WireClient] = attrs.field(factory=list)
    """Connections that were made beforehand, and are not logged in."""
    number: int = 0

    def next_name(self) -> str:
        """A name that nobody has had."""
        self.number += 1
        return f"user{self.number}"

    @asynccontextmanager
    async def stranger(self) -> AsyncIterator[WireClient]:
        """A connection that is not logged in, while the block runs."""
        transport = await self.dial()
        try:
            async with wire_client(transport) as client:
                yield client
        finally:
            transport.close()

    async def dial(self) -> SocketTransport:
        """A connection on which nothing was said."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        return SocketTransport(socket.socket(fileno=stream.socket.detach()))

    @asynccontextmanager
    async def logged_in(self, account: str = "", **more: Any) -> AsyncIterator[WireClient]:
        """A client that is logged in, while the block runs."""
        async with self.stranger() as client:
            name = account or self.next_name()
            reply = await client.login(name, token=token_of(name), **more)
            assert reply["result"] == "ok", reply
            yield client

    def store_nothing(self) -> None:
        """Let the process write no file any more."""
        pid = self.running.process.pid
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def cpu_seconds(self) -> float:
        """What its threads have used of a processor."""
        # How Linux numbers the clock of another process's time (clock_getcpuclockid).
        return time.clock_gettime(~self.running.process.pid << 3 | 2)

    def memory_bytes(self) -> int:
        """What of its memory is in use."""
        fields = Path(f"/proc/{self.running.process.pid}/statm").read_text().split()
        return int(fields[1]) * resource.getpagesize()


def token_of(account: str, expires: float = 4e9, certificate: str = CERTIFICATE) -> str:
    """A token of the original form."""
    return tokens.make_token("app", certificate, account, int(expires))


@asynccontextmanager
async def real_server(folder: Path, limits: Mapping[str, int]) -> AsyncIterator[RealServer]:
    """A server with these limits, while the block runs; Ann is logged in."""
    data = folder / "data"
    lines = [f"{key} = {value}" for key, value in limits.items()]
    config = await trio.Path(folder / "signal.toml").absolute()
    await config.write_text(
        f'[server]\nport = 0\ndata = "{data}"\n[[apps]]\nid = "app"\n'
        f'certificate = "{CERTIFICATE}"\n[limits]\n' + "\n".join(lines)
    )
    await config.chmod(0o600)
    async with program("serve", "--config", str(config)) as running:
        port = int(address_in(await running.out.next()).rpartition(":")[2])
        server = RealServer(running, port, data)
        async with server.logged_in("ann") as ann:
            server.ann = ann
            yield server
        running.process.send_signal(signal.SIGKILL)


@attrs.frozen
class Cost:
    """What it took, each time."""

    cpu_ms: float
    kib: float
    seconds: float


async def cost_of(
    server: RealServer, act: Callable[[RealServer], Awaitable[None]], times: int = TIMES
) -> Cost:
    """Have `act` done so many times, and tell what that cost the server."""
    for _ in range(min(WARM_UP, times // 2)):
        await act(server)
    cpu, memory, began = server.cpu_seconds(), server.memory_bytes(), time.monotonic()
    for _ in range(times):
        await act(server)
    return Cost(
        cpu_ms=(server.cpu_seconds() - cpu) * 1000 / times,
        kib=(server.memory_bytes() - memory) / 1024 / times,
        seconds=(time.monotonic() - began) / times,
    )
