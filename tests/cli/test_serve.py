"""`signal-sdk serve`: what it listens on and says, the configuration that it makes, how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio
import trustme
from click.testing import CliRunner, Result

from signal_sdk.cli.main import cli
from signal_sdk.cli.serve import DEV_WARNING
from signal_sdk.cli.serving import SWITCH_SECONDS
from signal_sdk.native import udp
from signal_sdk.net.tls import TlsTransport
from signal_sdk.net.transport import SocketTransport, Transport
from signal_sdk.server import config as configs
from signal_sdk.server.config import AppConfig, Config, NativeConfig, ServerConfig
from signal_sdk.server.engine.files import FILE_NAME
from signal_sdk.server.node import STOP_SECONDS
from signal_sdk.wire import datagrams, tokens
from tests.cli.program import address_in, dev_server, one_line_of, program, run, unread_pipe
from tests.net.pairs import running_reactor
from tests.wire_client import WireClient, wire_client

EVERYWHERE = "0.0.0.0"  # noqa: S104  no server is started with it
CERTIFICATE = "5cfd2fd1755d40ecb72977518be15d3b"
NATIVE_LINE = re.compile(
    r"native clients: tcp 127\.0\.0\.1:(\d+) "
    r"\(lookup udp 127\.0\.0\.1:(\d+) and udp 127\.0\.0\.1:(\d+)\)"
)
WHO = r"(another process|the process \d+ \([^)]+\))"
"""One that is bound to a TCP port, but does not listen there, cannot be found."""
SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


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


async def connect(address: str) -> Transport:
    host, port = address.rsplit(":", 1)
    stream = await trio.open_tcp_stream(host, int(port))
    return SocketTransport(socket.socket(fileno=stream.socket.detach()))


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[WireClient]:
    async with wire_client(await connect(address), f"ws://{address}/") as client:
        yield client


# --- Its life


@SIGNALS
async def test_a_signal_ends_it_cleanly_and_clients_hear_of_it(number: signal.Signals) -> None:
    async with dev_server() as (server, address), connected(address) as client:
        await client.login("alice", device="javasdk")
        server.process.send_signal(number)
        farewell = await client.expect("close")
        assert farewell["reason"] == "the server is going away"
        ended = await server.end()
    assert ended.code == 0
    assert NATIVE_LINE.fullmatch(ended.out.removesuffix("\n"))


@pytest.mark.parametrize(("number", "delay"), [(signal.SIGTERM, 7.0), (signal.SIGINT, 0.0)])
async def test_only_sigterm_takes_its_time(number: signal.Signals, delay: float) -> None:
    async with dev_server("--drain", "7") as (server, address), connected(address) as client:
        await client.login("alice", device="javasdk")
        server.process.send_signal(number)
        assert (await client.expect("close"))["delay"] == delay


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_a_drain_at_once(second: signal.Signals) -> None:
    async with (
        dev_server("--drain", "3600") as (server, address),
        connected(address) as first,
        connected(address) as last,
    ):
        await first.login("alice", device="javasdk")
        await last.login("bob", device="javasdk")
        server.process.send_signal(signal.SIGTERM)
        await first.wait_closed()
        assert last.closed is None
        ended = await server.end(second)
    assert ended.code == 0


@SIGNALS
async def test_a_second_signal_ends_it_at_once(number: signal.Signals) -> None:
    async with dev_server() as (server, address), connected(address) as client:
        await client.login("alice", device="javasdk")
        host, port = address.rsplit(":", 1)
        async with await trio.open_tcp_stream(host, int(port)) as silent:
            # Half a handshake: the server gives it some seconds to be finished.
            await silent.send_all(b"GET / HTTP/1.1\r\n")
            server.process.send_signal(number)
            await client.expect("close")
            with trio.fail_after(STOP_SECONDS / 2):
                ended = await server.end(number)
    assert ended.code == 0


async def test_a_hangup_has_the_file_read_again_and_a_bad_one_changes_nothing(
    tmp_path: Path,
) -> None:
    text = f'[server]\nport = 0\ndata = "{tmp_path / "data"}"\n[[apps]]\nid = '
    path = write_config(tmp_path, f'{text}"one"\n')

    async def outcome(app: str) -> str:
        async with connected(address) as client:
            return str((await client.login("alice", app=app))["result"])

    async with program("serve", "--config", path, "-v") as server:

        async def hang_up(expected: str) -> None:
            server.process.send_signal(signal.SIGHUP)
            while expected not in await server.err.next():
                pass

        address = address_in(await server.out.next())
        assert (await outcome("one"), await outcome("two")) == ("ok", "failed")
        write_config(tmp_path, f'{text}"two"\n[limits]\nuser_messages = 5\n')
        await hang_up("the configuration in force stays: ")
        assert (await outcome("one"), await outcome("two")) == ("ok", "failed")
        write_config(tmp_path, f'{text}"two"\n'.replace("port = 0", "port = 9"))
        await hang_up("WARNING a restart is needed for what has changed in [server] port")
        await hang_up("INFO the certificate, the apps and the limits were read again")
        assert (await outcome("one"), await outcome("two")) == ("failed", "ok")
        assert (await server.end(signal.SIGTERM)).code == 0


async def test_it_says_what_it_listens_on_and_there_it_is() -> None:
    async with program("serve", "--dev", "--port", "0") as server:
        line = await server.out.next()
        port = re.fullmatch(
            r"listening on ws://127\.0\.0\.1:(\d+)/ \(lookup http://127\.0\.0\.1:\1/getaddr\)", line
        )
        assert port, line
        async with httpx.AsyncClient(trust_env=False) as http:
            found = await http.get(f"http://127.0.0.1:{port[1]}/getaddr", params={"vid": "app"})
        assert found.json()["web"] == [["127.0.0.1", int(port[1])]] * 2


async def test_every_plain_port_is_said_and_listened_on(tmp_path: Path) -> None:
    [more] = free_ports(1)
    path = write_config(tmp_path, f"[server]\nport = 0\nalso_listen = [{more}]\n")
    async with program("serve", "--dev", "--config", path) as server:
        line = await server.out.next()
        found = re.fullmatch(
            r"listening on ws://127\.0\.0\.1:(\d+)/ and ws://127\.0\.0\.1:(\d+)/ "
            r"\(lookup http://127\.0\.0\.1:\1/getaddr\)",
            line,
        )
        assert found, line
        assert int(found[2]) == more != int(found[1])
        for port in found.groups():
            async with connected(f"127.0.0.1:{port}") as client:
                assert (await client.login("alice"))["result"] == "ok"
            async with httpx.AsyncClient(trust_env=False) as http:
                answer = await http.get(f"http://127.0.0.1:{port}/getaddr", params={"vid": "app"})
            assert answer.json()["web"] == [["127.0.0.1", int(found[1])]] * 2


async def test_dev_mode_is_said_loudly() -> None:
    async with dev_server() as (server, _):
        assert await server.err.next() == DEV_WARNING
        assert (await server.end(signal.SIGTERM)).err == ""


async def test_dev_mode_from_the_file_is_said_as_loudly(tmp_path: Path) -> None:
    path = write_config(tmp_path, "[server]\nport = 0\ndev = true\n")
    async with program("serve", "--config", path) as server:
        assert await server.err.next() == DEV_WARNING


AS_ROOT = ["running as root"] if os.geteuid() == 0 else []
"""The warning that depends on who runs the tests."""


def warnings_in(err: str) -> list[str]:
    """The beginning of each line, all of which are warnings."""
    lines = err.splitlines()
    assert all(line.startswith("signal-sdk: warning: ") for line in lines), err
    return [line.removeprefix("signal-sdk: warning: ").split(":")[0] for line in lines]


async def test_without_dev_mode_there_is_nothing_to_be_loud_about(tmp_path: Path) -> None:
    path = write_config(
        tmp_path, f'[server]\nport = 0\n[[apps]]\nid = "app"\ncertificate = "{CERTIFICATE}"\n'
    )
    data = str(tmp_path / "data")
    async with program("serve", "--config", path, "--data", data) as server:
        await server.out.next()
        assert warnings_in((await server.end(signal.SIGTERM)).err) == AS_ROOT


async def test_what_stands_open_is_a_line_each(tmp_path: Path) -> None:
    path = write_config(
        tmp_path,
        f"""[server]\nport = 0\n[[apps]]\nid = "app"
