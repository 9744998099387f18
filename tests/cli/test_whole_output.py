"""All that a server writes, with hostile and honest clients and at every verbosity, and all that
the SDK logs at DEBUG: no secret, no message's text, and no character that a terminal obeys.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import signal
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from signal_sdk.callbacks import ChannelCallback, LoginCallback
from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.login_session import LoginSession
from signal_sdk.server.engine.files import FILE_NAME
from signal_sdk.server.engine.journal import Journal
from signal_sdk.signal import Signal
from signal_sdk.websocket import frames
from signal_sdk.wire import tokens
from tests.cli.program import Ended, address_in, program, run
from tests.server.helpers import OPENING

CERTIFICATE: Final = "5cfd2fd1755d40ecb72977518be15d3b"
WRONG_TOKEN: Final = "plantedtoken0123456789"
WRONG_LINE: Final = "plantedline0123456789"
MESSAGE: Final = "plantedmessage"
VALUE: Final = "plantedvalue"
EXTRA: Final = "plantedextra"
PLANTED: Final = (CERTIFICATE, WRONG_TOKEN, WRONG_LINE, MESSAGE, VALUE, EXTRA)
FORGED: Final = "\n2026-01-01 00:00:00,000 ERROR forged\x1b[31m\x9b2J\r\x85\u2028\u2029\u202e\u2066"
"""What a hostile client would have an operator read."""
PLAIN_GET: Final = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
JSON_FORGED: Final = r"\n2026-01-01 ERROR forged\u001b[31m\u009b2J\r\u0085\u2028\u202e"


def frame(text: str | bytes, first: int = frames.TEXT) -> bytes:
    return frames.encode_masked(first, text.encode() if isinstance(text, str) else text)


def header(old: bytes, new: str) -> bytes:
    return OPENING.replace(old, new.encode("latin-1", "ignore"))


HOSTILE: Final = (
    PLAIN_GET + PLAIN_GET,
    PLAIN_GET + b"\r\n",
    f"GET /{FORGED} HTTP/1.1\r\n\r\n".encode(),
    header(b"AAAAAAAAAAAAAAAAAAAAAA==", "\x9b2J\x85"),
    header(b"Upgrade: websocket", "Upgrade: \x9b2J\x85"),
    header(b"Version: 13", "Version: \x9b2J\x85"),
    OPENING + frame(struct.pack("!H", 4000) + FORGED.encode(), 0x88),
    OPENING + frame(f'["{JSON_FORGED}", {{}}]'),
    OPENING + frame(f'["{MESSAGE * 5000}", {{}}]'.replace(MESSAGE, "x")),
    *(
        OPENING + frame(f'["login", {{"vid": {vid}, "account": {account}, "token": {token}}}]')
        for vid, account, token in (
            ('"app"', '"ann"', f'"{WRONG_TOKEN}"'),
            ('"app"', '"ann"', f'"1:app:99999999999:{WRONG_TOKEN}"'),
            (f'"{JSON_FORGED}"', f'"{JSON_FORGED}"', f'"{WRONG_TOKEN}"'),
            ('"app"', "5", f'["{WRONG_TOKEN}"]'),
        )
    ),
    OPENING + frame(f'["line_login", {{"line": "{WRONG_LINE}"}}]'),
    OPENING + frame(f'["line_login", {{"line": ["{WRONG_LINE}"]}}]'),
    OPENING + frame(f'["call2", ["user_sendmsg", 1, {{"line": "{WRONG_LINE}"}}]]'),
    OPENING + frame(f'["call2", ["user_sendmsg", "{MESSAGE}'),
    OPENING + frame(f'["call2", "{MESSAGE}"]'),
    OPENING + frame(MESSAGE, frames.BINARY),
    OPENING + frame(MESSAGE * 20_000),
    OPENING + frame(MESSAGE, 0xF1),
    OPENING + b"\x81\x05hello",
)


def say(port: int, data: bytes) -> bytes:
    """Say it, and hear until the server closes or falls silent."""
    heard = b""
    with socket.create_connection(("127.0.0.1", port)) as sock, contextlib.suppress(OSError):
        sock.settimeout(0.5)
        sock.sendall(data)
        while more := sock.recv(65536):
            heard += more
    return heard


def assert_fit_to_read(text: str, secrets: tuple[str, ...]) -> None:
    """It has lines, and neither a secret nor anything that a terminal obeys."""
    assert [line for line in text.split("\n") if not line.isprintable()] == []
    assert [secret for secret in (*PLANTED, *secrets) if secret in text] == []
    assert [line for line in text.split("\n") if line.startswith("2026-01-01")] == []


class Ears(LoginCallback, ChannelCallback):
    """Raises what it hears of others, but for what they say."""

    async def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        raise ValueError(f"{account} is odd{FORGED}")


async def use(port: int, token: str) -> str:
    """Do what bots do, and what they had better not; the `line` of the session."""
    async with Signal("app", server=f"http://127.0.0.1:{port}") as sig:
        sig.set_do_log(True)
        ann = sig.login("ann", token, cb=Ears())
        await ann
        room = ann.channel_join("room", Ears())
        await room
        await ann.message_instant_send("ann", MESSAGE)
        await room.message_channel_send(MESSAGE)
        await room.channel_set_attr("name", VALUE)
        ann.channel_invite_user2("room", "bob", EXTRA)
        good = {"peer": "bob", "content": MESSAGE, "t": "instant", "flag": "v1:E:5"}
        wrong: tuple[tuple[str, dict[str, Any]], ...] = (
            ("user_sendmsg", {**good, "content": MESSAGE * 1000}),
            ("user_sendmsg", {**good, "peer": FORGED}),
            ("user_sendmsg", {**good, "t": MESSAGE}),
            ("user_sendmsg", {**good, "flag": MESSAGE}),
            ("user_set_attr", {"name": FORGED, "value": VALUE}),
            ("user_set_attr", {"name": "x", "value": VALUE * 1000}),
            (
                "voip_invite",
                {"channelName": "x", "peer": "bob", "extra": f'{{"_timeout":"{EXTRA}"}}'},
            ),
            ("pstn_dtmf", {"cid": "x", "dtmf": MESSAGE}),
            ("no\u2028such\u202e", {"message": MESSAGE}),
        )
        for function, args in wrong:
            with pytest.raises(SignalError) as caught:
                await ann.invoke(f"io.agora.signal.{function}", args)
            assert_fit_to_read(str(caught.value), (token,))
            assert_fit_to_read(repr(caught.value), (token,))
        bob = sig.login("bob", WRONG_TOKEN)
        with pytest.raises(SignalError) as refused:
            await bob
        assert refused.value.ecode is ECode.LOGIN_E_TOKENWRONG
        await trio.sleep(0.2)
        line: str = ann._client._line
        assert len(line) > 20
        return line


async def attack(port: int) -> list[bytes]:
    """Say all that is hostile; what is answered to each."""
    answers = [b""] * len(HOSTILE)

    async def ask(number: int) -> None:
        answers[number] = await trio.to_thread.run_sync(say, port, HOSTILE[number])

    async with trio.open_nursery() as nursery:
        for number in range(len(HOSTILE)):
            nursery.start_soon(ask, number)
    return answers


@pytest.fixture
def sdk_log() -> Iterator[io.StringIO]:
    """All that this process logs, in the plainest of handlers."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    names = (None, "signal_sdk")
    before = {name: logging.getLogger(name).level for name in names}
    logging.getLogger().addHandler(handler)
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield stream
    logging.getLogger().removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize("verbosity", [(), ("-v",), ("-vv",), ("-vv", "--log-format", "json")])
