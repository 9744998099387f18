"""`LoginSession`, `Channel` and `Call` for asyncio: those of trio, each of whose methods is handed
over to the trio thread.

Owns: which kind of method is handed over how, by what it says that it returns. Must not know any
method by its name, but those that await.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from functools import partial
from types import FunctionType
from typing import Any, Final, Self, TypeAlias, TypeVar

from signal_sdk import call as _call
from signal_sdk import channel as _channel
from signal_sdk import login_session as _login_session
from signal_sdk.aio.crossing import Crossing
from signal_sdk.aio.lock import Lock
from signal_sdk.aio.stream import LoopStream
from signal_sdk.callbacks import CallCallback, ChannelCallback
from signal_sdk.client.call_side import CallSide
from signal_sdk.client.facts import Gap
from signal_sdk.client.membership import Membership
from signal_sdk.client.operation import Operation
from signal_sdk.client.session import SessionClient
from signal_sdk.ecodes import ECode
from signal_sdk.spelling import DocumentedNames
from signal_sdk.stream_events import Message
from signal_sdk.streams import Readers

__all__ = ["Call", "Channel", "LoginSession", "handed_over"]

C = TypeVar("C", bound=type[DocumentedNames])

PLAIN: Final = ("int", "str", "None")
"""What a method returns that only looks, or sets one thing: it may do so in any thread."""


def handed_over(cls: C) -> C:
    """Have each method of the class that `cls` derives from run in the trio thread: one that
    returns an operation in its turn, one that makes an object at once. A method that `cls` has
    itself is left as it is. Raises `TypeError` for a method of any other kind.
    """
    base = cls.__bases__[0]
    documented = base.documented_names if issubclass(base, DocumentedNames) else {}
    for name, method in inspect.getmembers(base, inspect.isfunction):
        is_ours = not name.startswith("_") and name not in vars(cls)
        if is_ours and name not in documented.values():
            over = _over(method)
            for spelling in (name, documented.get(name, name)):
                setattr(cls, spelling, over)
    return cls


def _over(method: FunctionType) -> Callable[..., Any]:
    """What hands a method over, by what that returns."""
    returns: str = method.__annotations__["return"]
    if returns.startswith("Operation["):

        def over(self: Any, *args: Any, **kwargs: Any) -> Any:
            return self.crossing.ask(method, self, *args, **kwargs)

    elif returns.startswith("Stream["):

        def over(self: Any, *args: Any, **kwargs: Any) -> Any:
            crossing: Crossing = self.crossing
            return LoopStream(crossing, crossing.now(partial(method, self, *args, **kwargs)))

    elif returns.startswith(("_call.", "_channel.", "_login_session.")):

        def over(self: Any, *args: Any, **kwargs: Any) -> Any:
            return self.crossing.now(partial(method, self, *args, **kwargs))

    elif returns in PLAIN:
        return method
    else:
        raise TypeError(f"{method.__qualname__} returns {returns}, which nothing hands over")
    return functools.wraps(method)(over)


@handed_over
class Channel(_channel.Channel):
    """As `signal_sdk.Channel`, in asyncio."""

    def __init__(
        self,
        client: SessionClient,
        session: _login_session.LoginSession,
        member: Membership,
        cb: ChannelCallback | None,
    ) -> None:
        super().__init__(client, session, member, cb)
        self.crossing: Crossing = _crossing_of(session)
        self._gap: Operation[Gap] | None = None
        """What waits for the next gap: one for all who do, however often."""

    @property
    def gap(self) -> Operation[Gap]:
        """As `signal_sdk.Channel.gap`."""
        if self._gap is None or self._gap.is_done:
            self._gap = self.crossing.ask(lambda: self._member.gap)
        return self._gap

    def lock(self, name: str, *, lease: float = 10.0, wait: float = 30.0) -> Lock:
        """As `signal_sdk.Channel.lock`."""
        begin = super().lock(name, lease=lease, wait=wait).begin
        return Lock(name, begin, self.crossing)

    def __await__(self) -> Generator[Any, Any, Self]:
        yield from self.crossing.ask(lambda: self._member.joined).__await__()
        return self


@handed_over
class Call(_call.Call):
    """As `signal_sdk.Call`, in asyncio."""

    def __init__(
        self,
        client: SessionClient,
        session: _login_session.LoginSession,
        side: CallSide,
        cb: CallCallback | None = None,
    ) -> None:
        super().__init__(client, session, side, cb)
        self.crossing: Crossing = _crossing_of(session)

    def __await__(self) -> Generator[Any, Any, Self]:
        yield from self.crossing.ask(lambda: self._side.invited).__await__()
        return self


@handed_over
class LoginSession(_login_session.LoginSession):
    """As `signal_sdk.LoginSession`, in asyncio."""

    Channel: TypeAlias = Channel
    Call: TypeAlias = Call

    def __init__(
        self,
        crossing: Crossing,
        client: SessionClient,
        messages: Readers[Message],
        invitations: Readers[_call.Call],
    ) -> None:
        super().__init__(client, messages, invitations)
        self.crossing: Crossing = crossing
        self._ended: Operation[ECode] | None = None
        """What waits for the end: one for all who do, however often."""

    def __await__(self) -> Generator[Any, Any, Self]:
        yield from self.crossing.ask(lambda: self._client.logged_in).__await__()
        return self

    async def wait_logged_out(self) -> ECode:
        """As `signal_sdk.LoginSession.wait_logged_out`."""
        if self._ended is None:
            self._ended = self.crossing.ask(lambda: self._client.ended)
        return await self._ended


def _crossing_of(session: _login_session.LoginSession) -> Crossing:
    if not isinstance(session, LoginSession):
        raise TypeError(f"{session!r} is no session of asyncio's")
    return session.crossing
