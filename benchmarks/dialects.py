"""Dialects: how the load speaks to each server, in bytes.

Owns: what is sent to log in, to join and to say something, for each protocol. Must not know
sockets, processes or what is measured.

The load decodes nothing. Each message's text begins with `MARK`, which stands nowhere else, so that
counting it counts messages; a dialect's acknowledgements have a mark of their own. Marks are long,
since the longer what is looked for, the faster it is found: looking for two bytes in a message of
1,000 costs more than reading it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from collections.abc import Generator
from typing import Final, Protocol, TypeAlias

import attrs

MARK: Final = b"~|~=~|~=~|~="
"""The first bytes of each message's text."""
NUMBER: Final = b"#" * 9
"""Where a message's number goes."""
STAMP: Final = b"@" * 13
"""Where the time of its sending goes, in microseconds."""
ACK: Final = "^|^="
"""In each acknowledgement, and nowhere else."""
APP_ID: Final = "bench"
CERTIFICATE: Final = "5CFd2fd1755d40ecb72977518be15d3b"
EXPIRY: Final = 4102444800  # the year 2100

Dialogue: TypeAlias = Generator[tuple[bytes, bytes], bytes, "Voice"]
"""What a client says until it is logged in: yields what to send and the bytes to read until, is
sent all that was read, and returns the logged-in client's voice.
"""


@attrs.frozen
class Message:
    """A message's bytes but for its number and stamp, whose lengths never change."""

    template: bytes

    def fill(self, number: int, microseconds: int) -> bytes:
        """The bytes to send."""
        return self.template.replace(NUMBER, b"%09d" % number).replace(
            STAMP, b"%013d" % microseconds
        )


def text_of(size: int, label: str = "") -> str:
    """A message's text of `size` bytes: mark, label, stamp, and padding."""
    text = MARK.decode() + label + STAMP.decode()
    return text.ljust(size, "x")


def token(account: str) -> str:
    """What the account logs in with."""
    text = f"{account}{APP_ID}{CERTIFICATE}{EXPIRY}"
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return f"1:{APP_ID}:{EXPIRY}:{digest}"


class Voice(Protocol):
    """A logged-in client's way to say things."""

    def to_channel(self, channel: str, text: str) -> Message:
        """A message to a channel that it is in; its acknowledgement has the dialect's mark."""

    def to_peer(self, account: str, text: str) -> Message:
        """A message to an account; its acknowledgement has the dialect's mark."""

    def handled(self, count: int) -> bytes:
        """What to send once the first `count` point-to-point messages are handled."""


class Dialect(Protocol):
    """A protocol."""

    ack: bytes
    """What stands once in each acknowledgement."""
    told: bytes
    """What stands once in each point-to-point message that the server hands over."""
    needs_pings: bool
    """Does the server take a client for dead that says nothing for long?"""
    ping: bytes
    """What the client sends every so often; empty where the server does."""
    asks: bytes
    """What the server sends every so often, and the client answers with `answer`."""
    answer: bytes

    def log_in(self, account: str, channel: str | None, *, silently: bool = False) -> Dialogue:
        """Connect, log in and join. `silently`: and have the channel tell nobody of joins."""


# --- WebSocket


def frame(text: str, opcode: int = 1) -> bytes:
    """A client's frame. The mask is all zeros: what the load sends is no secret, and this costs
    nothing.
    """
    data = text.encode()
    size = len(data)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    return head + b"\0\0\0\0" + data


def json_frame(value: object, before: str = "") -> bytes:
    """A frame of JSON."""
    return frame(before + json.dumps(value, separators=(",", ":")))


def _upgrade(path: str = "/") -> tuple[bytes, bytes]:
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    return request.encode(), b"\r\n\r\n"


# --- Ours


@attrs.frozen
class OurVoice:
    """A session of ours. It names its messages, as our SDK does."""

    line: str

    def to_channel(self, channel: str, text: str) -> Message:
        args = {"name": channel, "msg": text, "msgID": f"m{NUMBER.decode()}"}
        return self._call("channel_sendmsg", **args)

    def to_peer(self, account: str, text: str) -> Message:
        return self._call(
            "user_sendmsg",
            peer=account,
            flag="v1:E:3600",
            t="instant",
            content=text,
            messageID=f"m{NUMBER.decode()}",
        )

    def handled(self, count: int) -> bytes:
        args = {"line": self.line, "ver_clear": count, "max": 100}
        return json_frame(["call2", ["user_getmsg", count, args]])

    def _call(self, function: str, **args: str) -> Message:
        call = [function, ACK + NUMBER.decode(), {"line": self.line, **args}]
        return Message(json_frame(["call2", call]))


