"""`signal-sdk doctor --client`: each original client's way to a server, and the command itself."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import attrs
import pytest
import trio
from click.testing import CliRunner

from signal_sdk import LoginCallback, LoginSession, Signal
from signal_sdk.cli.main import cli
from signal_sdk.server import config as configs
from signal_sdk.server.engine.bounds import Usage
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.wire import names
from tests.cli.looked_at import (
    ACCOUNT,
    APP,
    CLIENTS,
    GOOD,
    LOCAL,
    LOOKUP_NAMES,
    TWICE,
    WEB_NAME,
    Certificates,
    look,
)
from tests.cli.program import Ended, dev_server, run


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


async def test_programs_are_told_each_step(server: LocalServer) -> None:
    args = ("--client", "java", "--host", "127.0.0.1", "--json", "--app", APP)
    where = ("--lookup-port", str(server.port))
    good = await trio.to_thread.run_sync(
        lambda: doctor(*args, *where, environment={"SIGNAL_SDK_TOKEN": GOOD})
    )
    assert (good.code, good.err) == (0, "")
    told = json.loads(good.out)
    assert (told["ok"], told["problems"]) == (True, [])
    steps = [it["name"] for it in told["steps"]]
    assert steps[0] == "name"
    assert steps[-1] == "logout"
    bad = await trio.to_thread.run_sync(lambda: doctor(*args, *where))
    assert (bad.code, bad.err) == (1, "")
    told = json.loads(bad.out)
    assert told["ok"] is False
    assert [it.partition(":")[0] for it in told["problems"]] == ["token"]
    assert not any(it["is_warning"] for it in told["steps"])
