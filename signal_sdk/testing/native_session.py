"""The native peer's session: from its login to its logout, over any number of lines.

Owns: what the session knows, its inbox and its answers, and what its user hears. Must not know what
a user may ask (native_peer.py does), a packet, nor how a server is found (native_line.py does).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import trio

from signal_sdk.agora_callback import ICallBack
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LinkError, LoginError, SignalError
from signal_sdk.net.deadline import move_on_after
from signal_sdk.net.reactor import Reactor
from signal_sdk.testing.native_events import Heard, entry_events, line_events
from signal_sdk.testing.native_line import Connect, Line, open_line
from signal_sdk.wire import call2, events, frames, lines, names, typed, words_heard
from signal_sdk.wire.login import LineLogin, Login, ecode_of
from signal_sdk.wire.results import GetMessagesResult

__all__ = ["NativeSession"]

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
EXPECT_SECONDS: Final = 60.0
"""How long a test waits for what never comes."""

_LOGOUTS: Final[Mapping[str, ECode]] = {
    "kick": ECode.LOGOUT_E_KICKED,
    "wrong_line": ECode.LOGOUT_E_KICKED,
    "TokenErrorExpired": ECode.LOGOUT_E_TOKENEXPIRED,
    "outofsync": ECode.LOGOUT_E_NET,
}


class NativeSession:
    """One session; `NativePeer` has what its user asks."""

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
        self._announced = 0
        """The latest entry that it has heard of since it last asked."""
        """The line on which a poll is under way."""

    # --- hearing ---

    def _tell(self, *told: Heard) -> None:
        self.heard += told
        self._news.set()
        self._news = trio.Event()

    async def expect(
        self, name: str, *args: Any, seconds: float = EXPECT_SECONDS
    ) -> tuple[Any, ...]:
        """Wait for the next such callback, take it, and return its arguments, which must begin with
        `args`. Raises `AssertionError` where they do not, or none came in `seconds`, and
        `ValueError` where `ICallBack` has no such method.
        """
        if not name.startswith("on_") or not hasattr(ICallBack, name):
            raise ValueError(f"ICallBack has no {name!r}; an example is on_message_instant_receive")
        with move_on_after(self._reactor, seconds):
            while True:
                for number, told in enumerate(self.heard):
                    if told.name == name:
                        del self.heard[number]
                        if told.args[: len(args)] != args:
                            raise AssertionError(f"{told}, not with {args}")
                        return told.args
                await self._news.wait()
        raise AssertionError(f"no {name} in {seconds:g} s; heard: {self.heard}")

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
        with move_on_after(self._reactor, LOGIN_SECONDS):
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
            resumed = is_told = False
            tries = 0
            clock = self._reactor.clock
            ends_at = clock.time() + RETRY_SECONDS
            while tries < MAX_TRIES and clock.time() < ends_at:
                try:
                    if await self._hold_line(said, resumed=resumed):
                        tries, ends_at = 0, clock.time() + RETRY_SECONDS
                        is_told = False
                    else:
                        tries += 1
                except LinkError:
                    # Nobody there is no try.
                    pass
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
                self._poll_for(version)
            case words_heard.MessagePushed(version, text):
                if version == self.version + 1:
                    self._take_entry(version, text)
                else:
                    self._poll_for(version)
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

    def _has_joined(self, channel: str) -> None:
        """With each join it begins to count its channel's events anew."""
        self.channel, self.msgid = channel, 0

    def _leaves(self) -> str | None:
        """It is in no channel from here on; in which was it?"""
        channel, self.channel = self.channel, None
        return channel

    # --- the inbox ---

    def _poll_for(self, version: int) -> None:
        """There is an entry that it may not have: it polls, or does so once more."""
        if version > self.version:
            self._announced = max(self._announced, version)
            self._nursery.start_soon(self._poll, 0)

    async def _poll(self, delay: float) -> None:
        """Fetch what waits."""
        line = self._line
        if line is None or self._polling is line:
            return
        self._polling = line
        try:
            await trio.sleep(delay)
            wants_more = True
            while wants_more and self._line is line:
                self._announced = 0
                text = await self._ask("user_getmsg", ver_clear=self.version, max=30)
                page = frames.decode_json(text, GetMessagesResult, "user_getmsg")
                for version, entry in page.msgs:
                    if version > self.version:
                        self._take_entry(version, entry)
                is_full = len(page.msgs) == names.MAX_INBOX_PAGE
                wants_more = is_full or self._announced > self.version
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
        with move_on_after(self._reactor, CALL_SECONDS):
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