class Ours:
    """Our server, spoken to as our SDK does, but that no request has an `ack`: as with the original
    web SDK, and with every peer, nothing is kept for requests that come again.
    """

    ack = ACK.encode()
    # Not `MARK`: what a client polls for, though it has it, has that, too.
    told = b'["recvmsg",'
    needs_pings = True
    ping = json_frame(["ping", 1])
    asks = answer = b""

    def log_in(self, account: str, channel: str | None, *, silently: bool = False) -> Dialogue:
        yield _upgrade()
        login = {
            "vid": APP_ID,
            "account": account,
            "uid": 0,
            "token": token(account),
            "device": "javasdk",
            "ip": "",
            "ver": 1_02_00_00_000,
        }
        said = yield json_frame(["login", login]), b'"]]'
        if b'\\"line\\":\\"' not in said:
            raise ValueError(f"{account} was not let in: {said!r}")
        line = said.split(b'\\"line\\":\\"')[1].split(b"\\")[0].decode()
        if silently and channel is not None:
            args = {"line": line, "channel": channel, "name": "_userNotification", "value": "0"}
            yield json_frame(["call2", ["channel_set_attr", "s", args]]), b'["call2-ret",["s",""'
        if channel is not None:
            args = {"line": line, "name": channel}
            yield json_frame(["call2", ["channel_join", "j", args]]), b'["call2-ret",["j",""'
        return OurVoice(line)


# --- Node's ws, with a small protocol of its own


class WsVoice:
    """A client of peers/ws_server.mjs."""

    def to_channel(self, channel: str, text: str) -> Message:
        return self._message({"t": "say", "channel": channel, "text": text})

    def to_peer(self, account: str, text: str) -> Message:
        return self._message({"t": "tell", "to": account, "text": text})

    def handled(self, count: int) -> bytes:
        return b""

    def _message(self, args: dict[str, str]) -> Message:
        return Message(json_frame({**args, "id": ACK + NUMBER.decode()}))


class Ws:
    """peers/ws_server.mjs."""

    ack = ACK.encode()
    told = MARK
    needs_pings = False
    ping = frame("", opcode=9)
    asks = answer = b""

    def log_in(self, account: str, channel: str | None, *, silently: bool = False) -> Dialogue:
        yield _upgrade()
        yield json_frame({"t": "login", "account": account, "token": token(account)}), b'"in"'
        if channel is not None:
            yield json_frame({"t": "join", "channel": channel}), b'"joined"'
        return WsVoice()


# --- Socket.IO, on Node and on Python


class SocketIoVoice:
    """A client of peers/socketio_server.mjs and peers/socketio_server.py. Their acknowledgements
    have `ACK` as their only argument.
    """

    def to_channel(self, channel: str, text: str) -> Message:
        return self._message(["say", channel, text])

    def to_peer(self, account: str, text: str) -> Message:
        return self._message(["tell", account, text])

    def handled(self, count: int) -> bytes:
        return b""

    def _message(self, event: list[str]) -> Message:
        # Numbers begin with 1 and have nine digits: JavaScript reads no leading zeros.
        return Message(json_frame(event, before="421" + NUMBER.decode()))


class SocketIo:
    """Engine.IO 4 over WebSocket. The server pings, the client answers."""

    ack = ACK.encode()
    told = MARK
    needs_pings = False
    ping = b""
    asks = b"\x81\x012"
    answer = frame("3")

    def log_in(self, account: str, channel: str | None, *, silently: bool = False) -> Dialogue:
        yield _upgrade("/socket.io/?EIO=4&transport=websocket")
        # The Engine.IO handshake may have come in the same read.
        yield json_frame({"account": account, "token": token(account)}, before="40"), b'40{"sid"'
        if channel is not None:
            yield json_frame(["join", channel], before="420"), b'430["'
        return SocketIoVoice()


# --- NATS


@attrs.frozen
class NatsVoice:
    """A NATS client. The acknowledgement is the PONG to a PING behind the message, which says that
    the server has taken it: core NATS has none of its own.
    """

    account: str

    def to_channel(self, channel: str, text: str) -> Message:
        return Message(f"PUB channel.{channel} {len(text)}\r\n{text}\r\nPING\r\n".encode())

    def to_peer(self, account: str, text: str) -> Message:
        reply = f"user.{self.account}"
        return Message(f"PUB user.{account} {reply} {len(text)}\r\n{text}\r\nPING\r\n".encode())

    def handled(self, count: int) -> bytes:
        return b""


class Nats:
    """Core NATS: publish to subscribers."""

    ack = b"PONG\r\n"
    told = MARK
    needs_pings = False
    ping = b"PING\r\n"
    asks = answer = b""

    def log_in(self, account: str, channel: str | None, *, silently: bool = False) -> Dialogue:
        yield b"", b"\r\n"
        options = {"verbose": False, "pedantic": False, "auth_token": CERTIFICATE, "headers": False}
        connect = f"CONNECT {json.dumps(options)}\r\nSUB user.{account} 1\r\nPING\r\n"
        yield connect.encode(), b"PONG\r\n"
        if channel is not None:
            yield f"SUB channel.{channel} 2\r\nPING\r\n".encode(), b"PONG\r\n"
        return NatsVoice(account)
