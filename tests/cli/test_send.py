"""`signal-sdk send`: the message arrives, and nothing else comes of it; what fails has its code."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trustme
from click.testing import CliRunner

from signal_sdk import ChannelCallback, ChannelMessage, LoginCallback, LoginSession, Signal
from signal_sdk.channel import Channel
from signal_sdk.cli.main import cli
from signal_sdk.testing.server import local_server
from signal_sdk.wire import tokens
from tests.cli.program import (
    Ended,
    address_in,
    dev_server,
    one_line_of,
    program,
    run,
)

CERTIFICATE = "5cfd2fd1755d40ecb72977518be15d3b"


class Ear(LoginCallback, ChannelCallback):
    """Collects what it hears."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[tuple[str, ...]](1000)

    async def heard(self) -> tuple[str, ...]:
        """The next thing heard."""
        return await self._receive.receive()

    async def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        self._send.send_nowait(("message", account, msg))

    async def on_message_channel_receive(
        self, session: LoginSession, channel: Channel, account: str, uid: int, msg: str
    ) -> None:
        self._send.send_nowait((channel.name, account, msg))

    async def on_channel_user_joined(
        self, session: LoginSession, channel: Channel, account: str, uid: int
    ) -> None:
        self._send.send_nowait(("joined", account))

    async def on_channel_user_leaved(
        self, session: LoginSession, channel: Channel, account: str, uid: int
    ) -> None:
        self._send.send_nowait(("left", account))


@asynccontextmanager
async def logged_in(address: str, account: str, ear: Ear) -> AsyncIterator[LoginSession]:
    async with Signal("app", server=address) as app:
        yield await app.login(account, "_no_need_token", ear)


async def send(address: str, *args: str, stdin: str | bytes = "") -> Ended:
    whose = ("--app", "app", "--account", "mouth", "--server", address)
    return await trio.to_thread.run_sync(lambda: run("send", *whose, *args, stdin=stdin))


def assert_quiet(ended: Ended) -> None:
    assert (ended.code, ended.out, ended.err) == (0, "", "")


async def test_an_account_gets_it() -> None:
    ear = Ear()
    async with dev_server() as (_, address), logged_in(address, "ear", ear):
        assert_quiet(await send(address, "--to", "ear", "hello"))
        assert await ear.heard() == ("message", "mouth", "hello")
        assert_quiet(await send(address, "--to", "ear", "-", stdin="two\nlines 👋\n"))
        assert await ear.heard() == ("message", "mouth", "two\nlines 👋")
        assert_quiet(await send(address, "--to", "ear", "--", "--to"))
        assert await ear.heard() == ("message", "mouth", "--to")


async def test_bytes_are_sent_of_a_file_and_of_stdin(tmp_path: Path) -> None:
    file = tmp_path / "image.png"
    file.write_bytes(bytes(range(256)))
    async with (
        local_server() as server,
        Signal("app", server=server) as app,
        app.login("ear", "_no_need_token", takes_bytes=True) as session,
        session.channel("lobby") as channel,
        session.messages() as messages,
        channel.events() as events,
    ):
        assert_quiet(await send(server.address, "--to", "ear", "--bytes", str(file)))
        assert (await anext(messages)).data == bytes(range(256))
        args = ("--channel", "lobby", "--join", "--bytes", "-")
        assert_quiet(await send(server.address, *args, stdin=b"\0\xff\n"))
        async for event in events:
            if isinstance(event, ChannelMessage):
                assert (event.account, event.data) == ("mouth", b"\0\xff\n")
                break
        refused = await send(server.address, "--to", "nobody", "--bytes", str(file))
    assert refused.code == 1
    assert one_line_of(refused).endswith("(1004 GENERAL_E_WRONG_PARAM)")


