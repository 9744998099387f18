"""The composition of two nodes, a Redis and HAProxy: what it sets is read by the server, and its
HAProxy, the real one, hands clients to both nodes and to none that goes away. No container runs
here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import attrs
import httpx
import pytest
import trio

from signal_sdk import LoginSession, Signal, make_token
from signal_sdk.server.config import Config, loads
from signal_sdk.testing.server import LocalServer, local_server
from tests.client.fakes import Heard
from tests.redis.servers import RedisServer, free_port, tied_to_us
from tests.samples.programs import ROOT

COMPOSE: Final = ROOT / "samples" / "compose"
TEXT: Final = (COMPOSE / "compose.yaml").read_text()
HAPROXY: Final = (COMPOSE / "haproxy.cfg").read_text()
CERTIFICATE: Final = "0123456789abcdef0123456789abcdef"
WAIT_SECONDS: Final = 20
READY_IN_A_ROW: Final = 10
"""One that is not ready has the fewest connections, and is asked among the first."""


def settings(port: int = 8001) -> Config:
    """What the nodes are told by their environment; clients come to `port`."""
    found = re.findall(r"^    (SIGNAL_SDK_\w+): (.+)$", TEXT, re.MULTILINE)
    environ = {name: value.strip("'\"") for name, value in found}
    assert "${SIGNAL_SDK_APPS_1_CERTIFICATE:?" in environ["SIGNAL_SDK_APPS_1_CERTIFICATE"]
    environ["SIGNAL_SDK_APPS_1_CERTIFICATE"] = CERTIFICATE
    filled = {
        name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value).replace(":8001", f":{port}")
        for name, value in environ.items()
    }
    return loads("", environ=filled)


def test_the_nodes_are_told_what_their_neighbours_are() -> None:
    config = settings()
    services = re.findall(r"^  (\w+):$", TEXT.partition("services:")[2], re.MULTILINE)
    assert services == ["redis", "one", "two", "haproxy", "redis"]
    assert config.server.redis == ("redis://redis:6379",)
    assert config.server.advertise == ("127.0.0.1:8001",)
    assert [app.id for app in config.apps] == ["demo"]
    # HAProxy asks where the nodes listen, and its port is the one that is published and named.
    assert re.findall(r"server (\w+) (\w+):(\d+)", HAPROXY) == [
        (name, name, str(config.server.port)) for name in ("one", "two")
    ]
    assert re.findall(r"bind :(\d+)", HAPROXY) == re.findall(r'"(\d+):\1"', TEXT) == ["8001"]


def test_the_image_is_made_of_what_is_there() -> None:
    [place] = re.findall(r"dockerfile: (.+)", (COMPOSE / "compose.yaml").read_text())
    lines = (ROOT / place).read_text()
    copied = [word for line in re.findall(r"COPY (.+) \./", lines) for word in line.split()]
    assert {"setup.cfg", "setup.py", "pyproject.toml", "signal_sdk"} <= set(copied)
    assert all((ROOT / it).exists() for it in copied)
    assert re.findall(r"ARG EXTRAS=(.+)", lines) == ["server,redis"]


# --- the real HAProxy ---


@contextmanager
def haproxy(directory: Path, port: int, nodes: list[LocalServer]) -> Iterator[None]:
    """HAProxy as it is configured, but for where it listens and where the nodes are."""
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if program is None:
        pytest.fail("no haproxy is on PATH; on Debian: apt-get install haproxy", pytrace=False)
    text = HAPROXY.replace("bind :8001", f"bind 127.0.0.1:{port}")
    for name, node in zip(("one", "two"), nodes, strict=True):
        text = text.replace(f" {name}:8001", f" {node.address}")
    file = directory / "haproxy.cfg"
    file.write_text(text)
    subprocess.run([program, "-c", "-q", "-f", file], check=True)
    process = subprocess.Popen([*tied_to_us(), program, "-q", "-db", "-f", file])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def node(config: Config) -> AsyncIterator[LocalServer]:
    """A node of the composition, in this process."""
    async with local_server(config, clock=time.time) as server:
        yield server


async def log_in(signal: Signal, account: str, heard: Heard) -> LoginSession:
    """A session, as soon as there is a way."""
    return await signal.login(account, token(account), heard.login)


def token(account: str) -> str:
    return make_token("demo", CERTIFICATE, account, int(time.time()) + 1000)


async def until_ready(port: int) -> None:
    """Wait until HAProxy hands everybody to a node that is ready."""
    ready = 0
    with trio.fail_after(WAIT_SECONDS):
        while ready < READY_IN_A_ROW:
            try:
                async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                    await stream.send_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
                    ready = ready + 1 if b" 200 " in await stream.receive_some(1000) else 0
            except (OSError, trio.BrokenResourceError):
                ready = 0
            await trio.sleep(0.02)


async def test_haproxy_spreads_clients_over_the_nodes_and_sends_none_to_one_that_is_not_ready(
    tmp_path: Path,
    shared_redis: RedisServer,
    redis_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    config = settings(port)
    # Here the balancer and Redis are on this machine.
    server = attrs.evolve(
        config.server,
        host="127.0.0.1",
        redis=(shared_redis.unix_url,),
        redis_prefix=redis_prefix,
        trusted_proxies=("127.0.0.1",),
    )
    config = attrs.evolve(config, server=server)
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node(config)) for _ in range(2)]
        stack.enter_context(haproxy(tmp_path, port, nodes))
        await until_ready(port)
        async with httpx.AsyncClient(trust_env=False) as client:
            found = (await client.get(f"http://127.0.0.1:{port}/getaddr?vid=demo")).json()
        assert found["web2"] == [["127.0.0.1", port]]
        # Without lookups, each login is one connection.
        url = f"ws://127.0.0.1:{port}/"
        signal = await stack.enter_async_context(Signal("demo", server=url))
        heard = {account: Heard() for account in ("ann", "bob", "cat", "dan", "eve", "fay", "gil")}
        first = ("ann", "bob", "cat", "dan")
        sessions = {account: await log_in(signal, account, heard[account]) for account in first}
        assert sum(it.node.sessions for it in nodes) == len(first)
        assert all(it.node.sessions for it in nodes)
        for text, account in enumerate(first):
            await sessions["ann"].message_instant_send(account, f"{text}")
            assert (await heard[account].wait("on_message_instant_receive"))[-1] == f"{text}"
        # The one that has the fewest lets nobody in any more, and is sent nobody.
        fewest = min(nodes, key=lambda it: it.node.sessions)
        before = fewest.node.sessions
        monkeypatch.setattr(fewest.node.acceptor.admission, "why_not_ready", lambda: "it goes away")
        await until_ready(port)
        for account in ("eve", "fay", "gil"):
            await log_in(signal, account, heard[account])
        assert fewest.node.sessions == before
        for account in first:
            await sessions[account].message_instant_send("eve", account)
        await heard["eve"].wait("on_message_instant_receive", len(first))
