"""Attending: an account that is logged in while a command does its work, until that is done, a
signal comes, or its session ends.

Owns: how that begins and ends, and which end is a failure. Must not know the work.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import trio

from signal_sdk.cli.account import Account
from signal_sdk.cli.ears import Ear, Printer
from signal_sdk.cli.output import StdoutClosedError, give_up_stdout
from signal_sdk.errors import LogoutError, SignalError
from signal_sdk.login_session import LoginSession

__all__ = ["attend"]


async def attend(
    account: Account,
    printer: Printer,
    ear: Ear,
    work: Callable[[LoginSession], Awaitable[None]],
    *,
    many_channels: bool = False,
) -> None:
    """Log in, do the work, and log out. At the first of SIGINT and SIGTERM the account logs out, at
    the second all ends at once; neither is a failure. Raises `SignalError` where the login or the
    work fails, or the session ends otherwise, and `OSError` where `printer` cannot print.
    """
    door = account.signal()
    stopping = trio.Event()
    failure: SignalError | None = None
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            async with door as app:
                session = app.login(
                    account.name,
                    account.token,
                    ear,
                    many_channels=many_channels,
                    takes_bytes=True,
                )
                nursery.start_soon(_end_on_signal, signals, session, stopping, nursery.cancel_scope)
                try:
                    await session
                    await _work_while_logged_in(session, ear, work)
                except SignalError as exc:
                    # The block is left as if nothing were wrong, so that the account logs out.
                    if not stopping.is_set():
                        failure = exc
            nursery.cancel_scope.cancel()
    if isinstance(printer.failure, StdoutClosedError):
        # Whoever read has seen enough.
        give_up_stdout()
        return
    if printer.failure is not None:
        raise printer.failure
    if failure is not None:
        raise failure


async def _work_while_logged_in(
    session: LoginSession, ear: Ear, work: Callable[[LoginSession], Awaitable[None]]
) -> None:
    """Do the work. Raises what it raises, and `LogoutError` where the session ends before."""
    failures: list[SignalError] = []
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            failures.append(LogoutError(await session.wait_logged_out()))
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch)
        try:
            await ear.has_told.wait()
            await work(session)
        except SignalError as exc:
            failures.append(exc)
        nursery.cancel_scope.cancel()
    if failures:
        raise failures[0]


async def _end_on_signal(
    signals: AsyncIterator[int],
    session: LoginSession,
    stopping: trio.Event,
    everything: trio.CancelScope,
) -> None:
    """At the first signal, log out; at the second, end at once."""
    await anext(signals)
    stopping.set()
    session.logout()
    await anext(signals)
    everything.cancel()
