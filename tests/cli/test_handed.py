"""`signal-sdk serve` with sockets that somebody else has opened, as systemd does."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import trio
import trustme

from signal_sdk.errors import ConfigError
from signal_sdk.server.handed import handed_over
from tests.cli.program import COMMAND, LIVES_SECONDS, ROOT, Program, clean_environment
from tests.cli.serves import connected, free_ports, listening_pair

# Sockets come as descriptors 3, 4, …, under the id that the program will have.
LAUNCHER: Final = """
import fcntl, os, sys
numbers = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 100) for number in sys.argv[1].split(",")]
for wanted, number in enumerate(numbers, 3):
    os.dup2(number, wanted)
os.environ |= {"LISTEN_FDS": str(len(numbers)), "LISTEN_PID": str(os.getpid())}
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
SOON: Final = 20


@asynccontextmanager
async def serving(socks: Sequence[socket.socket], *args: str) -> AsyncIterator[Program]:
    """`signal-sdk serve` with `args`, which is handed these sockets; we keep them, too."""
    numbers = [sock.fileno() for sock in socks]
    with trio.fail_after(LIVES_SECONDS):
        process = await trio.lowlevel.open_process(
            [
                *(sys.executable, "-c", LAUNCHER, ",".join(map(str, numbers))),
                *(*COMMAND[1:], "serve", *args),
            ],
            cwd=ROOT,
            env=clean_environment(),
            pass_fds=numbers,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            yield Program(process)
        finally:
            if process.returncode is None:
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    await stream.aclose()


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def listening(opened: ExitStack) -> tuple[socket.socket, int]:
    sock = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
    return sock, sock.getsockname()[1]


async def test_it_serves_at_a_socket_that_it_is_handed(opened: ExitStack) -> None:
    """Which holds its port: it could not have opened one there itself."""
    sock, port = listening(opened)
    async with serving([sock], "--dev", "--no-native", "--port", str(port)) as server:
        assert f"listening on ws://127.0.0.1:{port}/" in await server.out.next()
        async with connected(f"127.0.0.1:{port}") as client:
            await client.login("alice", device="javasdk")
        ended = await server.end(signal.SIGINT)
    assert ended.code == 0


async def test_who_comes_while_it_is_away_is_served_when_it_is_back(opened: ExitStack) -> None:
    sock, port = listening(opened)
    args = ("--dev", "--no-native", "--port", str(port), "--drain", "0")
    async with serving([sock], *args) as server:
        await server.out.next()
        assert (await server.end(signal.SIGTERM)).code == 0
    waiting = await trio.open_tcp_stream("127.0.0.1", port)
    await waiting.send_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    async with serving([sock], *args) as server:
        await server.out.next()
        with trio.fail_after(SOON):
            assert (await waiting.receive_some()).startswith(b"HTTP/1.1 200 ")
    await waiting.aclose()


async def test_tls_and_native_clients_may_be_handed_too(opened: ExitStack, tmp_path: Path) -> None:
    cert, key = (tmp_path / name for name in ("cert.pem", "key.pem"))
    issued = trustme.CA().issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    plain, tls = listening_pair(1)
    opened.enter_context(plain)
    opened.enter_context(tls)
    port = plain.getsockname()[1]
    native, native_port = listening(opened)
    lookup = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    lookup.bind(("127.0.0.1", 0))
    lookup_port = lookup.getsockname()[1]
    config = tmp_path / "signal.toml"
    config.write_text(
        f"[server]\nport = {port}\ncert = '{cert}'\nkey = '{key}'\n"
        f"[native]\nport = {native_port}\nlookup_ports = [{lookup_port}]\n"
    )
    given = [lookup, tls, native, plain]
    async with serving(given, "--dev", "--native", "--config", str(config)) as server:
        said = await server.out.next()
        assert f"ws://127.0.0.1:{port}/ and wss://127.0.0.1:{port + 1}/" in said
        native_line = await server.out.next()
        assert native_line.startswith(f"native clients: tcp 127.0.0.1:{native_port} ")
        assert f"udp 127.0.0.1:{lookup_port}" in native_line
        assert (await server.end(signal.SIGINT)).code == 0


async def test_a_socket_that_is_of_no_use_is_told_of(opened: ExitStack) -> None:
    sock, port = listening(opened)
    [other] = free_ports(1)
    async with serving([sock], "--dev", "--no-native", "--port", str(other)) as server:
        ended = await server.end()
    assert ended.code == 2
    assert ended.err.splitlines()[-1] == (
        f"signal-sdk: LISTEN_FDS hands over tcp 127.0.0.1:{port}, but the configuration listens at"
        " no such port: set port in [server] or [native], or change the socket unit"
    )


async def test_several_workers_cannot_be_handed_one_socket(opened: ExitStack) -> None:
    sock, port = listening(opened)
    redis = ("--redis", "redis://127.0.0.1:1", "--workers", "2")
    async with serving([sock], "--dev", "--port", str(port), *redis) as server:
        ended = await server.end()
    assert ended.code == 2
    assert "workers = 1" in ended.err


async def test_what_is_no_listening_socket_is_told_of(opened: ExitStack) -> None:
    sock = opened.enter_context(socket.socket())
    async with serving([sock], "--dev") as server:
        ended = await server.end()
    assert (ended.code, ended.err) == (
        2,
        "signal-sdk: LISTEN_FDS: descriptor 3 is neither a listening TCP socket nor a UDP socket\n",
    )


def test_what_another_process_is_handed_is_left_alone() -> None:
    environment = {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "x", "OTHER": "y"}
    assert not handed_over(environment)
    assert environment == {"OTHER": "y"}, "a process that this one starts takes them for its own"
    assert not handed_over({})


@pytest.mark.parametrize("count", ["", "x", "-1", "1.5"])
def test_a_number_that_is_none_is_told_of(count: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getpid", lambda: 7)
    with pytest.raises(ConfigError, match="LISTEN_FDS is"):
        handed_over({"LISTEN_FDS": count, "LISTEN_PID": "7"})


@pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="systemd's own tool is not installed"
)
async def test_it_is_handed_a_socket_by_systemd_itself() -> None:
    [port] = free_ports(1)
    command = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", *COMMAND, "serve", "--dev"]
    process = await trio.lowlevel.open_process(
        [*command, "--no-native", "--port", str(port)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        with trio.fail_after(LIVES_SECONDS):
            assert process.stderr is not None
            assert b"Listening on" in await process.stderr.receive_some()
            # The first who comes has it start the server, which has the same id then.
            async with connected(f"127.0.0.1:{port}") as client:
                await client.login("alice", device="javasdk")
    finally:
        process.kill()
        await process.wait()
