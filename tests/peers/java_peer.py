"""The Java peer: a client that says on the wire what the original Java server SDK says, and reads
what that reads, no more.

Owns: one session over one connection, from the lookup to the logout, and what its user hears, under
the callbacks' names. Must not know what is tested.

What it does of its own accord: it makes a host name of the address that the lookup tells it, polls
30 entries at a time, forgets an announcement that comes while it polls, hands its user whatever a
poll returns, takes an entry that is handed over where it has had the one before, acknowledges
invitations, pings every 10 s, counts a pong only where its clock has moved on since the ping, ends
a call by `call_bye`, closes its connection itself after a logout, and comes back from no end. What
is not text where it reads text is lost, and stands in `errors`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import msgspec
import trio

from signal_sdk.errors import LinkError
from signal_sdk.net.closed import LinkClosed
from signal_sdk.net.reactor import Reactor
from signal_sdk.testing.server import LocalServer
from signal_sdk.websocket import handshake
from signal_sdk.websocket.link import Link

VER: Final = 1_01_00_02_000
DEVICE: Final = "javasdk"
LOOKUP_HOST: Final = "lbs.sig.agora.io"
TTL_SECONDS: Final = 2_592_000
"""What it asks for each message where its user says nothing."""
POLLED: Final = 30
PING_SECONDS: Final = 10.0
MISSED_PONGS: Final = 3
LOGIN_TRIES: Final = 5
MAX_FRAME_BYTES: Final = 64 * 1024 * 1024

LOGOUT_BY_USER: Final = 101
LOGOUT_BY_NET: Final = 102

_STEPS: Final[Mapping[str, str]] = {
    "voip_invite_ack": "onInviteReceivedByPeer",
    "voip_invite_accept": "onInviteAcceptedByPeer",
    "voip_invite_refuse": "onInviteRefusedByPeer",
    "voip_invite_bye": "onInviteEndByPeer",
    "voip_invite_msg": "onInviteMsg",
    "voip_invite_failed": "onInviteFailed",
}


@attrs.frozen
class Heard:
    """One callback."""

    name: str
    args: tuple[Any, ...]


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text: {value!r}")
    return value


def _number(fields: Mapping[str, Any], name: str) -> int:
    value = fields[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is no whole number: {value!r}")
    return value


class Refused(Exception):
    """What the server refuses: a request or a login, with the text that it gives."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class JavaPeer:
    """A client as the original Java SDK is one, made by `java_peer`.

    Its methods ask and await the answer: they return the answer's fields, or raise `Refused`.
    """

    def __init__(
        self, server: LocalServer, nursery: trio.Nursery, reactor: Reactor, app: str
    ) -> None:
        self.app = app
        self.account = ""
        self.uid = 0
        self.channel = ""
        self.msgid = 0
        self.version = 0
        """The last inbox entry that was handled: what it clears with its next poll."""
        self.heard: list[Heard] = []
        self.errors: list[str] = []
        self.frames: list[list[Any]] = []
        """All that came, as it came."""
        self.tries = 0
        """How often it has tried to log in."""
        self.url = ""
        """Where it connects to."""
        self._server = server
        self._nursery = nursery
        self._reactor = reactor
        self._link: Link | None = None
        self._line = ""
        self._login: list[Any] | None = None
        self._is_out = False
        self._poll: int | None = None
        """The poll that is under way."""
        self._callid = 0
        self._answers: dict[int, tuple[str, str]] = {}
        self._pinged_ms = 0
        self._missed = 0
        self._news = trio.Event()

    # --- hearing ---

    def _tell(self, name: str = "", *args: Any) -> None:
        if name:
            self.heard.append(Heard(name, args))
        self._news.set()
        self._news = trio.Event()

    async def expect(self, name: str, *args: Any) -> tuple[Any, ...]:
        """Wait for the next such callback, take it, and return its arguments, which must begin with
        `args`.
        """
        while True:
            for number, told in enumerate(self.heard):
                if told.name == name:
                    del self.heard[number]
                    assert told.args[: len(args)] == args, (told, args)
                    return told.args
            await self._news.wait()

    def seen(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments of all such callbacks that nobody has taken."""
        return [told.args for told in self.heard if told.name == name]

    # --- the session ---

    async def look_up(self) -> None:
        """Ask where the server is, and make the name that it has for this client."""
        transport = self._server.connect()
        target = f"/getaddr?vid={self.app}"
        question = f"GET {target} HTTP/1.1\r\nHost: {LOOKUP_HOST}\r\n\r\n"
        transport.send_nowait(question.encode())
        answer = b""
        while data := await transport.receive_some():
            answer += data
        transport.close()
        host, port = msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])["web"][0]
        self.url = f"ws://{host.replace('.', '-')}-sig-web.agora.io:{port}/"

    async def login(self, account: str, token: str = "_no_need_token") -> int:
        """Log in, and return the uid. Raises `Refused` after five refusals; its user hears none."""
        self.account = account
        while True:
            self.tries += 1
            await self._dial()
            self._send(
                "login",
                {
                    "vid": self.app,
                    "account": account,
                    "uid": 0,
                    "token": token,
                    "device": DEVICE,
                    "ip": "",
                    "ver": VER,
                },
            )
            while self._login is None:
                await self._news.wait()
            err, text = self._login
            if not err:
                break
            if self.tries == LOGIN_TRIES:
                raise Refused(err)
        fields = msgspec.json.decode(text)
        self._line, self.uid = _text(fields, "line"), _number(fields, "uid")
        self._tell("onLoginSuccess", self.uid)
        self._nursery.start_soon(self._ping_loop, self._link)
        self.poll()
        while self._poll is not None:
            await self._news.wait()
        return self.uid

    async def _dial(self) -> None:
        if not self.url:
            await self.look_up()
        self._login = None
        self._is_out = False
        self._poll = None
        self._missed = 0
        self._link = await handshake.connect(
            self._server.connect(), self._reactor, self.url, max_frame_bytes=MAX_FRAME_BYTES
        )
        self._nursery.start_soon(self._read_loop, self._link)

    def _send(self, event: str, payload: Any) -> None:
        if self._link is not None:
            self._link.send_text(msgspec.json.encode([event, payload]))

    async def _read_loop(self, link: Link) -> None:
        try:
            while True:
                for message in await link.receive():
                    assert not message.binary
                    self._take(msgspec.json.decode(message.data))
                    self._tell()
        except LinkClosed:
            if self._line:
                self._log_out(LOGOUT_BY_NET)
        await link.aclose()

    def _log_out(self, ecode: int) -> None:
        """Whichever thread comes first tells."""
        if not self._is_out:
            self._is_out = True
            self._line = self.channel = ""
            self._tell("onLogout", ecode)

    def _take(self, frame: list[Any]) -> None:
        self.frames.append(frame)
        try:
            match frame:
                case ["login_ret", payload]:
                    self._login = payload
                case ["call2-ret", [callid, str(err), str(text)]] if callid == self._poll:
                    self._take_page(err, text)
                case ["call2-ret", [callid, err, text]]:
                    self._answers[callid] = (err, text)
                case ["pong", int()]:
                    if self._now_ms() > self._pinged_ms:
                        self._missed = 0
                case ["notify", ["msg", int(version)]]:
                    if version > self.version:
                        self.poll()
                case ["notify", ["channel2", _, int(msgid), str(line)]]:
                    if msgid > self.msgid:
                        self.msgid = msgid
                        self._take_channel_line(line)
                case ["notify", str(text)]:
                    self._take_pushed(text)
        except (KeyError, TypeError, ValueError) as exc:
            self.errors.append(f"{frame}: {exc!r}")

    @staticmethod
    def _now_ms() -> int:
        return int(trio.current_time() * 1000)

    async def _ping_loop(self, link: Link | None) -> None:
        while True:
            await trio.sleep(PING_SECONDS)
            if link is None or self._is_out:
                return
            if self._missed >= MISSED_PONGS:
                await link.aclose()
                self._log_out(LOGOUT_BY_NET)
                return
            self._missed += 1
            self._pinged_ms = self._now_ms()
            self._send("ping", self._pinged_ms)

    # --- the inbox ---

    def poll(self) -> None:
        """Ask for what waits, unless that is under way. The answer is handled where it is read, and
        what is behind it after it.
        """
        if self._poll is None and not self._is_out:
            self._poll = self._say("user_getmsg", ver_clear=self.version, max=POLLED)

    def _take_page(self, err: str, text: str) -> None:
        self._poll = None
        msgs = [] if err else msgspec.json.decode(text)["msgs"]
        for version, line in msgs:
            self._take_entry(version, line)
        if len(msgs) == POLLED:
            self.poll()

    def _take_pushed(self, text: str) -> None:
        _, kind, entry = text.split(" ", 2)
        if kind != "recvmsg":
            raise ValueError(f"pushed as {kind}")
        version, line = msgspec.json.decode(entry)
        if version == self.version + 1:
            self._take_entry(version, line)

    def _take_entry(self, version: int, line: str) -> None:
        self.version = version
        mark, src, _dst, _flag, kind, _time, content = line.split(" ", 6)
        if mark != "msg-v2":
            raise ValueError(f"a line of {mark}")
        if kind == "instant":
            self._tell("onMessageInstantReceive", src, 0, content)
            return
        fields = msgspec.json.decode(content)
        try:
            channel, peer = _text(fields, "channel"), _text(fields, "peer")
            uid, extra = _number(fields, "peeruid"), _text(fields, "extra")
        except (KeyError, TypeError) as exc:
            self.errors.append(f"{line}: {exc!r}")
            return
        if kind == "voip_invite":
            # It says so by itself, and waits for no answer.
            self._say("voip_invite_ack", channelName=channel, peer=peer, extra="")
            self._tell("onInviteReceived", channel, peer, uid, extra)
        else:
            self._tell(_STEPS[kind], channel, peer, uid, extra)

    def _take_channel_line(self, line: str) -> None:
        _mark, _src, _dst, _flag, kind, _time, content = line.split(" ", 6)
        fields = msgspec.json.decode(content)
        account, uid = _text(fields, "account"), _number(fields, "uid")
        match kind:
            case "channel_msg":
                self._tell("onMessageChannelReceive", account, uid, _text(fields, "msg"))
            case "channel_user_join":
                self._tell("onChannelUserJoined", account, uid)
            case "channel_user_leave":
                self._tell("onChannelUserLeaved", account, uid)
            case "channel_attr_update":
                what = tuple(_text(fields, name) for name in ("name", "value", "type"))
                self._tell("onChannelAttrUpdated", *what)

    # --- requests ---

    def _say(self, function: str, **args: Any) -> int:
        self._callid += 1
        self._send("call2", [function, self._callid, {"line": self._line, **args}])
        return self._callid

    async def call(self, function: str, **args: Any) -> dict[str, Any]:
        """Call a function with these arguments beside the line, and return its answer, as `invoke`
        does. Raises `Refused`.
        """
        callid = self._say(function, **args)
        while callid not in self._answers:
            if self._is_out:
                raise LinkError("logged out")
            await self._news.wait()
        err, text = self._answers.pop(callid)
        fields: dict[str, Any] = msgspec.json.decode(text)
        if err or fields["result"] != "ok":
            raise Refused(err or fields["reason"])
        return fields

    async def logout(self) -> None:
        """Log out; its user hears 101, unless the connection ends before the answer is handled."""
        await self.call("user_logout")
        await trio.sleep(0.5)  # it is in no hurry to handle the answer
        self._log_out(LOGOUT_BY_USER)
        if self._link is not None:
            await self._link.aclose()

    async def message_instant_send(
        self, account: str, msg: str, ttl: int = TTL_SECONDS, message_id: str = ""
    ) -> None:
        """Send an instant message."""
        await self.call(
            "user_sendmsg",
            peer=account,
            flag=f"v1:E:{ttl}",
            t="instant",
            content=msg,
            messageID=message_id,
        )

    async def channel_join(self, name: str) -> list[str]:
        """Join a channel, and return who is there; its attributes are told."""
        answer = await self.call("channel_join", name=name)
        self.channel, self.msgid = name, 0
        self._tell("onChannelJoined", name)
        for attribute in answer["attrs"]:
            self._tell(
                "onChannelAttrUpdated", attribute, _text(answer["attrs"], attribute), "update"
            )
        return [account for account, _uid in answer["list"]]

    async def channel_leave(self) -> None:
        """Leave the channel."""
        name, self.channel = self.channel, ""
        await self.call("channel_leave", name=name)
        self._tell("onChannelLeaved", 0)

    async def message_channel_send(self, msg: str) -> None:
        """Send to the channel."""
        await self.call("channel_sendmsg", name=self.channel, msg=msg)

    async def channel_set_attr(self, name: str, value: str) -> None:
        """Set an attribute of the channel."""
        await self.call("channel_set_attr", channel=self.channel, name=name, value=value)

    async def channel_del_attr(self, name: str) -> None:
        """Delete an attribute of the channel."""
        await self.call("channel_del_attr", channel=self.channel, name=name)

    async def channel_clear_attr(self) -> None:
        """Delete all attributes of the channel."""
        await self.call("channel_clear_attr", channel=self.channel)

    async def channel_invite_user2(self, channel: str, account: str, extra: str = "") -> None:
        """Invite to a call. Its user hears of a refusal."""
        try:
            await self.call("voip_invite", channelName=channel, peer=account, extra=extra)
        except Refused as exc:
            self._tell("onInviteFailed", channel, account, 0, exc.reason)

    async def channel_invite_accept(self, channel: str, account: str, extra: str = "") -> None:
        """Accept a call."""
        await self.call("voip_invite_accept", channelName=channel, peer=account, extra=extra)

    async def channel_invite_refuse(self, channel: str, account: str, extra: str = "") -> None:
        """Refuse a call."""
        await self.call("voip_invite_refuse", channelName=channel, peer=account, extra=extra)

    async def channel_invite_end(self, channel: str, account: str, extra: str = "") -> None:
        """End a call. Its user hears that it has ended, whatever the server says."""
        args = {"channelName": channel, "srcNum": self.account, "destNum": account}
        try:
            await self.call("call_bye", **args, extra=extra)
        except Refused as exc:
            self.errors.append(f"call_bye: {exc}")
        self._tell("onInviteEndByMyself", channel, account)

    # --- the connection ---

    def cut(self) -> None:
        """Break the connection, without a word."""
        assert self._link is not None
        self._link.abort()


@asynccontextmanager
async def java_peer(server: LocalServer, *, app: str = "app") -> AsyncIterator[JavaPeer]:
    """A Java client of `server`, in memory, while the block runs. It is not logged in yet. Leaving
    the block fails where it could not read something.
    """
    async with trio.open_nursery() as nursery:
        reactor = Reactor()
        await nursery.start(reactor.run)
        peer = JavaPeer(server, nursery, reactor, app)
        yield peer
        nursery.cancel_scope.cancel()
    assert peer.errors == []
