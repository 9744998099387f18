"""The native peer: a client that does on the wire what the original native SDK does, for tests of a
server.

Owns: one session, from its login to its logout over any number of lines, and what its user hears,
under the names that `ICallBack` has. Must not know a packet, nor how a server is found:
native_line.py does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LinkError, LoginError, SignalError
from signal_sdk.net.reactor import Reactor
from signal_sdk.testing.native_events import Heard, entry_events, join_events, line_events
from signal_sdk.testing.native_line import Connect, Line, connect_in_memory, open_line
from signal_sdk.testing.server import LocalServer
from signal_sdk.wire import call2, events, frames, lines, names, typed, words_heard
from signal_sdk.wire.login import LineLogin, Login, ecode_of
from signal_sdk.wire.results import GetMessagesResult

__all__ = ["NativePeer", "native_peer"]

VER: Final = 1_01_03_00_009
"""What the original says of itself: 1.3.0.9."""
POLL_SECONDS: Final = 0.1
"""How long after its login it polls."""
CALL_SECONDS: Final = 10.0
"""How long an answer may take; a request is not sent again."""
REDIAL_SECONDS: Final = 0.1
RETRY_SECONDS: Final = 30.0
MAX_TRIES: Final = 3
"""How many connections that end before their login's answer make it give up."""
LOGIN_SECONDS: Final = 10.0

_LOGOUTS: Final[Mapping[str, ECode]] = {
    "kick": ECode.LOGOUT_E_KICKED,
    "wrong_line": ECode.LOGOUT_E_KICKED,
    "TokenErrorExpired": ECode.LOGOUT_E_TOKENEXPIRED,
    "outofsync": ECode.LOGOUT_E_NET,
}


