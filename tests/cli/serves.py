"""What the tests of `signal-sdk serve` share: its file, its lines, and clients that come to it."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import trio
from click.testing import CliRunner, Result

from signal_sdk.cli.main import cli
from signal_sdk.net.transport import SocketTransport, Transport
from signal_sdk.server import config as configs
from signal_sdk.server.config import Config
from tests.wire_client import WireClient, wire_client

CERTIFICATE = "5cfd2fd1755d40ecb72977518be15d3b"
NATIVE_LINE = re.compile(
    r"native clients: tcp 127\.0\.0\.1:(\d+) "
    r"\(lookup udp 127\.0\.0\.1:(\d+) and udp 127\.0\.0\.1:(\d+)\)"
)
ADMIN_LINE = re.compile(r"admin address: (http://127\.0\.0\.1:\d+/) \(key ([\w-]{32})\)")
WHO = r"(another process|the process \d+ \([^)]+\))"
"""One that is bound to a TCP port, but does not listen there, cannot be found."""


PAIRS_TRIED: Final = 100


def invoke(*args: str) -> Result:
    return CliRunner().invoke(cli, ["serve", *args])


def write_config(folder: Path, text: str, mode: int = 0o600) -> str:
    path = folder / "signal.toml"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def free_ports(count: int) -> list[int]:
    """Ports that are free now."""
    with ExitStack() as stack:
        socks = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in socks]


def listening_pair(apart: int) -> tuple[socket.socket, socket.socket]:
    """Two sockets that listen, the second's port so far above the first's."""
    for _ in range(PAIRS_TRIED):
        first = socket.create_server(("127.0.0.1", 0))
        try:
            second = socket.create_server(("127.0.0.1", first.getsockname()[1] + apart))
        except (OSError, OverflowError):
            # Somebody has it, or there is none.
            first.close()
        else:
            return first, second
    raise AssertionError(f"of {PAIRS_TRIED} free ports, none has a free one {apart} above it")


async def connect(address: str) -> Transport:
    host, port = address.rsplit(":", 1)
    stream = await trio.open_tcp_stream(host, int(port))
    return SocketTransport(socket.socket(fileno=stream.socket.detach()))


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[WireClient]:
    async with wire_client(await connect(address), f"ws://{address}/") as client:
        yield client


AS_ROOT = ["running as root"] if os.geteuid() == 0 else []
"""The warning that depends on who runs the tests."""


def warnings_in(err: str) -> list[str]:
    """The beginning of each line, all of which are warnings."""
    lines = err.splitlines()
    assert all(line.startswith("signal-sdk: warning: ") for line in lines), err
    return [line.removeprefix("signal-sdk: warning: ").split(":")[0] for line in lines]


def printed(*args: str) -> Config:
    result = invoke("--print-config", *args)
    assert (result.exit_code, result.stderr) == (0, "")
    return configs.loads(result.stdout)
