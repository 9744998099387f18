"""`signal-sdk doctor --client`: each original client's way to a server, and what fails on it."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trustme
from click.testing import CliRunner
from trio.testing import MockClock

from signal_sdk import LoginCallback, LoginSession, Signal
from signal_sdk.cli import old_clients, probes
from signal_sdk.cli.main import cli
from signal_sdk.cli.probes import Asked, Probe, Problem
from signal_sdk.server import config as configs
from signal_sdk.server.config import AppConfig, Config, NativeConfig, ServerConfig
from signal_sdk.server.engine.bounds import Usage
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.wire import datagrams, names, tokens
from tests.cli.program import Ended, dev_server, run
from tests.net.pairs import running_reactor

APP = "970ca35de60c44645bbae8a215061b33"
CERTIFICATE = "5cfd2fd1755d40ecb72977518be15d3b"
ACCOUNT = "signal-sdk-doctor"
WEB_NAME = "127-0-0-1-sig-web.agora.io"
LOOKUP_NAMES = [f"lbs-{number}-sig.agora.io" for number in (1, 2, 3, 4)]
GOOD = tokens.make_token(APP, CERTIFICATE, ACCOUNT, 10**11)
EXPIRED = tokens.make_token(APP, CERTIFICATE, ACCOUNT, 1)
CLIENTS = ["native", "web", "java"]
LOCAL: dict[str, Any] = {"host": "127.0.0.1"}
TWICE = " (twice: the client dials two)"
MAKE = f"signal-sdk token make --app {APP} --account {ACCOUNT} --config FILE"
IS_IT_ON = (
    "is the server running, with native clients on ([native] enabled = true, or --native),"
    " on this machine?"
)

# --- What there is to be looked at


class Certificates:
    """A CA, and certificates for names, as files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._authority = trustme.CA()
        self.ca = str(directory / "ca.pem")
        self._authority.cert_pem.write_to_path(self.ca)

    def server(
        self,
        *hosts: str,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        **settings: Any,
    ) -> ServerConfig:
        """The configuration of a server whose certificate holds for these."""
        cert, key = (str(self._directory / f"{name}.pem") for name in ("cert", "key"))
        issued = self._authority.issue_cert(*hosts, not_before=not_before, not_after=not_after)
        issued.cert_chain_pems[0].write_to_path(cert)
        issued.private_key_pem.write_to_path(key)
        return ServerConfig(cert=cert, key=key, **settings)

    def trusting(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def config(server: ServerConfig | None = None, **native: Any) -> Config:
    """A server with one app, which needs tokens."""
    return Config(
        server=server or ServerConfig(),
        native=NativeConfig(enabled=True, **native),
        apps=(AppConfig(id=APP, certificate=CERTIFICATE),),
    )


@pytest.fixture
async def server(certificates: Certificates) -> AsyncIterator[LocalServer]:
    async with local_server(config(certificates.server(WEB_NAME, *LOOKUP_NAMES))) as running:
        yield running


@contextmanager
def bound(kind: socket.SocketKind, *, listens: bool = False) -> Iterator[int]:
    """A port of 127.0.0.1 that is taken, and where nobody answers."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        if listens:
            sock.listen()
        yield sock.getsockname()[1]


@pytest.fixture
def closed() -> Iterator[int]:
    """A TCP port that refuses connections."""
    with bound(socket.SOCK_STREAM) as port:
        yield port


@pytest.fixture
def silent() -> Iterator[int]:
    """A TCP port that takes connections, and never says anything."""
    with bound(socket.SOCK_STREAM, listens=True) as port:
        yield port


def lookup_ports(server: LocalServer, client: str) -> tuple[int, ...]:
    ports = {"native": server.lookup_ports, "web": [server.tls_port], "java": [server.port]}
    return tuple(ports[client])


@attrs.define
class Outcome:
    """What was seen, and what was wrong in the end."""

    lines: list[str]
    problem: str

    @property
    def steps(self) -> list[str]:
        """The steps that are told of, a repeated one once."""
        return list(dict.fromkeys(line.partition(":")[0] for line in self.lines))

    @property
    def warnings(self) -> list[str]:
        return [line for line in self.lines if ": warning: " in line]

    @property
    def failed(self) -> str:
        """The step that failed."""
        return self.problem.partition(":")[0]


async def look(client: str, server: LocalServer | None = None, **asked: Any) -> Outcome:
    """Do as the client does, here in the test's process."""
    lines: list[str] = []
    if server is not None:
        asked = {"lookup_ports": lookup_ports(server, client), **asked}
    asked = {"app": APP, "account": ACCOUNT, "token": GOOD, **asked}
    with trio.fail_after(30):
        problem = await old_clients.run(
            client, Asked(**asked), lambda step: lines.append(str(step))
        )
    outcome = Outcome(lines, str(problem) if problem is not None else "")
    for text in (*outcome.lines, outcome.problem):
        assert asked["token"] == names.NO_TOKEN or asked["token"] not in text
        assert "\n" not in text
    return outcome


def uid(app: str) -> int:
    """What a server that knows nobody gives the account."""
    return Usage().take_uid(app, ACCOUNT)


# --- All is well


async def test_the_native_sdk_s_way(server: LocalServer) -> None:
    outcome = await look("native", server, **LOCAL)
    tcp = f"127.0.0.1:{server.native_port}"
    assert outcome.problem == ""
    assert outcome.lines == [
        "name: 127.0.0.1 stands for ulbs.sig.agora.io, lbs-sig.agora.io (not looked up)",
        *(f"udp: 127.0.0.1:{port} names {tcp}{TWICE}" for port in server.lookup_ports),
        f"tcp: {tcp} takes connections{TWICE}",
        f"login: {ACCOUNT} is logged in, with uid {uid(APP)}",
        f"logout: {ACCOUNT} is logged out",
    ]


async def test_the_web_sdk_s_way(server: LocalServer, certificates: Certificates) -> None:
    outcome = await look("web", server, ssl_context=certificates.trusting(), **LOCAL)
    tls = f"127.0.0.1:{server.tls_port}"
    assert outcome.problem == ""
    lookups = []
    for name in LOOKUP_NAMES:
        lookups.append(f"tls name: the certificate at {tls} holds for {name}")
        lookups.append(f"lookup: {name} at {tls} names 127.0.0.1:{server.port}")
    assert outcome.lines == [
        f"name: 127.0.0.1 stands for {', '.join(LOOKUP_NAMES)} (not looked up)",
        *lookups,
        f"name: 127.0.0.1 stands for {WEB_NAME} (not looked up)",
        f"tcp: {tls} takes connections",
        f"tls name: the certificate at {tls} holds for {WEB_NAME}",
        f"websocket: wss://{WEB_NAME}:{server.tls_port}/ is open",
        f"login: {ACCOUNT} is logged in, with uid {uid(APP)}",
        f"logout: {ACCOUNT} is logged out",
    ]


async def test_the_java_sdk_s_way(server: LocalServer) -> None:
    outcome = await look("java", server, **LOCAL)
    assert outcome.problem == ""
    assert outcome.lines == [
        "name: 127.0.0.1 stands for lbs.sig.agora.io (not looked up)",
        f"lookup: lbs.sig.agora.io at 127.0.0.1:{server.port} names 127.0.0.1:{server.port}",
        f"name: 127.0.0.1 stands for {WEB_NAME} (not looked up)",
        f"tcp: 127.0.0.1:{server.port} takes connections",
        f"websocket: ws://{WEB_NAME}:{server.port}/ is open",
        f"login: {ACCOUNT} is logged in, with uid {uid(APP)}",
        f"logout: {ACCOUNT} is logged out",
    ]


class Ear(LoginCallback):
    """Hears one message."""

    def __init__(self) -> None:
        self.message = ""
        self.has_heard = trio.Event()

    async def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        self.message = msg
        self.has_heard.set()


@pytest.mark.parametrize("client", CLIENTS)
async def test_nothing_is_left_and_nothing_taken(client: str, certificates: Certificates) -> None:
    web = certificates.server(WEB_NAME, *LOOKUP_NAMES, dev=True)
    dev = attrs.evolve(configs.dev(), server=web)
    async with local_server(dev) as server, Signal(APP, server=server) as app:
        alice = await app.login("alice", names.NO_TOKEN, LoginCallback())
        await alice.message_instant_send(ACCOUNT, "wait for me")
        outcome = await look(
            client, server, token="geheim", ssl_context=certificates.trusting(), **LOCAL
        )
        assert outcome.problem == ""
        assert server.node.sessions == 1
        ear = Ear()
        await app.login(ACCOUNT, names.NO_TOKEN, ear)
        await ear.has_heard.wait()
        assert ear.message == "wait for me"


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


# --- Connections


@pytest.mark.parametrize("client", CLIENTS)
async def test_an_answer_that_names_a_closed_port(
    client: str, closed: int, certificates: Certificates
) -> None:
    named = f"127.0.0.1:{closed - (client == 'web')}"
    web = certificates.server(WEB_NAME, *LOOKUP_NAMES, advertise=(named,))
    async with local_server(config(web, advertise=(named,))) as server:
        outcome = await look(client, server, ssl_context=certificates.trusting(), **LOCAL)
    keys = {"native": "[native] advertise, and without it [server] advertise"}
    key = keys.get(client, "[server] advertise")
    assert outcome.problem == (
        f"tcp: no connection to 127.0.0.1:{closed}: Connection refused;"
        f" have the lookup name the server's address ({key}),"
        f" and let TCP port {closed} through the firewall"
    )


async def test_one_of_two_addresses_is_enough(closed: int) -> None:
    async with local_server(config(advertise=(f"127.0.0.1:{closed}", "127.0.0.1"))) as server:
        outcome = await look("native", server, **LOCAL)
    assert outcome.problem == ""
    assert len(outcome.warnings) == 1
    assert outcome.warnings[0].startswith("tcp: warning: no connection to ")


async def test_a_certificate_for_other_names(certificates: Certificates) -> None:
    trusting = certificates.trusting()
    async with local_server(config(certificates.server("sig.example"))) as server:
        outcome = await look("web", server, ssl_context=trusting, **LOCAL)
        assert outcome.problem == (
            f"tls name: {probes.listed(LOOKUP_NAMES)}: TLS with 127.0.0.1:{server.tls_port} failed:"
            " Hostname mismatch; make a certificate for *.agora.io"
        )
        assert outcome.warnings == []
    async with local_server(config(certificates.server(*LOOKUP_NAMES[1:]))) as server:
        outcome = await look("web", server, ssl_context=trusting, **LOCAL)
        assert outcome.failed == "tls name"
        assert f" {WEB_NAME}: " in outcome.problem
        [warning] = outcome.warnings
        assert " lbs-1-sig.agora.io: " in warning


async def test_a_certificate_of_a_ca_that_is_not_trusted(server: LocalServer) -> None:
    failed = (
        f"tls name: {probes.listed(LOOKUP_NAMES)}: TLS with 127.0.0.1:{server.tls_port} failed:"
        " unable to get local issuer certificate; "
    )
    outcome = await look("web", server, **LOCAL)
    assert outcome.problem == (
        f"{failed}this machine does not trust its CA: give --ca FILE;"
        " each client's machine has to trust it, too"
    )
    assert outcome.steps == ["name"]
    another = ssl.create_default_context()
    trustme.CA().configure_trust(another)
    outcome = await look("web", server, ssl_context=another, **LOCAL)
    assert outcome.problem.startswith(f"{failed}neither this machine nor --ca FILE holds its CA: ")


@pytest.mark.parametrize(
    ("from_day", "to_day", "problem"),
    [
        (-9, -8, "certificate has expired; renew it"),
        (8, 9, "certificate is not yet valid; set this machine's clock, or wait"),
    ],
)
async def test_a_certificate_out_of_its_time(
    from_day: int, to_day: int, problem: str, certificates: Certificates
) -> None:
    first, last = (datetime.now(UTC) + timedelta(days=day) for day in (from_day, to_day))
    web = certificates.server(*LOOKUP_NAMES, not_before=first, not_after=last)
    async with local_server(config(web)) as server:
        outcome = await look("web", server, ssl_context=certificates.trusting(), **LOCAL)
        assert outcome.problem.endswith(f": TLS with 127.0.0.1:{server.tls_port} failed: {problem}")


async def test_tls_where_there_is_none(server: LocalServer) -> None:
    outcome = await look("web", lookup_ports=(server.port,), **LOCAL)
    where = f"127.0.0.1:{server.port}"
    assert outcome.problem.startswith(f"tls name: {where} does not speak TLS (")
    assert outcome.problem.endswith("); that is the server's port + 1, once it has cert and key")
    assert outcome.warnings == []


async def test_no_websocket_where_the_answer_leads(server: LocalServer) -> None:
    named = f"127.0.0.1:{server.native_port}"
    async with local_server(config(ServerConfig(advertise=(named,)))) as other:
        outcome = await look("java", other, **LOCAL)
    assert outcome.problem == (
        f"websocket: no WebSocket at {named}: the server did not answer as a WebSocket server does;"
        f" have port {server.native_port} lead to this server, and to no proxy"
    )


@pytest.mark.parametrize(
    ("client", "step"), [("native", "login"), ("web", "tls name"), ("java", "websocket")]
)
async def test_every_step_has_its_time(
    client: str,
    step: str,
    silent: int,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named = f"127.0.0.1:{silent - (client == 'web')}"
    web = certificates.server(WEB_NAME, *LOOKUP_NAMES, advertise=(named,))
    async with local_server(config(web, advertise=(named,))) as server:
        monkeypatch.setattr(probes, "STEP_SECONDS", 0.3)
        outcome = await look(client, server, ssl_context=certificates.trusting(), **LOCAL)
    assert outcome.failed == step
    assert ": nothing in 0.3 s; " in outcome.problem


async def test_a_step_has_the_rest_of_its_time_where_the_process_stood_still(
    autojump_clock: MockClock,
) -> None:
    asked = Asked(app=APP, account=ACCOUNT, token=GOOD)
    async with running_reactor() as reactor:
        with contextlib.ExitStack() as opened:
            probe = Probe(asked, print, reactor, opened)
            with probe.bounded("login", "the login", "wait"):
                await trio.sleep(1)
                autojump_clock.jump(60)
                await trio.sleep(10)
            with (
                pytest.raises(Problem, match=r"login: the login: nothing in 5 s; wait"),
                probe.bounded("login", "the login", "wait"),
            ):
                await trio.sleep(60)


# --- The login


CHECK = "signal-sdk token check says more, and so does the server's log (serve -v)"
WRONG = "it is not of this app, this account and the server's certificate for it"
NO_MATCH = "the token is not one for this account and app id"
NATIVE_REASONS = {204: "TokenErrorExpired (204)", 206: f"TokenErrorWrong (206): {WRONG}"}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("token", "reason", "ecode", "advice"),
    [
        ("garbage", NO_MATCH, 206, CHECK),
        (
            tokens.make_token(APP, CERTIFICATE, "another", 10**11),
            NO_MATCH,
            206,
            CHECK,
        ),
        (EXPIRED, "the token has expired (at 1, Unix seconds)", 204, f"make a new one: {MAKE}"),
    ],
    ids=["garbage", "another's", "expired"],
)
async def test_a_token_that_is_refused(
    client: str,
    token: str,
    reason: str,
    ecode: int,
    advice: str,
    server: LocalServer,
    certificates: Certificates,
) -> None:
    outcome = await look(client, server, token=token, ssl_context=certificates.trusting(), **LOCAL)
    said = NATIVE_REASONS[ecode] if client == "native" else f"{reason} ({ecode})"
    assert outcome.problem == f"token: {ACCOUNT} was refused: {said}; {advice}"


@pytest.mark.parametrize("client", CLIENTS)
async def test_no_token_where_the_app_wants_one(
    client: str, server: LocalServer, certificates: Certificates
) -> None:
    asked = {"token": names.NO_TOKEN, "ssl_context": certificates.trusting()}
    outcome = await look(client, server, **asked, **LOCAL)
    assert outcome.problem == (
        "token: no token was given, and the app wants one; make one, and put it into"
        f" SIGNAL_SDK_TOKEN: {MAKE} (or set allow_no_token = true for the app)"
    )


# --- The command


def doctor(*args: str, environment: dict[str, str] | None = None) -> Ended:
    return run("doctor", *args, environment=environment)


async def test_the_command_against_a_server() -> None:
    async with dev_server() as (server, _):
        native = await server.out.next()
        ports = [word.rpartition(":")[2].strip(")") for word in native.split("udp ")[1:]]
        ports = [port.split()[0].strip(")") for port in ports]
        options = [word for port in ports for word in ("--lookup-port", port)]
        args = ("--client", "native", "--host", "localhost", *options)
        token = "1:not:so:secret"
        ended = await trio.to_thread.run_sync(
            lambda: doctor(*args, environment={"SIGNAL_SDK_TOKEN": token})
        )
        assert (ended.code, ended.err) == (0, "")
        lines = ended.out.splitlines()
        assert lines[0].startswith("name: localhost (127.0.0.1) stands for ulbs.sig.agora.io, ")
        assert lines[-3] == f"login: {ACCOUNT} is logged in, with uid {uid('demo')}"
        assert lines[-1] == "all is well"
        assert token not in ended.out
        await server.end(signal.SIGTERM)


async def test_the_command_where_something_is_wrong() -> None:
    async with dev_server() as (server, address):
        port = address.rpartition(":")[2]
        args = (
            "--client",
            "web",
            "--host",
            "127.0.0.1",
            "--lookup-port",
            port,
            "--token",
            "geheim",
        )
        ended = await trio.to_thread.run_sync(lambda: doctor(*args))
        assert ended.code == 1
        assert "all is well" not in ended.out
        assert ended.err.startswith("tls name: ")
        assert ended.err.count("\n") == 1
        assert "geheim" not in ended.out + ended.err
        await server.end(signal.SIGTERM)


async def test_the_command_trusts_a_ca(server: LocalServer, certificates: Certificates) -> None:
    args = [
        *("--client", "web", "--host", "127.0.0.1", "--lookup-port", str(server.tls_port)),
        *("--app", APP, "--token", GOOD, "--ca", certificates.ca),
    ]
    ended = await trio.to_thread.run_sync(lambda: doctor(*args))
    assert (ended.code, ended.err) == (0, "")
    assert GOOD not in ended.out


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((), "give either --data, --redis or --config, or --client"),
        (
            ("--data", "d", "--client", "web"),
            "give either --data, --redis or --config, or --client",
        ),
        (("--data", "d", "--host", "h"), "--host goes with --client"),
        (("--data", "d", "--token", "t"), "--token goes with --client"),
        (("--data", "d", "--lookup-port", "1"), "--lookup-port goes with --client"),
        (("--client", "java", "--ca", "f"), "--ca goes with --client web: the others use no TLS"),
        (("--client", "web", "--host", ""), "--host is empty"),
        *(
            (
                ("--client", "native", "--host", host),
                "--host takes a host alone, without port; --lookup-port is the port",
            )
            for host in ("127.0.0.1:8180", "https://sig.example", "sig.example/", "[::1]:80")
        ),
        (
            ("--client", "java", "--host", "::1"),
            "--host takes no IPv6 address: the original clients know none",
        ),
        (
            ("--client", "web", "--lookup-port", "1", "--lookup-port", "2"),
            "--lookup-port is given once, and for native at most twice",
        ),
    ],
)
def test_wrong_use_is_one_line(args: tuple[str, ...], text: str) -> None:
    result = CliRunner().invoke(cli, ["doctor", *args])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"signal-sdk doctor: {text}; see signal-sdk doctor --help\n"


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("--ca", "/nowhere/ca.pem"), "cannot use the CA in /nowhere/ca.pem: "),
        (("--ca", __file__), f"cannot use the CA in {__file__}: "),
        (("--account", "a b"), "account 'a b' holds white space"),
        (("--app", "\udc80"), r"app id '\udc80' is not UTF-8 text"),
        (("--token", "geheim\udc80"), "token '' is not UTF-8 text"),
    ],
)
def test_wrong_values_are_one_line(args: tuple[str, ...], text: str) -> None:
    result = CliRunner().invoke(cli, ["doctor", "--client", "web", *args])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"signal-sdk: {text}")
    assert result.stderr.count("\n") == 1


def test_a_token_in_the_environment_is_no_option_of_data(tmp_path: Path) -> None:
    ended = doctor("--data", str(tmp_path), environment={"SIGNAL_SDK_TOKEN": "t"})
    assert ended.code == 1
    assert ended.err.endswith("there is no such file\n")
