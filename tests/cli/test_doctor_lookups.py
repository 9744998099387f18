"""`signal-sdk doctor --client`: what fails of its names and of its lookup."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import trio

from signal_sdk.cli import old_clients, probes
from signal_sdk.server.config import ServerConfig
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.wire import datagrams
from tests.cli.looked_at import (
    ACCOUNT,
    CLIENTS,
    IS_IT_ON,
    LOCAL,
    LOOKUP_NAMES,
    WEB_NAME,
    Certificates,
    bound,
    config,
    look,
)

# --- Names


class Names(trio.abc.HostnameResolver):
    """A name server that knows these names; an address is its own name."""

    def __init__(self, **known: str) -> None:
        self._known = {name.replace("_", "."): address for name, address in known.items()}

    async def getaddrinfo(
        self, host: bytes | None, port: Any, family: int = 0, *rest: int, **more: int
    ) -> Any:
        await trio.lowlevel.checkpoint()
        name = (host or b"").decode()
        address = self._known.get(name, name if name[-1].isdigit() else "")
        if not address:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(family, socket.SOCK_STREAM, 6, "", (address, port or 0))]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise NotImplementedError


def know(*known: str, **elsewhere: str) -> None:
    """From here on, these names lead here, or elsewhere."""
    resolver = Names(**dict.fromkeys(known, "127.0.0.1") | elsewhere)
    trio.socket.set_custom_hostname_resolver(resolver)


NEEDED = {
    "native": ["ulbs.sig.agora.io", "lbs-sig.agora.io"],
    "web": LOOKUP_NAMES,
    "java": ["lbs.sig.agora.io"],
}


@pytest.mark.parametrize("client", CLIENTS)
async def test_without_a_host_its_names_are_looked_up(
    client: str, server: LocalServer, certificates: Certificates
) -> None:
    know(*NEEDED[client], WEB_NAME)
    outcome = await look(client, server, ssl_context=certificates.trusting())
    assert outcome.problem == ""
    assert outcome.warnings == []
    expected = [f"name: {name} is 127.0.0.1" for name in NEEDED[client]]
    if client != "native":
        expected.append(f"name: {WEB_NAME} is 127.0.0.1")
    assert [line for line in outcome.lines if line.startswith("name: ")] == expected


@pytest.mark.parametrize("client", CLIENTS)
async def test_names_that_lead_nowhere(client: str, server: LocalServer) -> None:
    know()
    outcome = await look(client, server)
    them = probes.listed(NEEDED[client])
    assert outcome.problem == (
        f"name: {them}: Name or service not known;"
        f" have your name server answer {them} with your server's IPv4 address"
    )
    assert outcome.lines == []


@pytest.mark.parametrize("client", ["native", "web"])
async def test_one_of_the_names_is_enough(
    client: str, server: LocalServer, certificates: Certificates
) -> None:
    *missing, known = NEEDED[client]
    know(known, WEB_NAME)
    outcome = await look(client, server, ssl_context=certificates.trusting())
    assert outcome.problem == ""
    [warning] = outcome.warnings
    assert warning.startswith(f"name: warning: {probes.listed(missing)}: Name or service not known")


async def test_a_host_that_leads_nowhere() -> None:
    outcome = await look("java", host="nowhere.invalid")
    assert outcome.lines == []
    assert outcome.problem.startswith("name: nowhere.invalid: ")
    assert outcome.problem.endswith("give the server's name or its IPv4 address as --host")


@pytest.mark.parametrize("client", ["web", "java"])
@pytest.mark.parametrize("leads_to", [None, "127.0.0.2"])
async def test_the_name_that_is_made_of_the_address_leads_there(
    client: str, leads_to: str | None, server: LocalServer, certificates: Certificates
) -> None:
    know(*NEEDED[client], **dict.fromkeys([WEB_NAME] if leads_to else [], leads_to or ""))
    outcome = await look(client, server, ssl_context=certificates.trusting())
    assert outcome.failed == "name"
    assert outcome.problem.endswith(f"have your name server answer {WEB_NAME} with 127.0.0.1")
    assert (f"{WEB_NAME} is 127.0.0.2, not 127.0.0.1" in outcome.problem) is bool(leads_to)


# --- The lookup


async def test_datagrams_to_where_nobody_listens(server: LocalServer) -> None:
    with bound(socket.SOCK_DGRAM) as port:
        pass
    outcome = await look("native", lookup_ports=(port,), **LOCAL)
    assert outcome.problem == f"udp: 127.0.0.1:{port}: Connection refused; {IS_IT_ON}"


async def test_datagrams_to_where_no_way_leads() -> None:
    with bound(socket.SOCK_DGRAM) as port:
        outcome = await look("native", lookup_ports=(port,), host="255.255.255.255")
    assert outcome.problem.startswith(f"udp: 255.255.255.255:{port}: ")
    assert outcome.problem.endswith(f"; see that this machine has a way to 255.255.255.255:{port}")


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (
            b"who is there?",
            (
                "something answers, but not as a signaling server does (not zlib data);"
                " have UDP {} lead to this server, and to no other program"
            ),
        ),
        (
            datagrams.encode_refusal("we are full", 1000),
            "the lookup was refused: we are full; look into the server's log (signal-sdk serve -v)",
        ),
    ],
    ids=["another program", "a refusal"],
)
async def test_datagrams_that_are_answered_without_an_address(
    said: bytes, problem: str, nursery: trio.Nursery
) -> None:
    async def answer(sock: trio.socket.SocketType) -> None:
        while True:
            _, asker = await sock.recvfrom(2048)
            await sock.sendto(said, asker)

    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))
        nursery.start_soon(answer, sock)
        where = f"127.0.0.1:{sock.getsockname()[1]}"
        outcome = await look("native", lookup_ports=(sock.getsockname()[1],), **LOCAL)
        nursery.cancel_scope.cancel()
    assert outcome.problem == f"udp: {where}: {problem.format(where)}"


async def test_datagrams_that_are_not_answered(server: LocalServer) -> None:
    with bound(socket.SOCK_DGRAM) as first, bound(socket.SOCK_DGRAM) as second:
        outcome = await look("native", lookup_ports=(first, second), **LOCAL)
        both = f"127.0.0.1:{first} and 127.0.0.1:{second}"
        assert outcome.problem == (
            f"udp: {both}: no answer in 0.5 s;"
            f" let UDP to {both} through the firewall; and {IS_IT_ON}"
        )
        assert outcome.warnings == []
        good = server.lookup_ports[0]
        outcome = await look("native", lookup_ports=(first, good), **LOCAL)
    assert outcome.problem == ""
    assert len(outcome.warnings) == 1


async def test_faults_that_differ_come_in_the_client_s_order() -> None:
    with bound(socket.SOCK_DGRAM) as silent:
        with bound(socket.SOCK_DGRAM) as closed:
            pass
        first = await look("native", lookup_ports=(silent, closed), **LOCAL)
        second = await look("native", lookup_ports=(closed, silent), **LOCAL)
    assert [line.partition(";")[0] for line in (*first.warnings, first.problem)] == [
        f"udp: warning: 127.0.0.1:{silent}: no answer in 0.5 s",
        f"udp: 127.0.0.1:{closed}: Connection refused",
    ]
    assert [line.partition(";")[0] for line in (*second.warnings, second.problem)] == [
        f"udp: warning: 127.0.0.1:{closed}: Connection refused",
        f"udp: 127.0.0.1:{silent}: no answer in 0.5 s",
    ]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("is_app_given", "note", "which"),
    [(True, "", "another --app"), (False, " (no --app was given)", "--app")],
)
async def test_an_unknown_app_is_named(
    client: str,
    is_app_given: bool,
    note: str,
    which: str,
    server: LocalServer,
    certificates: Certificates,
) -> None:
    outcome = await look(
        client,
        server,
        app="other",
        is_app_given=is_app_given,
        ssl_context=certificates.trusting(),
        **LOCAL,
    )
    where = probes.listed(f"127.0.0.1:{port}" for port in server.lookup_ports)
    who = f"udp: {where}: " if client == "native" else f"login: {ACCOUNT} was refused: "
    assert outcome.problem == (
        f"{who}unknown app id 'other'{note};"
        f" give {which}, or add it to the server's configuration as [[apps]]"
    )
    assert outcome.warnings == []


TLS_PORT = "; the server listens for TLS on its port + 1, once it has cert and key"


@pytest.mark.parametrize(("client", "more"), [("web", TLS_PORT), ("java", "")])
async def test_no_connection_to_the_lookup(client: str, more: str, closed: int) -> None:
    outcome = await look(client, lookup_ports=(closed,), **LOCAL)
    assert outcome.problem == (
        f"lookup: no connection to 127.0.0.1:{closed}: Connection refused;"
        f" have TCP port {closed} lead to the server, or give another with --lookup-port,"
        f" and let it through the firewall{more}"
    )
    assert outcome.warnings == []


async def test_no_connection_to_where_the_java_sdk_asks(
    closed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(old_clients, "JAVA_PORT", closed)
    know("lbs.sig.agora.io")
    outcome = await look("java")
    assert outcome.problem == (
        f"lookup: no connection to 127.0.0.1:{closed}: Connection refused;"
        f" have TCP port {closed} lead to the server ([server] also_listen = [{closed}]),"
        " and let it through the firewall"
    )


async def test_another_program_at_the_lookup_s_port(server: LocalServer) -> None:
    outcome = await look("java", lookup_ports=(server.native_port,), **LOCAL)
    assert outcome.problem.startswith(
        f"lookup: the lookup at http://127.0.0.1:{server.native_port} failed: "
    )


async def test_a_server_that_is_being_stopped(nursery: trio.Nursery) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, answer, [listener])
    port = listener.socket.getsockname()[1]
    outcome = await look("java", lookup_ports=(port,), **LOCAL)
    assert outcome.failed == "lookup"
    assert "503 Service Unavailable" in outcome.problem


@pytest.mark.parametrize("named", ["sig.example", "127.0.0.1:65535"])
async def test_an_answer_that_names_no_address(named: str) -> None:
    async with local_server(config(ServerConfig(advertise=(named,)))) as server:
        outcome = await look("java", server, **LOCAL)
    assert outcome.failed == "lookup"
    assert f"the answer names {named}" in outcome.problem
    assert outcome.problem.endswith("set [server] advertise to addresses that clients reach")