async def test_a_ca_is_trusted_beside_the_system_s(tmp_path: Path) -> None:
    authority = trustme.CA()
    ca, cert, key = (str(tmp_path / name) for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(ca)
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    async with dev_server("--cert", cert, "--key", key) as (_, address):
        host, _, port = address.partition(":")
        secure = f"wss://{host}:{int(port) + 1}/"
        assert_quiet(await send(secure, "--ca", ca, "--to", "ear", "hello"))
        stranger = await send(secure, "--to", "ear", "hello")
        assert stranger.code == 1
        assert "certificate" in one_line_of(stranger)
        plain = await send(address, "--ca", ca, "--to", "ear", "hello")
        assert plain.code == 2
        assert "--ca goes with a server that begins with https or wss" in one_line_of(plain)
        missing = await send(secure, "--ca", str(tmp_path / "no.pem"), "--to", "ear", "hello")
        assert missing.code == 2
        assert "no.pem: No such file or directory" in one_line_of(missing)


async def test_it_is_kept_for_an_account_that_is_offline_as_long_as_was_said() -> None:
    ear = Ear()
    async with dev_server() as (_, address):
        assert_quiet(await send(address, "--to", "ear", "--ttl", "0", "forgotten"))
        assert_quiet(await send(address, "--to", "ear", "--ttl", "60", "kept"))
        async with logged_in(address, "ear", ear):
            assert await ear.heard() == ("message", "mouth", "kept")


async def test_a_channel_gets_it_without_hearing_of_a_join() -> None:
    ear = Ear()
    async with dev_server() as (_, address), logged_in(address, "ear", ear) as session:
        await session.channel_join("lobby", ear)
        assert_quiet(await send(address, "--channel", "lobby", "hello"))
        assert await ear.heard() == ("lobby", "mouth", "hello")
        assert_quiet(await send(address, "--channel", "lobby", "--force", "again"))
        assert await ear.heard() == ("lobby", "mouth", "again")


async def test_a_channel_may_be_joined_for_it() -> None:
    ear = Ear()
    async with dev_server() as (_, address), logged_in(address, "ear", ear) as session:
        await session.channel_join("lobby", ear)
        assert_quiet(await send(address, "--channel", "lobby", "--join", "hello"))
        heard = [await ear.heard() for _ in range(3)]
    assert heard == [("joined", "mouth"), ("lobby", "mouth", "hello"), ("left", "mouth")]


async def test_what_waits_for_the_sender_goes_on_waiting() -> None:
    mouth = Ear()
    async with dev_server() as (_, address):
        async with logged_in(address, "ear", Ear()) as session:
            for number in range(5):
                await session.message_instant_send("mouth", f"{number}")
        assert_quiet(await send(address, "--to", "ear", "hello"))
        assert (await send(address, "--to", "e r", "hello")).code != 0
        async with logged_in(address, "mouth", mouth):
            heard = [await mouth.heard() for _ in range(5)]
    assert heard == [("message", "ear", f"{number}") for number in range(5)]


async def test_a_token_is_taken_from_the_environment_and_from_an_option(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("send") / "signal.toml"
    path.write_text(f'[server]\nport = 0\n[[apps]]\nid = "app"\ncertificate = "{CERTIFICATE}"\n')
    good = tokens.make_token("app", CERTIFICATE, "mouth", 4_000_000_000)
    wrong = tokens.make_token("app", CERTIFICATE, "ear", 4_000_000_000)
    data = str(path.parent / "data")
    async with program("serve", "--config", str(path), "--data", data) as server:
        address = address_in(await server.out.next())
        args = ("send", "--app", "app", "--account", "mouth", "--server", address, "--to", "x", "y")

        async def ended(*more: str, **environment: str) -> Ended:
            return await trio.to_thread.run_sync(lambda: run(*args, *more, environment=environment))

        assert_quiet(await ended(SIGNAL_SDK_TOKEN=good))
        assert_quiet(await ended("--token", good))
        assert_quiet(await ended("--token", good, SIGNAL_SDK_TOKEN=wrong))
        for refused in (
            await ended(),
            await ended(SIGNAL_SDK_TOKEN=wrong),
            await ended("--token", wrong),
        ):
            assert refused.code == 1
            assert one_line_of(refused).endswith("(206 LOGIN_E_TOKENWRONG)")
            assert wrong.rpartition(":")[2] not in refused.err


async def test_the_server_is_taken_from_the_environment() -> None:
    args = ("send", "--app", "app", "--account", "mouth", "--to", "x", "y")
    async with dev_server() as (_, address):
        assert_quiet(
            await trio.to_thread.run_sync(
                lambda: run(*args, environment={"SIGNAL_SDK_SERVER": address})
            )
        )


async def test_what_the_server_refuses_is_one_line_with_its_code() -> None:
    async with dev_server() as (_, address):
        ended = await send(address, "--channel", "_agora_user_online", "hello")
    assert ended.code == 1
    assert one_line_of(ended).endswith("(400 SENDMESSAGE_E_OTHER)")


async def test_a_failure_logs_out_too() -> None:
    async with dev_server() as (_, address), logged_in(address, "ear", Ear()) as session:
        assert (await send(address, "--channel", "_agora_user_online", "hello")).code == 1
        assert not await session.query_user_status("mouth")


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("--to", "ear", "x" * 8193), "(1005 GENERAL_E_LARGE_PARAM)"),
        (("--to", "e r", "hello"), "(1004 GENERAL_E_WRONG_PARAM)"),
        (("--channel", "", "hello"), "(1004 GENERAL_E_WRONG_PARAM)"),
    ],
)
async def test_wrong_arguments_are_seen_before_anything_is_sent(
    args: tuple[str, ...], text: str
) -> None:
    async with dev_server() as (_, address):
        ended = await send(address, *args)
    assert ended.code == 2
    assert one_line_of(ended).endswith(text)