async def test_no_secret_and_no_foreign_character_is_written(
    tmp_path: Path, sdk_log: io.StringIO, verbosity: tuple[str, ...]
) -> None:
    config = tmp_path / "signal.toml"
    config.write_text(f'[server]\nport = 0\n[[apps]]\nid = "app"\ncertificate = "{CERTIFICATE}"\n')
    token = tokens.make_token("app", CERTIFICATE, "ann", int(time.time()) + 1000)
    args = ("serve", "--config", str(config), "--data", str(tmp_path / "data"), *verbosity)
    async with program(*args) as server:
        first = await server.out.next()
        port = int(address_in(first).rpartition(":")[2])
        answers = await attack(port)
        line = await use(port, token)
        ended: Ended = await server.end(signal.SIGTERM)
    assert ended.code == 0
    assert [answer[:15] for answer in answers[:2]] == [b"HTTP/1.1 200 OK"] * 2
    secrets = (line, token)
    assert_fit_to_read(ended.out, secrets)
    assert_fit_to_read(ended.err, secrets)
    assert "Traceback" not in ended.err
    # Honest and hostile are told apart by what was meant to be there.
    assert ended.err.count("bytes behind it not read") == (2 if verbosity else 0)
    assert ("forged" in ended.err) == bool(verbosity)
    assert ("unknown event" in ended.err) == ("-vv" in verbosity)
    if "json" in verbosity:
        assert all(json.loads(line)["message"] for line in ended.err.splitlines())
    told = sdk_log.getvalue()
    assert_fit_to_read(told, secrets)
    assert "Traceback (most recent call last):\n" in told
    assert "ValueError: ann is odd\\n2026-01-01" in told
    assert "> user_sendmsg #" in told


async def test_of_a_damaged_file_tables_and_rows_are_told_and_nothing_of_what_they_hold(
    tmp_path: Path,
) -> None:
    facts = (*(None,) * 9, 0)
    journal = Journal.open(tmp_path)
    line = f"msg-v2 bob ann v1:E:5 instant 1 {MESSAGE}"
    journal.write(
        {
            "accounts": {(1,): (1, "app", "ann", 1, 1, 2000, *facts)},
            "entries": {(n,): (n, 1, n, 9e9, line) for n in (1, 2, 3)},
            "user_attributes": {(1, "name"): (1, "name", 1, None, f'"{VALUE}"')},
        }
    )
    journal.close()
    file = tmp_path / FILE_NAME
    data = file.read_bytes().replace(b"plantedvalue", b"plantedvaluE")
    at = data.index(MESSAGE.encode())
    file.write_bytes(data[:at] + b"\xff\xfe\xfd" + data[at + 3 :])
    looked = await trio.to_thread.run_sync(run, "doctor", "--data", str(tmp_path))
    assert looked.code == 1
    assert looked.err.count("it is not what was written; the server will set it aside") == 2
    assert "all is well" not in looked.out
    args = ("serve", "--dev", "--port", "0", "--no-native", "--data", str(tmp_path), "-vv")
    async with program(*args) as server:
        await server.out.next()
        ended = await server.end(signal.SIGTERM)
    assert ended.code == 0
    told = [text for text in ended.err.splitlines() if "set aside" in text]
    assert len(told) == 1
    assert (
        "2 rows could not be used, and were set aside (1 of user_attributes, 1 of entries)"
        in (told[0])
    )
    again = await trio.to_thread.run_sync(run, "doctor", "--data", str(tmp_path))
    assert (again.code, again.err) == (0, "")
    assert "set aside: 1 of entries, 1 of user_attributes, which could not be used" in again.out
    for output in (looked, ended, again):
        assert_fit_to_read(output.out, ("plantedvaluE", "ntedmessage"))
        assert_fit_to_read(output.err, ("plantedvaluE", "ntedmessage"))