class NativePeer:
    """A client as the original native SDK is one, made by `native_peer`.

    Its methods ask and await the answer: they return the answer's fields, or raise `SignalError`
    with 1001 and the server's reason, or 1002 after a time-out. What its user would hear besides is
    in `heard`, as (`ICallBack` method, arguments), until `expect` takes it. Where the wire's
    observers did not see what the original does, this peer does the least: a pushed entry is
    cleared with the next poll or the logout.
    """

    def __init__(self, app: str, connect: Connect, nursery: trio.Nursery, reactor: Reactor) -> None:
        self.app = app
        self.account: str = ""
        self.uid: int = 0
        self.line_id: str = ""
        self.channel: str | None = None
        self.msgid: int = 0
        self.version: int = 0
        """The last inbox entry that was handled."""
        self.heard: list[Heard] = []
        self.lines: int = 0
        """How many lines there have been."""
        self.is_down = False
        """While it is true, dialing fails: a network that is not there."""
        self._connect = connect
        self._nursery = nursery
        self._reactor = reactor
        self._line: Line | None = None
        self._news = trio.Event()
        self._callid = 0
        self._answers: dict[int, str] = {}
        self._entry: words_heard.LoginResult | words_heard.LineLoginResult | None = None
        """How the latest line was let in."""
        self._scope = trio.CancelScope()
        self._polling: Line | None = None
        """The line on which a poll is under way."""

    # --- hearing ---

    def _tell(self, *told: Heard) -> None:
        self.heard += told
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
                    if told.args[: len(args)] != args:
                        raise AssertionError(f"{told}, not with {args}")
                    return told.args
            await self._news.wait()

    def seen(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments of all such callbacks that nobody has taken."""
        return [told.args for told in self.heard if told.name == name]

    # --- the session ---

    async def login(self, account: str, token: str = names.NO_TOKEN) -> int:
        """Log in afresh, and return the uid. Raises `LoginError` with the code that the original's
        user hears; 201 where there is no server.
        """
        self.account = account
        self.channel = None
        self._entry = None
        said = Login(vid=self.app, account=account, token=token, device="", ver=VER)
        self._scope = trio.CancelScope()
        self._nursery.start_soon(self._live, said)
        result = None
        with trio.move_on_after(LOGIN_SECONDS):
            result = await self._login_result()
        if result is None:
            self._scope.cancel()
            raise LoginError(ECode.LOGIN_E_NET)
        if not result.ok:
            # It knows no word for a wrong account.
            ecode = ecode_of(result.reason)
            ecode = ECode.LOGIN_E_NET if ecode is ECode.LOGIN_E_INVALID_USER else ecode
            raise LoginError(ecode, result.reason)
        return self.uid

    async def _login_result(self) -> words_heard.LoginResult | None:
        """Wait for the answer to the login; None where there was none to be had."""
        while not self.seen("on_login_failed"):
            if isinstance(self._entry, words_heard.LoginResult):
                return self._entry
            await self._news.wait()
        return None

    async def _live(self, said: Login) -> None:
        """Hold the session, over one line after another."""
        with self._scope:
            resumed, is_told, tries = False, False, 0
            ends_at = trio.current_time() + RETRY_SECONDS
            while tries < MAX_TRIES and trio.current_time() < ends_at:
                try:
                    if await self._hold_line(said, resumed=resumed):
                        tries, ends_at = 0, trio.current_time() + RETRY_SECONDS
                        is_told = False
                    else:
                        tries += 1
                except LinkError:
                    pass  # nobody there is no try
                if not self.line_id:
                    if isinstance(self._entry, words_heard.LoginResult):
                        return
                elif not is_told:
                    self._tell(Heard("on_reconnecting", (1,)))
                    resumed = is_told = True
                await trio.sleep(REDIAL_SECONDS)
            if self.line_id:
                self._log_out(ECode.LOGOUT_E_NET)
            else:
                self._tell(Heard("on_login_failed", (ECode.LOGIN_E_NET,)))

    async def _hold_line(self, said: Login, *, resumed: bool) -> bool:
        """Live on one line until it is lost; was its login answered? Raises `LinkError` where there
        is none to be had.
        """
        if self.is_down:
            raise LinkError("the network is down")
        async with open_line(self._connect, self._reactor, self._hear) as line:
            self._entry = None
            self._line = line
            self.lines += 1
            if resumed:
                msgid = self.msgid if self.channel is not None else 0
                line.say(LineLogin(line=self.line_id, msgid=msgid))
            else:
                line.say(said)
            try:
                await line.run()
            finally:
                # A login of its own may have made another by now.
                if self._line is line:
                    self._line = None
        return self._entry is not None

    def _hear(self, frame: words_heard.NativeFrame) -> None:
        match frame:
            case words_heard.LoginResult() | words_heard.LineLoginResult():
                self._enter(frame)
            case words_heard.CallResult(callid, text):
                self._answers[callid] = text
            case words_heard.MessageWaiting(version):
                if version > self.version:
                    self._nursery.start_soon(self._poll, 0)
            case words_heard.MessagePushed(version, text):
                if version == self.version + 1:
                    self._take_entry(version, text)
                elif version > self.version:
                    self._nursery.start_soon(self._poll, 0)
            case words_heard.ChannelNotified(msgid, text):
                if msgid > self.msgid:
                    self.msgid = msgid
                    self._tell(*line_events(lines.decode(text)))
            case words_heard.Ended(reason):
                self._log_out(_LOGOUTS[reason])
        self._tell()

    def _enter(self, frame: words_heard.LoginResult | words_heard.LineLoginResult) -> None:
        """The server has let the latest line in, or has not."""
        self._entry = frame
        if not frame.ok:
            if isinstance(frame, words_heard.LineLoginResult):
                self._log_out(ECode.LOGOUT_E_KICKED)
            return
        if isinstance(frame, words_heard.LoginResult):
            self.uid, self.line_id = frame.uid, frame.line
            self._tell(Heard("on_login_success", (frame.uid, 0)))
        else:
            self._tell(Heard("on_reconnected", (0,)))
            if self.channel is not None and self._line is not None:
                sub = typed.ChannelSub(channel=self.channel, msgid=self.msgid)
                self._line.say(sub, vid=self.app)
        self._nursery.start_soon(self._poll, POLL_SECONDS)

    def _log_out(self, ecode: ECode) -> None:
        self.line_id = ""
        self.channel = None
        self._tell(Heard("on_logout", (ecode,)))
        self._scope.cancel()

    # --- the inbox ---

    async def _poll(self, delay: float) -> None:
        """Fetch what waits."""
        line = self._line
        if line is None or self._polling is line:
            return
        self._polling = line
        try:
            await trio.sleep(delay)
            is_full = True
            while is_full and self._line is line:
                text = await self._ask("user_getmsg", ver_clear=self.version, max=30)
                page = frames.decode_json(text, GetMessagesResult, "user_getmsg")
                for version, entry in page.msgs:
                    if version > self.version:
                        self._take_entry(version, entry)
                is_full = len(page.msgs) == names.MAX_INBOX_PAGE
        except SignalError:
            # The line is lost; the next one polls again.
            return
        finally:
            if self._polling is line:
                self._polling = None

    def _take_entry(self, version: int, text: str) -> None:
        self.version = version
        line = lines.decode(text)
        if line.type == events.VOIP_INVITE:
            content = events.decode_call_content(line)
            # It says so by itself, and waits for no answer.
            self._say_call(
                events.VOIP_ACK, {"channelName": content.channel, "peer": content.peer, "extra": ""}
            )
        self._tell(*entry_events(line))

    # --- requests ---

    def _say_call(self, function: str, args: Mapping[str, Any]) -> int:
        self._callid += 1
        if self._line is not None:
            self._line.say(call2.Request(function, self._callid, {**args, "line": self.line_id}))
        return self._callid

    async def _ask(self, function: str, **args: Any) -> str:
        callid = self._say_call(function, args)
        with trio.move_on_after(CALL_SECONDS):
            while callid not in self._answers:
                await self._news.wait()
            return self._answers.pop(callid)
        raise SignalError(ECode.GENERAL_E_UNKNOWN, "time out")

    async def call(self, function: str, **args: Any) -> dict[str, Any]:
        """Call a function with these arguments beside the line, and return its answer. Raises
        `SignalError` (1001, 1002).
        """
        answer: dict[str, Any] = frames.decode_json(
            await self._ask(function, **args), dict[str, Any], function
        )
        if answer.get("result") != "ok":
            raise SignalError(ECode.GENERAL_E_FAILED, str(answer.get("reason", "")))
        return answer

    async def logout(self) -> None:
        """Log out; everything that was received is handled."""
        await self.call("user_logout", ver_clear=self.version)
        self._log_out(ECode.LOGOUT_E_USER)

    async def message_instant_send(self, account: Any, msg: Any, *, ttl: int = 3600) -> None:
        """Send an instant message."""
        await self.call(
            "user_sendmsg", peer=account, flag=lines.make_flag(ttl), t="instant", content=msg
        )

    async def channel_join(self, name: Any) -> None:
        """Join a channel, and tell what a join tells."""
        answer = await self.call("channel_join", name=name)
        self.channel, self.msgid = name, 0
        self._tell(*join_events(name, answer))

    async def channel_leave(self) -> None:
        """Leave the channel."""
        channel, self.channel = self.channel, None
        await self.call("channel_leave", name=channel)
        self._tell(Heard("on_channel_leaved", (channel, ECode.LEAVECHANNEL_E_BYUSER)))

    async def message_channel_send(self, msg: Any, *, name: Any = None) -> None:
        """Send to the channel, or with `name` to any (`messageChannelSendForce`)."""
        where = {"name": self.channel} if name is None else {"name": name, "force": True}
        await self.call("channel_sendmsg", msg=msg, **where)

    async def channel_invite_user2(self, channel: Any, account: Any, extra: str = "{}") -> None:
        """Invite to a call. Raises `SignalError`, after `on_invite_failed` has been told."""
        fields = frames.decode_json(extra, dict[str, Any], "extra")
        now = round(trio.current_time() * 1000)
        fields |= {"callid": f"{self.uid}_{now}", "start_time": now}
        full = frames.encode_json(fields).decode()
        try:
            await self.call("voip_invite", channelName=channel, peer=account, extra=full)
        except SignalError as exc:
            is_offline = exc.reason == "peer is not online"
            ecode = ECode.INVITE_E_PEEROFFLINE if is_offline else ECode.INVITE_E_OTHER
            self._tell(Heard("on_invite_failed", (channel, account, 0, ecode, full)))
            raise

    async def channel_invite_step(
        self, step: str, channel: Any, account: Any, extra: Any = ""
    ) -> None:
        """Take a step in a call: `accept`, `refuse` or `msg`."""
        await self.call(f"voip_invite_{step}", channelName=channel, peer=account, extra=extra)

    async def channel_invite_dtmf(self, channel: Any, account: Any, keys: str) -> None:
        """Dial digits."""
        await self.channel_invite_step("msg", channel, account, events.encode_dtmf(keys))

    async def channel_invite_end(self, channel: Any, account: Any) -> None:
        """End a call."""
        await self.call("call_bye", channelName=channel, srcNum=self.account, destNum=account)
        self._tell(Heard("on_invite_end_by_myself", (channel, "", 0)))

    # --- the line ---

    @property
    def line(self) -> Line:
        """The line that there is now. Raises `LinkError` where there is none."""
        if self._line is None:
            raise LinkError("there is no line now")
        return self._line

    def cut(self) -> None:
        """Break the line, without a word; the peer dials again."""
        self.line.cut()

    def vanish(self) -> None:
        """Go without a word, and for good: a process that is killed."""
        self._scope.cancel()


@asynccontextmanager
async def native_peer(
    server: LocalServer | None = None, *, app: str = "app", connect: Connect | None = None
) -> AsyncIterator[NativePeer]:
    """A native client of `server`, in memory, or of whatever `connect` finds, while the block runs.
    It is not logged in yet.
    """
    if connect is None:
        if server is None:
            raise ValueError(
                "a native peer needs a server: native_peer(server), or for one elsewhere "
                "native_peer(app=APP, connect=connect_by_lookup(APP, HOST, [8180, 8181]))"
            )
        connect = connect_in_memory(server)
    failed: Exception | None = None
    async with trio.open_nursery() as nursery:
        reactor = Reactor()
        await nursery.start(reactor.run)
        try:
            yield NativePeer(app, connect, nursery, reactor)
        except Exception as exc:  # noqa: BLE001  it is raised again below
            # The block's own exception is not the nursery's to wrap.
            failed = exc
        nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed
