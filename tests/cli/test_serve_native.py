"""`signal-sdk serve`: where native clients are served, and whether they are."""

from __future__ import annotations

import re
import signal
import socket
from pathlib import Path

import pytest

from signal_sdk.cli.serve import DEV_WARNING
from signal_sdk.native import udp
from signal_sdk.server.config import NativeConfig
from signal_sdk.wire import datagrams
from tests.cli.program import address_in, dev_server, one_line_of, program, run
from tests.cli.serves import (
    ADMIN_LINE,
    AS_ROOT,
    NATIVE_LINE,
    WHO,
    connected,
    free_ports,
    invoke,
    printed,
    warnings_in,
    write_config,
)
from tests.net.pairs import running_reactor


async def ask_for(port: str) -> datagrams.Answer:
    """What the lookup on a UDP port answers."""
    question = datagrams.encode_question("app")
    async with running_reactor() as reactor:
        return datagrams.decode_answer(await udp.ask(reactor, "127.0.0.1", int(port), question, 10))


def is_open(port: int) -> bool:
    """Is somebody listening there for connections?"""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


async def test_in_dev_mode_it_says_where_native_clients_are_served_and_there_they_are() -> None:
    async with dev_server() as (server, address):
        line = await server.out.next()
        found = NATIVE_LINE.fullmatch(line)
        assert found, line
        tcp, *lookups = found.groups()
        assert len({*lookups, tcp, address.rsplit(":", 1)[1]}) == 4
        for lookup in lookups:
            answer = await ask_for(lookup)
            assert set(answer.tcp) == {("127.0.0.1", int(tcp))}
            assert set(answer.http) == {("127.0.0.1", int(address.rsplit(":", 1)[1]))}
        assert is_open(int(tcp))
        ended = await server.end(signal.SIGTERM)
    assert (ended.code, ended.err) == (0, f"{DEV_WARNING}\n")
    assert ADMIN_LINE.fullmatch(ended.out.removesuffix("\n"))


async def test_every_native_port_is_said(tmp_path: Path) -> None:
    plain, port, more, lookup = free_ports(4)
    path = write_config(
        tmp_path,
        f"[server]\ndev = true\nport = {plain}\n"
        f"[native]\nport = {port}\nalso_listen = [{more}]\nlookup_ports = [{lookup}]\n",
    )
    async with program("serve", "--config", path) as server:
        assert address_in(await server.out.next()) == f"127.0.0.1:{plain}"
        assert await server.out.next() == (
            f"native clients: tcp 127.0.0.1:{port} and tcp 127.0.0.1:{more} "
            f"(lookup udp 127.0.0.1:{lookup})"
        )
        assert is_open(port)
        assert is_open(more)
        assert set((await ask_for(str(lookup))).tcp) == {("127.0.0.1", port)}


async def test_native_clients_can_be_left_out_of_dev_mode() -> None:
    async with dev_server("--no-native") as (server, address), connected(address) as client:
        assert (await client.login("alice"))["result"] == "ok"
        ended = await server.end(signal.SIGTERM)
    assert ended.code == 0
    assert ADMIN_LINE.fullmatch(ended.out.removesuffix("\n"))


@pytest.mark.parametrize("flags", [(), ("--native",)])
async def test_without_dev_mode_native_clients_are_asked_for(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    path = write_config(tmp_path, '[server]\nport = 0\n[[apps]]\nid = "app"\n')
    data = str(tmp_path / "data")
    async with program("serve", "--config", path, "--data", data, *flags) as server:
        address_in(await server.out.next())
        if flags:
            found = NATIVE_LINE.fullmatch(await server.out.next())
            assert found
            assert len((await ask_for(found[2])).tcp) >= 2
        ended = await server.end(signal.SIGTERM)
    assert (ended.code, ended.out) == (0, "")
    assert warnings_in(ended.err) == ['the app "app" has no certificate', *AS_ROOT]


TAKEN = pytest.mark.parametrize(
    ("kind", "named"), [(socket.SOCK_STREAM, ""), (socket.SOCK_DGRAM, "udp ")], ids=["tcp", "udp"]
)


def taken_config(folder: Path, taken: socket.socket, more: str) -> str:
    """A configuration whose native clients need the port that is taken."""
    port = taken.getsockname()[1]
    plain, native, first, last = free_ports(4)
    if taken.type == socket.SOCK_DGRAM:
        last = port
    else:
        native = port
    text = (
        f"[server]\nport = {plain}\n"
        f"[native]\nport = {native}\nlookup_ports = [{first}, {last}]\n{more}"
    )
    return write_config(folder, text)


@TAKEN
@pytest.mark.parametrize("flag", ["--dev", "--native"])
def test_a_native_port_that_is_taken_is_one_line_where_it_was_asked_for(
    tmp_path: Path, kind: socket.SocketKind, named: str, flag: str
) -> None:
    """Also in dev mode, where a file that says something of native clients has asked for them."""
    with socket.socket(type=kind) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        path = taken_config(tmp_path, taken, '[[apps]]\nid = "app"\n')
        ended = run("serve", flag, "--config", path, "--data", str(tmp_path / "data"))
    assert re.fullmatch(
        rf"signal-sdk: cannot listen on {named}127\.0\.0\.1:{port}: {WHO} is using it",
        one_line_of(ended),
    )
    assert ended.code == 1


def test_a_port_is_native_or_not_unless_dev_mode_alone_wants_native_clients() -> None:
    """Then the server goes on without them."""
    flags = ("--print-config", "--dev", "--port", str(NativeConfig().port))
    assert invoke(*flags).exit_code == invoke(*flags, "--no-native").exit_code == 0
    refused = invoke(*flags, "--native")
    assert refused.exit_code == 2
    assert "with the flags given, [native] port: the port 8003 is taken by" in refused.stderr


@pytest.mark.parametrize(
    ("flags", "enabled"),
    [
        ((), False),
        (("--native",), True),
        (("--no-native",), False),
        (("--dev",), True),
        (("--dev", "--native"), True),
        (("--dev", "--no-native"), False),
    ],
)
def test_whether_native_clients_are_served_is_what_the_flag_says(
    tmp_path: Path, flags: tuple[str, ...], enabled: bool
) -> None:
    path = write_config(tmp_path, '[[apps]]\nid = "app"\n[native]\nport = 9003\n')
    config = printed("--config", path, *flags)
    assert config.native == NativeConfig(enabled=enabled, port=9003)
    if "--dev" in flags:
        assert printed(*flags).native == NativeConfig(enabled=enabled)


@pytest.mark.parametrize("said", [True, False])
def test_the_native_flag_has_precedence_over_the_file(tmp_path: Path, said: bool) -> None:
    text = f'[server]\ndev = true\n[native]\nenabled = {str(said).lower()}\n[[apps]]\nid = "app"\n'
    path = write_config(tmp_path, text)
    assert printed("--config", path).native.enabled is said
    assert printed("--dev", "--config", path).native.enabled is said
    assert printed("--config", path, "--native").native.enabled
    assert not printed("--config", path, "--no-native").native.enabled
