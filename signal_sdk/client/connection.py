"""A session's connection: whole frames in and out of a link.

Owns: unpacking messages into frames, when the last one came, and what is done about one that cannot
be read. Must not know what a frame is for, but those of a login: its answer, and taking back one
that nobody waits for any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import trio

from signal_sdk.client.log import Log, warn
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LinkError, LoginError, ProtocolError
from signal_sdk.net.deadline import move_on_after
from signal_sdk.net.reactor import Reactor
from signal_sdk.websocket.link import Link, Message
from signal_sdk.wire import call2, frames, functions, login

__all__ = ["Connection", "closing_delay"]

FRAMES_PER_TURN: Final = 64
"""How many frames of one read are handed out before others run."""
WITHDRAW_SECONDS: Final = 2.0
"""How long a login that was given up waits for its answer, to log out again: else the account stays
online."""
MAX_DELAY_SECONDS: Final = 120.0
"""The longest time that a server may ask its clients to stay away."""


def closing_delay(closing: login.Closing) -> float:
    """How many seconds the server asks its client to wait before it connects again."""
    return min(max(closing.delay, 0.0), MAX_DELAY_SECONDS)


class Connection:
    """A link, as frames. `label` is whose it is, for the log."""

    def __init__(self, link: Link, log: Log, label: str) -> None:
        self._link = link
        self._log = log
        self._label = label
        self._frames: list[frames.Frame] = []
        """What `receive` has still to give, the next one last."""
        self._handed_out = 0
        self.send: Callable[[bytes], None] = link.send_text
        """Send one frame. Never waits; on a connection that is closing, nothing is sent."""
        self.delay: float = 0.0
        """How long the server, which has closed the connection, asks its client to stay away."""

    @property
    def peer(self) -> str:
        """The server's address."""
        return self._link.peer

    @property
    def heard_at(self) -> float:
        """When the server was last heard of."""
        return self._link.heard_at

    def watch(self, take: Callable[[frames.Frame], None], hear: Callable[[bytes], bool]) -> None:
        """From here on, frames are handed to `take` where they are read, unless `hear`, which is
        asked first while nobody wants to read the log, takes a frame's text; what `receive` still
        gets comes before them.
        """
        log = self._log

        def take_all(message: Message) -> bool:
            if not message.binary and not log.is_heard and hear(message.data):
                return True
            for frame in self._unpack(message):
                if log.is_heard:
                    self._note(frame)
                take(frame)
            return True

        self._link.watch(take_all)

    async def receive(self) -> frames.Frame:
        """The next frame. Raises `LinkClosed` once there is none to come."""
        while not self._frames:
            messages = await self._link.receive()
            self._frames = [it for message in messages for it in self._unpack(message)]
            self._frames.reverse()
        self._handed_out += 1
        if self._handed_out % FRAMES_PER_TURN == 0:
            await trio.lowlevel.checkpoint()
        frame = self._frames.pop()
        self._note(frame)
        return frame

    def _unpack(self, message: Message) -> Sequence[frames.Frame]:
        try:
            text = frames.decompress(message.data) if message.binary else message.data
            return frames.decode_frames(text)
        except ProtocolError as exc:
            self.pass_over(exc)
            return ()

    def _note(self, frame: frames.Frame) -> None:
        size = memoryview(frame.payload).nbytes
        self._log.debug("%s: < %.40s, %d bytes", self._label, frame.event, size)

    async def login_answer(self) -> login.LoginSucceeded:
        """The answer to a `login` or `line_login`. Raises `LoginError` where it is a refusal, and
        `LinkClosed` where there is none to come.
        """
        while True:
            frame = await self.receive()
            match frame.event:
                case login.LOGIN_RET:
                    try:
                        return login.decode_login_ret(frame)
                    except ProtocolError as exc:
                        reason = f"the answer is not understood: {exc}"
                        raise LoginError(ECode.LOGIN_E_OTHER, reason) from None
                case login.KICK:
                    raise LoginError(ECode.LOGIN_E_TOKEN_KICKED)
                case login.CLOSE:
                    closing = login.decode_closing(frame, ECode.LOGIN_E_NET)
                    self.delay = closing_delay(closing)
                    ecode = ECode(closing.ecode)
                    if ecode is ECode.LOGOUT_E_TOKENEXPIRED:
                        ecode = ECode.LOGIN_E_TOKENEXPIRED
                    elif not 200 <= ecode < 300:
                        ecode = ECode.LOGIN_E_NET
                    raise LoginError(ecode, closing.reason)

    def pass_over(self, exc: ProtocolError) -> None:
        """A frame makes no sense, which says nothing about the next one."""
        warn("%s: a frame from the server is passed over: %s", self._label, exc)

    def log_out(self, line: str) -> None:
        """End the session of this line, of which nothing else was asked."""
        self.send(call2.encode_request(1, line, functions.UserLogout()))

    async def withdraw(self, reactor: Reactor) -> None:
        """Log out of a login that was given up before it was answered, within two seconds by the
        clock of `reactor`.
        """
        try:
            with move_on_after(reactor, WITHDRAW_SECONDS):
                while (frame := await self.receive()).event != login.LOGIN_RET:
                    pass
                self.log_out(login.decode_login_ret(frame).line)
        except (LinkError, LoginError, ProtocolError) as exc:
            self._log.debug("%s: nothing to withdraw: %s", self._label, exc)

    async def aclose(self) -> None:
        """Close in good order, within two seconds."""
        await self._link.aclose()

    def abort(self) -> None:
        """Close at once, without a word."""
        self._link.abort()
