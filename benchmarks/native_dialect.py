"""The original native SDK's dialect: words in packets.

Owns: what `dialects.Ours` owns, for our server's other wire. Must not know sockets, processes or
what is measured.
"""

from __future__ import annotations

import json
from typing import Final

import attrs

from benchmarks.dialects import APP_ID, NUMBER, Dialogue, Message, token

PLAIN: Final = 0x80


def packet(text: str) -> bytes:
    """A plain packet. The original compresses all but its first, which here would only cost the
    load.
    """
    data = text.encode()
    return (PLAIN << 24 | len(data) + 4).to_bytes(4, "big") + data


def _call(function: str, callid: str, args: dict[str, str | int]) -> bytes:
    return packet(f"call {function} {callid} 0 {json.dumps(args, separators=(',', ':'))}")


@attrs.frozen
class NativeVoice:
    """A session of a native client."""

    line: str

    def to_channel(self, channel: str, text: str) -> Message:
        args: dict[str, str | int] = {"name": channel, "msg": text, "line": self.line}
        return Message(_call("channel_sendmsg", NUMBER.decode(), args))

    def to_peer(self, account: str, text: str) -> Message:
        args: dict[str, str | int] = {
            "peer": account,
            "flag": "v1:E:3600",
            "t": "instant",
            "content": text,
            "line": self.line,
        }
        return Message(_call("user_sendmsg", NUMBER.decode(), args))

    def handled(self, count: int) -> bytes:
        return _call("user_getmsg", str(count), {"line": self.line, "ver_clear": count, "max": 100})


class Native:
    """Our server, spoken to as the original native SDK does."""

    ack = b"call_ret 0 "
    told = b"notify recvmsg "
    needs_pings = True
    ping = packet("line_ping:1")
    asks = answer = b""

    def log_in(self, account: str, channel: str | None, *, silently: bool = False) -> Dialogue:
        login = {
            "account": account,
            "device": "",
            "ip": "",
            "token": token(account),
            "uid": "0",
            "ver": 1_01_03_00_009,
            "vid": APP_ID,
        }
        said = yield packet(f"login {json.dumps(login)}"), b"}"
        if b"login_res ok " not in said:
            raise ValueError(f"{account} was not let in: {said!r}")
        line = json.loads(said[said.index(b"{") :])["line"]
        if silently and channel is not None:
            quiet = {"line": line, "channel": channel, "name": "_userNotification", "value": "0"}
            yield _call("channel_set_attr", "1", quiet), b"call_ret 0 1 0 "
        if channel is not None:
            yield _call("channel_join", "2", {"line": line, "name": channel}), b"call_ret 0 2 0 "
        return NativeVoice(line)
