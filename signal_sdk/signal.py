"""`Signal`: the app's door, and the owner of all tasks that its sessions live in.

Owns: the nursery, and its end. Must not know a session's life, which client/ does, nor which
sessions there are: sessions.py does.
"""

# ruff: noqa: N802, N815  the documented names are camelCase

from __future__ import annotations

import os
import ssl
import threading
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeAlias

import trio

from signal_sdk import call as _call
from signal_sdk import callbacks as _callbacks
from signal_sdk import login_session as _login_session
from signal_sdk.client import given
from signal_sdk.client.backoff import Backoff
from signal_sdk.client.crew import Crew
from signal_sdk.client.dialer import Dialer, dialer_of
from signal_sdk.client.dispatcher import Dispatcher
from signal_sdk.client.log import Log
from signal_sdk.client.login_states import INITIAL_STATUS
from signal_sdk.client.operation import Operation
from signal_sdk.client.requests import OTHER_THREAD
from signal_sdk.client.session import SessionClient
from signal_sdk.client.shared import Shared
from signal_sdk.client.trace import Trace
from signal_sdk.net.deadline import move_on_after
from signal_sdk.net.reactor import Reactor
from signal_sdk.raised import is_cancellation, only
from signal_sdk.session_sink import SessionSink
from signal_sdk.sessions import Sessions
from signal_sdk.spelling import DocumentedNames
from signal_sdk.stream_events import Message
from signal_sdk.streams import Readers
from signal_sdk.user_attributes import UserAttributes, of_nobody
from signal_sdk.wire import names
from signal_sdk.wire.parameter_errors import wrong

__all__ = ["Signal"]

EXIT_SECONDS: Final = 2.0
"""How long leaving the block waits for logouts and for callbacks that still run."""
RECONNECT: Final = Backoff()
"""How a session comes back unless its user says otherwise: for as long as it takes."""
NO_TRIO: Final = (
    "this Signal runs in trio, and in no other event loop: begin by `trio.run(main)`; a program of "
    "asyncio takes `signal_sdk.aio.Signal`, and one of no event loop `signal_sdk.sync.Signal`"
)