@pytest.mark.parametrize(
    ("args", "stdin", "text"),
    [
        (("hello",), b"", "give either --to or --channel"),
        (("--to", "a", "--channel", "b", "hello"), b"", "give either --to or --channel"),
        (("--channel", "b", "--ttl", "5", "hello"), b"", "--ttl goes with --to"),
        (("--to", "a", "--join", "hello"), b"", "--join goes with --channel"),
        (("--to", "a", "--ttl", "-1", "hello"), b"", "invalid value for '--ttl'"),
        (("--to", "a"), b"", "give either MESSAGE or --bytes"),
        (("--to", "a", "--bytes", "-", "hello"), b"x", "give either MESSAGE or --bytes"),
        (("--to", "a", "--bytes", "-", "--ttl", "5"), b"x", "--ttl goes with a text"),
        (("--to", "a", "--bytes", "-"), b"", "the message is empty"),
        (("--to", "a", "--bytes", "-"), bytes(6145), "there are more than 6144 bytes on stdin"),
        (("--to", "a", "--bytes", "/dev/zero"), b"", "than 6144 bytes in /dev/zero"),
        (("--to", "a", "--bytes", "/no/such"), b"", "/no/such: No such file or directory"),
        (("--to", "a", ""), b"", "the message is empty"),
        (("--to", "a", "-"), b"\n", "the message is empty"),
        (("--to", "a", "-"), b"\xff", "is not UTF-8 text"),
        (("--to", "a", "-"), b"x" * 200_000, "there is more than 131072 bytes on stdin"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    args: tuple[str, ...], stdin: bytes, text: str
) -> None:
    whose = ("--app", "app", "--account", "mouth")
    result = CliRunner().invoke(cli, ["send", *whose, *args], input=stdin)
    assert (result.exit_code, result.stdout) == (2, "")
    assert text in result.stderr
    assert result.stderr.endswith("; see signal-sdk send --help\n")
    assert result.stderr.count("\n") == 1


async def test_programs_are_told_that_the_server_has_it() -> None:
    async with dev_server() as (_, address):
        ended = await send(address, "--to", "bob", "--json", "hello")
    assert (ended.code, ended.err) == (0, "")
    told = json.loads(ended.out)
    assert abs(told.pop("ts") / 1000 - time.time()) < 300
    assert told == {"event": "sent", "to": "bob", "channel": None}