[[apps]]\nid = "lax"\ncertificate = "{CERTIFICATE}"\nallow_no_token = true\n""",
        mode=0o646,
    )
    data = str(tmp_path / "data")
    async with program("serve", "--config", path, "--data", data) as server:
        await server.out.next()
        server.process.send_signal(signal.SIGHUP)
        lines = [await server.err.next() for _ in range(4 + len(AS_ROOT) + 2)]
        ended = await server.end(signal.SIGTERM)
    first = [
        'the app "app" has no certificate',
        'the app "lax" allows logins without a token (allow_no_token)',
    ]
    told = warnings_in("\n".join(lines[:-2]))
    assert told == [*first, path, path, *AS_ROOT]
    # An app that came with SIGHUP is told, too.
    for line, text in zip(lines[-2:], first, strict=True):
        assert f"WARNING {text}" in line
    assert ended.code == 0
    assert CERTIFICATE not in "".join(lines) + ended.err


async def test_with_a_certificate_it_listens_for_tls_on_the_next_port(tmp_path: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made.private_key_pem.write_to_path(key)
    for number, blob in enumerate(made.cert_chain_pems):
        blob.write_to_path(cert, append=number > 0)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    flags = ("--cert", str(cert), "--key", str(key))
    async with program("serve", "--dev", "--port", "0", *flags) as server:
        line = await server.out.next()
        found = re.match(r"listening on ws://127.0.0.1:(\d+)/ and wss://127.0.0.1:(\d+)/ \(", line)
        assert found, line
        assert int(found[2]) == int(found[1]) + 1
        tls = TlsTransport(
            await connect(f"127.0.0.1:{found[2]}"),
            context,
            server_side=False,
            server_hostname="127.0.0.1",
        )
        await tls.handshake()
        async with wire_client(tls) as client:
            assert (await client.login("alice"))["result"] == "ok"
        assert (await server.end(signal.SIGTERM)).code == 0


async def test_the_log_shows_who_logs_in_and_no_secret(tmp_path: Path) -> None:
    path = write_config(
        tmp_path, f'[server]\nport = 0\n[[apps]]\nid = "app"\ncertificate = "{CERTIFICATE}"\n'
    )
    token = tokens.make_token("app", CERTIFICATE, "alice", 4_000_000_000)
    data = str(tmp_path / "data")
    async with program("serve", "--config", path, "--data", data, "-vv") as server:
        address = (await server.out.next()).split("/")[2]
        async with connected(address) as client:
            assert (await client.login("alice", token=f"{token}0"))["err"] == "TokenErrorWrong"
        async with connected(address) as client:
            await client.login("alice", token=token)
            line = client.line
            await client.call("user_get_attr", line="another", account="alice", name="x")
            await client.call("nothing_known")
        ended = await server.end(signal.SIGTERM)
    assert "INFO 127.0.0.1" in ended.err
    assert "'alice' of app 'app' logged in" in ended.err
    assert "DEBUG" in ended.err
    for secret in (token, token.rpartition(":")[2], line, CERTIFICATE):
        assert secret not in ended.err


async def test_by_default_logins_are_not_logged() -> None:
    async with dev_server() as (server, address):
        async with connected(address) as client:
            await client.login("alice")
        ended = await server.end(signal.SIGTERM)
    assert ended.err == f"{DEV_WARNING}\n"


def test_a_stdout_that_nobody_reads_ends_it_quietly() -> None:
    with unread_pipe() as stdout:
        ended = run("serve", "--dev", "--port", "0", stdout=stdout)
    assert (ended.code, ended.err) == (1, f"{DEV_WARNING}\n")


# --- Native clients


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
    assert (ended.code, ended.out, ended.err) == (0, "", f"{DEV_WARNING}\n")


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
    assert (ended.code, ended.out) == (0, "")


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


# --- Its data


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_what_it_keeps_outlives_it(tmp_path: Path, end: signal.Signals) -> None:
    data = str(tmp_path / "data")
    async with dev_server("--data", data) as (server, address), connected(address) as client:
        await client.login("alice", device="javasdk")
        await client.call("channel_join", name="room")
        line, uid = client.line, client.uid
        server.process.send_signal(end)
        assert (await server.process.wait()) == (0 if end == signal.SIGTERM else -end)
    async with dev_server("--data", data) as (_, address), connected(address) as client:
        client.send("line_login", {"line": line})
        found = await client.login_ret()
    assert (found["result"], found["uid"], found["channel"]) == ("ok", uid, "room")


async def test_in_dev_mode_without_a_directory_nothing_is_kept(tmp_path: Path) -> None:
    async with dev_server() as (_, address), connected(address) as client:
        await client.login("alice", device="javasdk")
        line = client.line
    async with dev_server() as (_, address), connected(address) as client:
        client.send("line_login", {"line": line})
        assert (await client.login_ret())["ecode"] == 202


async def test_a_directory_from_the_file_is_used(tmp_path: Path) -> None:
    data = tmp_path / "data"
    path = write_config(tmp_path, f'[server]\nport = 0\ndata = "{data}"\n[[apps]]\nid = "app"\n')
    async with program("serve", "--config", path, "--durability", "power") as server:
        await server.out.next()
        assert (await server.end(signal.SIGTERM)).code == 0
    assert (data / FILE_NAME).exists()


async def test_a_directory_in_use_is_one_line(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    async with dev_server("--data", data) as (server, _):
        ended = await trio.to_thread.run_sync(run, "serve", "--dev", "--port", "0", "--data", data)
    assert re.fullmatch(
        rf"signal-sdk: {data}/{FILE_NAME}: the process {server.process.pid} \([^)]+\) is using it;"
        " stop that one first",
        one_line_of(ended),
    )
    assert ended.code == 1


def test_data_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("what is this?")
    ended = run("serve", "--dev", "--port", "0", "--data", str(tmp_path))
    assert one_line_of(ended) == (
        f"signal-sdk: {tmp_path}/{FILE_NAME}: not a journal of signal-sdk: it is no SQLite file"
    )
    assert ended.code == 1


def test_without_dev_mode_it_asks_where_state_is_kept(tmp_path: Path) -> None:
    path = write_config(tmp_path, '[server]\nport = 0\n[[apps]]\nid = "app"\n')
    ended = run("serve", "--config", path)
    assert one_line_of(ended) == (
        "signal-sdk: where is state to be kept? Give --data DIR or --redis URL, or data or redis in"
        " [server]; only with --dev may it be in memory"
    )
    assert ended.code == 2


def test_a_busy_server_gives_the_interpreter_away_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """And whoever runs the command line in their own program has theirs back."""
    seen: list[float] = []

    async def serve(*_: object) -> None:
        await trio.lowlevel.checkpoint()
        seen.append(sys.getswitchinterval())

    monkeypatch.setattr("signal_sdk.cli.serving._serve", serve)
    before = sys.getswitchinterval()
    assert invoke("--dev").exit_code == 0
    assert seen == [pytest.approx(SWITCH_SECONDS)]
    assert sys.getswitchinterval() == before != seen[0]


# --- What is refused


def test_a_port_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("serve", "--dev", "--port", str(port))
    assert re.fullmatch(
        rf"signal-sdk: cannot listen on 127\.0\.0\.1:{port}: {WHO} is using it",
        one_line_of(ended),
    )
    assert ended.code == 1


def test_another_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path = write_config(tmp_path, f"[server]\nport = 0\nalso_listen = [{port}]\n")
        ended = run("serve", "--dev", "--config", path)
    assert re.fullmatch(
        rf"signal-sdk: cannot listen on 127\.0\.0\.1:{port}: {WHO} is using it",
        one_line_of(ended),
    )
    assert ended.code == 1


def test_a_wrong_configuration_is_one_line_with_the_place(tmp_path: Path) -> None:
    path = write_config(tmp_path, '[server]\nhost = "0.0.0.0"\nport = "80a"\n')
    ended = run("serve", "--config", path)
    assert one_line_of(ended) == (
        f'signal-sdk: {path}:3: [server] port: expected an integer, got "80a"'
    )
    assert ended.code == 2


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((), "signal-sdk serve: give --config FILE, or --dev for development"),
        (("--dev", "--porto", "1"), "signal-sdk serve: no such option '--porto'"),
        (("--dev", "--port", "many"), "signal-sdk serve: invalid value for '--port'"),
        (("--dev", "--port", "65536"), "signal-sdk serve: invalid value for '--port'"),
        (("--dev", "--durability", "disk"), "invalid value for '--durability'"),
        (("--dev", "--drain", "3601"), "invalid value for '--drain'"),
        (("--dev", "--workers", "0"), "'--workers': '0' is neither auto nor 1 to 1024"),
        (("--dev", "--workers", "all"), "'--workers': 'all' is neither auto nor 1 to 1024"),
        (
            ("--dev", "--workers", "2"),
            "processes share their state in Redis: set redis, too, or --",
        ),
        (("--dev", "--workers", "auto"), "[server] workers: auto is not 1, and processes share th"),
        (("--dev", "--redis", "h:1"), "with the flags given, [server] redis: expected redis://HO"),
        (("--dev", "--redis", "redis://h", "--data", "d"), "[server] data: state is kept there or"),
        (("--dev", "--host", ""), "signal-sdk: with the flags given, [server] host: may not be"),
        (("--dev", "--cert", "c.pem"), "[server] cert: needs its private key"),
        (("--dev", "--cert", "/no/c", "--key", "/no/k"), "signal-sdk: cannot use the certificate"),
        (("--dev", "--host", "no such host"), "signal-sdk: cannot listen on no such host:8001"),
        (("--config", "/no/such/file"), "signal-sdk: /no/such/file: No such file or directory"),
        (("extra",), "signal-sdk serve: got unexpected extra argument"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(args: tuple[str, ...], text: str) -> None:
    result = invoke(*args)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert text in result.stderr
    assert result.stderr.count("\n") == 1


# --- The configuration that is in force


def printed(*args: str) -> Config:
    result = invoke("--print-config", *args)
    assert (result.exit_code, result.stderr) == (0, "")
    return configs.loads(result.stdout)


def test_flags_have_precedence_over_the_file(tmp_path: Path) -> None:
    path = write_config(tmp_path, '[server]\nhost = "0.0.0.0"\nport = 9000\n[[apps]]\nid = "app"\n')
    config = printed(
        *("--config", path, "--port", "9001", "--cert", "other.pem", "--key", "other.key"),
        *("--data", "dir", "--durability", "power", "--drain", "0", "--workers", "1"),
    )
    assert config == Config(
        server=ServerConfig(
            host=EVERYWHERE,
            port=9001,
            cert="other.pem",
            key="other.key",
            data="dir",
            durability="power",
            drain_seconds=0,
        ),
        apps=(AppConfig(id="app"),),
    )


def test_a_redis_is_named_once_or_more(tmp_path: Path) -> None:
    path = write_config(tmp_path, '[server]\nredis = "redis://h"\n[[apps]]\nid = "app"\n')
    urls = ("redis+cluster://a", "redis+cluster://b:7001")
    flags = ("--redis", urls[0], "--redis", urls[1], "--durability", "replicas", "--workers")
    for said, workers in (("auto", 0), ("1024", 1024)):
        assert printed("--config", path, *flags, said).server == ServerConfig(
            redis=urls, durability="replicas", workers=workers
        )
    assert printed("--config", path).server == ServerConfig(redis=("redis://h",))


def test_dev_and_a_file_are_both_taken(tmp_path: Path) -> None:
    path = write_config(tmp_path, '[[apps]]\nid = "app"\n[limits]\nmax_connections = 5\n')
    config = printed("--dev", "--config", path, "--host", EVERYWHERE)
    assert config.server == ServerConfig(dev=True, host=EVERYWHERE)
    assert config.native == NativeConfig(enabled=True)
    assert config.apps == (AppConfig(id="app"),)
    assert config.limits.max_connections == 5


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


@pytest.mark.parametrize("flags", [("--dev", "--port", "0"), (), ("--native",)], ids=str)
def test_what_is_printed_prints_itself(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """Also where nobody could log in yet."""
    first = invoke("--print-config", *flags).stdout
    path = write_config(tmp_path, first)
    again = invoke("--print-config", "--config", path)
    assert (again.exit_code, again.stderr, again.stdout) == (0, "", first)


def test_what_is_wrong_is_not_printed_either(tmp_path: Path) -> None:
    path = write_config(tmp_path, "[server]\nport = 70000\n")
    refused = invoke("--print-config", "--config", path)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "[server] port: expected 0 to 65535, got 70000" in refused.stderr


def test_the_printed_defaults_are_a_file_to_start_from(tmp_path: Path) -> None:
    """It holds every key, and is not good for anybody until an app is named in it."""
    text = invoke("--print-config").stdout
    path = write_config(tmp_path, text)
    refused = invoke("--config", path)
    assert refused.exit_code == 2
    assert "nobody could log in: add [[apps]]" in refused.stderr
    app = '\n[[apps]]\nid = "app"\n'
    assert configs.loads(text + app) == Config(apps=(AppConfig(id="app"),))
    with_native = invoke("--print-config", "--native").stdout
    assert configs.loads(with_native + app).native == NativeConfig(enabled=True)


def test_no_certificate_is_printed(tmp_path: Path) -> None:
    path = write_config(tmp_path, f'[[apps]]\nid = "app"\ncertificate = "{CERTIFICATE}"\n')
    result = invoke("--print-config", "--config", path)
    assert result.exit_code == 0
    assert CERTIFICATE not in result.output
    copy = write_config(tmp_path, result.stdout)
    environ = {"SIGNAL_SDK_APPS_1_CERTIFICATE": CERTIFICATE}
    again = CliRunner().invoke(cli, ["serve", "--print-config", "--config", copy], env=environ)
    assert again.stdout == result.stdout


def test_the_environment_alone_is_a_configuration() -> None:
    environ = {"SIGNAL_SDK_APPS_1_ID": "app", "SIGNAL_SDK_SERVER_PORT": "9000"}
    args = ["serve", "--print-config", "--port", "9001"]
    config = configs.loads(CliRunner().invoke(cli, args, env=environ).stdout)
    assert config == Config(apps=(AppConfig(id="app"),), server=ServerConfig(port=9001))