class Signal(DocumentedNames):
    """The entrance to an app: log accounts in, ask for and set user attributes.

    Java server SDK, "Signaling Class". There may be any number of these in a process, each with any
    number of sessions. It is an async context manager, and nothing can be asked of it outside its
    block:

        async with Signal(appid) as signal:
            session = await signal.login("alice", token, callback)

    Leaving the block logs every session out, waits at most two seconds for that and for callbacks
    that still run, and ends all that is left. An exception in the block, or its cancellation, ends
    everything at once, without a logout; the exception comes out as it is.

    `appid` is the app's id. `server` says where to log in to, by default what the environment
    variable `SIGNAL_SDK_SERVER` says, or else `127.0.0.1:8001`:

    - `host:port` or `http://host:port`: ask there for the addresses of servers
      (`/getaddr`);
    - `https://host:port`: likewise over TLS, and connect over TLS; the certificate must be
      `host`'s;
    - `ws://host:port/path` or `wss://host:port/path`: connect there, without asking;
    - a `Dialer`: whatever it does.

    An IPv6 address is written in brackets. `ssl_context` replaces the one that trusts the system's
    CAs; it goes with `https` and `wss`, and is refused with any other server. `proxy` is the HTTP
    proxy (`http://[user:password@]host:port`) that both the lookup and the connections go through;
    by default, that is what `HTTP_PROXY`, `HTTPS_PROXY` (for `https` and `wss`), `ALL_PROXY` and
    `NO_PROXY` in the environment say, and with an empty text, none. Nothing on this machine itself
    is connected to through a proxy, and none is taken with a `Dialer`. `reconnect` says how a
    session that has lost its connection comes back: by default without end, with random pauses that
    grow from half a second to 30 s, each time asking for addresses anew and trying the server that
    was lost last. With None it does not, and ends with 102. `trace` names a file that is written
    when the block is left: what each session, and each call, and the server have said to each
    other, as diagrams that people read (Mermaid, in Markdown), for bug reports. It has accounts,
    channels and sizes, never a token, and texts only with `trace_texts`; of each diagram the first
    500 lines and the last 1500. Raises `ParameterError` (1004) where an argument is wrong, and
    `OSError` where that file cannot be written.
    """

    LoginSession: TypeAlias = _login_session.LoginSession
    UserAttrCallback: TypeAlias = _callbacks.UserAttrCallback
    LoginCallback: TypeAlias = _callbacks.LoginCallback
    MessageCallback: TypeAlias = _callbacks.MessageCallback
    ChannelCallback: TypeAlias = _callbacks.ChannelCallback
    CallCallback: TypeAlias = _callbacks.CallCallback

    def __init__(
        self,
        appid: str,
        *,
        server: str | Dialer | None = None,
        ssl_context: ssl.SSLContext | None = None,
        reconnect: Backoff | None = RECONNECT,
        proxy: str | None = None,
        trace: str | os.PathLike[str] | None = None,
        trace_texts: bool = False,
    ) -> None:
        appid = given.text("app id", appid)
        given.instance("reconnect", reconnect, Backoff)
        if not appid or not names.is_encodable(appid):
            raise wrong("app id", appid, "is empty or not UTF-8 text")
        self.appid = appid
        self._log = Log()
        self._trace = Trace(trace, with_texts=trace_texts) if trace is not None else None
        self._reactor = Reactor(shares=False)
        self._crew = self._make_crew()
        self._spare = Dispatcher(self._crew)
        self._shared = Shared(
            appid=appid,
            dialer=dialer_of(server, ssl_context, proxy),
            reactor=self._reactor,
            log=self._log,
            backoff=reconnect,
            trace=self._trace,
        )
        self._nobody = of_nobody(self._spare, self._log)
        self._sessions = Sessions()
        self._manager: AbstractAsyncContextManager[trio.Nursery] | None = None
        self._nursery: trio.Nursery | None = None
        self._thread = 0
        """In which that is."""

    def _make_crew(self) -> Crew:
        """What runs the callbacks."""
        return Crew()

    def _make_session(
        self,
        client: SessionClient,
        messages: Readers[Message],
        invitations: Readers[_call.Call],
    ) -> _login_session.LoginSession:
        """What a program holds of a login."""
        return _login_session.LoginSession(client, messages, invitations)

    def __repr__(self) -> str:
        return f"<Signal {self.appid!r}: {len(self._sessions)} sessions>"

    # --- the block ---

    async def __aenter__(self) -> Self:
        if self._manager is not None:
            raise RuntimeError("a Signal's block is entered once; make another Signal")
        if not trio.lowlevel.in_trio_task():
            raise RuntimeError(NO_TRIO)
        self._thread = threading.get_ident()
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        self._nursery.start_soon(self._reactor.run)
        self._nursery.start_soon(self._crew.run)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        nursery, self._nursery = self._nursery, None
        if nursery is None or self._manager is None:
            raise RuntimeError("the Signal's block was not entered")
        try:
            if exc is None:
                with move_on_after(self._reactor, EXIT_SECONDS):
                    await self._sessions.log_out_all()
        finally:
            nursery.cancel_scope.cancel()
            try:
                # An exception of the block is not the nursery's to wrap: it passes by on its own.
                await self._manager.__aexit__(None, None, None)
            except (trio.Cancelled, BaseExceptionGroup) as raised:
                # A cancellation from outside must not take the block's own exception away. The rest
                # is what a callback raised that is no Exception (KeyboardInterrupt, SystemExit), or
                # a mistake of ours.
                if exc is None or not is_cancellation(raised):
                    raise only(raised) from None
            finally:
                if self._trace is not None:
                    self._trace.write()

    # --- logging in ---

    def set_do_log(self, do_log: bool) -> None:
        """Switch this Signal's debug log on or off; it is off at first.

        It goes, at level DEBUG, to the standard `logging` module's logger `signal_sdk`: names of
        frames and functions, sizes and codes, never a token, a session's secret, or what a message
        says. Java server SDK, `setDoLog`.
        """
        self._log.is_on = bool(do_log)

    def login(
        self,
        account: str,
        token: str,
        cb: _callbacks.LoginCallback | None = None,
        *,
        many_channels: bool = False,
        takes_bytes: bool = False,
    ) -> _login_session.LoginSession:
        """Log `account` in, and return its session at once; `await` that to be logged in.

        `account` has 1 to 128 visible characters and no white space. `token` is a SignalingToken
        (`signal_sdk.make_token`), or `_no_need_token` where the app needs none. `cb` hears
        `on_login_success` or `on_login_failed`, then all that happens to the session; awaiting
        raises `LoginError`. Where the account is logged in here, or about to be, the call is
        ignored and the session that there is returned.

        With `many_channels` the session may be in many channels at a time, where the original SDKs'
        is in one (docs/guides/bots.md): each `Channel` is joined and left by itself. In how many,
        the server says ([limits] `session_channels`, 100 by default): one more is refused with 300.
        A server that knows nothing of it is a `LoginError` (200). docs/protocol.md, section 9.

        With `takes_bytes` the session is handed messages that are bytes, too
        (`on_message_instant_receive_bytes`, `Message.data`); whoever sends some to one without it
        is refused with 1004. docs/protocol.md, section 12.

        Raises `RuntimeError` outside of the Signal's block, and `ParameterError` (1004) where an
        argument is of the wrong type. Java server SDK, `login`; `many_channels` and `takes_bytes`
        are ours.
        """
        if self._nursery is None:
            raise RuntimeError(
                "log in inside the Signal's block: `async with Signal(…) as signal:`"
            )
        if threading.get_ident() != self._thread:
            raise RuntimeError(OTHER_THREAD.format(account))
        key, token = given.text("account", account), given.text("token", token)
        given.callback(cb, _callbacks.LoginCallback)
        before = self._sessions.of(key)
        if before is not None and before.client.is_staying:
            return before.session
        login = SessionSink(
            self._shared,
            self._crew,
            self._spare,
            account=key,
            token=token,
            cb=cb,
            after=before.client.ended if before is not None else None,
            seen=self._sessions.handed_on(key),
            many_channels=bool(many_channels),
            takes_bytes=bool(takes_bytes),
            make=self._make_session,
        )
        self._sessions.add(login)
        self._nursery.start_soon(self._sessions.run, login)
        return login.session

    @property
    def accounts(self) -> frozenset[str]:
        """The accounts that are logged in here, or about to be: `login` of one of them returns the
        session that there is. The original SDKs have none of it.
        """
        return self._sessions.accounts

    def get_status(self) -> int:
        """Where the latest session stands.

        0: logged out. 1: connecting, logging in or reconnecting. 2: logged in. 3: the login failed.
        4: nobody has logged in yet. Java server SDK, `getStatus`.
        """
        latest = self._sessions.latest
        return latest.client.status if latest is not None else INITIAL_STATUS

    # --- user attributes; each is asked through the latest session, and fails with 1003 where that
    # is not logged in ---

    def user_set_attr(
        self, name: str, value: str, cb: _callbacks.UserAttrCallback | None = None
    ) -> Operation[None]:
        """Set an attribute of the user that logged in last.

        `name` has at most 128 visible characters, `value` 1024. `_conn_timeout` (20 to 120, in
        seconds) is how long an account without a connection stays online. `cb.on_user_set_attr`
        hears of the outcome; failures are 1003, 1004 and 1005. Java server SDK, `userSetAttr`.
        """
        given.callback(cb, _callbacks.UserAttrCallback)
        return self._attributes().set(name, value, cb)

    def user_get_attr(
        self, account: str, name: str, cb: _callbacks.UserAttrCallback | None = None
    ) -> Operation[str]:
        """Get an attribute of any user of the app: its value, empty where it was never set.

        `cb.on_user_get_attr` hears of the outcome. Java server SDK, `userGetAttr`.
        """
        given.callback(cb, _callbacks.UserAttrCallback)
        return self._attributes().get(account, name, cb)

    def user_get_attr_all(
        self, account: str, cb: _callbacks.UserAttrCallback | None = None
    ) -> Operation[dict[str, str]]:
        """Get all attributes of any user of the app, by name.

        `cb.on_user_get_attr_all` hears of the outcome. Java server SDK, `userGetAttrAll`.
        """
        given.callback(cb, _callbacks.UserAttrCallback)
        return self._attributes().get_all(account, cb)

    def channel_query_user_num(
        self,
        name: str,
        cb: _callbacks.UserAttrCallback | _callbacks.ChannelCallback | None = None,
    ) -> Operation[int]:
        """Ask how many users are in the channel `name`, which one need not have joined.

        `on_channel_query_user_num` hears of the outcome: `cb`'s own where `cb` is a
        `ChannelCallback`, otherwise that of the channel that the latest session is in, since a
        `UserAttrCallback` has no such method (Java server SDK, `channelQueryUserNum`, names the one
        class for the argument and the other for the callback). Fails with 500, 501 (no answer in 10
        s), 1003, 1004 or 1005.
        """
        given.callback(cb, _callbacks.UserAttrCallback, _callbacks.ChannelCallback)
        login = self._sessions.latest
        if login is None:
            return self._nobody.query_num(name, None)
        return login.query_num(name, cb if isinstance(cb, _callbacks.ChannelCallback) else None)

    def _attributes(self) -> UserAttributes:
        latest = self._sessions.latest
        return latest.attributes if latest is not None else self._nobody

    if TYPE_CHECKING:

        def setDoLog(self, do_log: bool) -> None: ...
        def userSetAttr(
            self, name: str, value: str, cb: _callbacks.UserAttrCallback | None = None
        ) -> Operation[None]: ...
        def userGetAttr(
            self, account: str, name: str, cb: _callbacks.UserAttrCallback | None = None
        ) -> Operation[str]: ...
        def userGetAttrAll(
            self, account: str, cb: _callbacks.UserAttrCallback | None = None
        ) -> Operation[dict[str, str]]: ...
        def channelQueryUserNum(
            self,
            name: str,
            cb: _callbacks.UserAttrCallback | _callbacks.ChannelCallback | None = None,
        ) -> Operation[int]: ...
        def getStatus(self) -> int: ...
    else:
        setDoLog = set_do_log
        userSetAttr = user_set_attr
        userGetAttr = user_get_attr
        userGetAttrAll = user_get_attr_all
        channelQueryUserNum = channel_query_user_num
        getStatus = get_status
