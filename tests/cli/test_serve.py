"""`signal-sdk serve`: what it listens on and says, and how it ends."""

from __future__ import annotations

import re
import signal
import socket
import ssl
import sys
from pathlib import Path

import httpx
import pytest
import trio
import trustme

from signal_sdk.cli.serve import DEV_WARNING
from signal_sdk.cli.serving import SWITCH_SECONDS
from signal_sdk.net.tls import TlsTransport
from signal_sdk.server.node import STOP_SECONDS
from signal_sdk.wire import tokens
from tests.cli.program import address_in, dev_server, one_line_of, program, run, unread_pipe
from tests.cli.serves import (
    ADMIN_LINE,
    AS_ROOT,
    CERTIFICATE,
    NATIVE_LINE,
    WHO,
    connect,
    connected,
    free_ports,
    invoke,
    warnings_in,
    write_config,
)
from tests.wire_client import wire_client

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


@SIGNALS
async def test_a_signal_ends_it_cleanly_and_clients_hear_of_it(number: signal.Signals) -> None:
    async with dev_server() as (server, address), connected(address) as client:
        await client.login("alice", device="javasdk")
        server.process.send_signal(number)
        farewell = await client.expect("close")
        assert farewell["reason"] == "the server is going away"
        ended = await server.end()
    assert ended.code == 0
    native, admin = ended.out.splitlines()
    assert NATIVE_LINE.fullmatch(native)
    assert ADMIN_LINE.fullmatch(admin)


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
