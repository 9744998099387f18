"""Fifty bots in one process: in each of five apps, ten stand in a ring and pass a message round.

    python samples/many_bots.py --server 127.0.0.1:8001 --app demo

The apps are demo-1 to demo-5. When the messages have gone round, it prints a summary and ends.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import AsyncExitStack

import trio

from signal_sdk import ECode, LoginCallback, LoginSession, Signal, SignalError

RINGS = 5
BOTS_IN_A_RING = 10
RING_SECONDS = 60
"""How long all of it may take; a second or two is usual."""


class Ring(LoginCallback):
    """The bots of one app: each passes the message, which is the number of hops, to the next."""

    def __init__(self, app: str, laps: int) -> None:
        self.app = app
        self.accounts = [f"bot-{number}" for number in range(BOTS_IN_A_RING)]
        self.hops = laps * BOTS_IN_A_RING
        self.closed = trio.Event()

    def send(self, session: LoginSession, hop: int) -> None:
        """Send the message on its way for the `hop`th time."""
        session.message_instant_send(self.accounts[hop % BOTS_IN_A_RING], str(hop))

    async def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        if (hop := int(msg)) < self.hops:
            self.send(session, hop + 1)
        else:
            print(f"{self.app}: the ring is closed after {hop} messages", flush=True)
            self.closed.set()

    async def on_error(self, session: LoginSession, ecode: ECode, reason: str) -> None:
        print(f"{self.app}: {session.account}: error: {reason}", flush=True)

    async def on_logout(self, session: LoginSession, ecode: ECode) -> None:
        if ecode != ECode.LOGOUT_E_USER:
            print(f"{self.app}: {session.account}: logged out: {ecode.meaning}", flush=True)


async def main(args: argparse.Namespace) -> None:
    rings = [Ring(f"{args.app}-{number}", args.laps) for number in range(1, RINGS + 1)]
    started = trio.current_time()
    # Each app has its Signal. All are left, and all their bots logged out, at the block's end.
    async with AsyncExitStack() as stack:
        sessions: dict[Ring, list[LoginSession]] = {}
        for ring in rings:
            signal = await stack.enter_async_context(Signal(ring.app, server=args.server))
            # login returns at once: fifty logins are under way before the first is awaited.
            sessions[ring] = [signal.login(account, args.token, ring) for account in ring.accounts]
        for ring in rings:
            for session in sessions[ring]:
                await session
        count = sum(map(len, sessions.values()))
        logged_in = trio.current_time()
        print(f"{count} bots are online after {logged_in - started:.1f} s", flush=True)

        for ring in rings:
            ring.send(sessions[ring][0], hop=1)
        with trio.fail_after(RING_SECONDS):
            for ring in rings:
                await ring.closed.wait()
        messages, seconds = sum(ring.hops for ring in rings), trio.current_time() - logged_in
    print(
        f"{count} bots in {RINGS} apps: {messages} messages in {seconds:.2f} s,"
        f" {messages / seconds:.0f} a second"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fifty bots in one process.")
    parser.add_argument("--server", help="HOST:PORT (default: $SIGNAL_SDK_SERVER, or this machine)")
    parser.add_argument("--app", default="demo", help="what the apps' ids begin with")
    parser.add_argument("--token", default="_no_need_token")
    parser.add_argument(
        "--laps",
        type=int,
        default=10,
        choices=range(1, 51),  # a user may send 60 messages a second
        metavar="1..50",
        help="how often each message goes round",
    )
    try:
        trio.run(main, parser.parse_args())
    except SignalError as exc:
        sys.exit(f"error: {exc}")
    except trio.TooSlowError:
        sys.exit(f"error: not all rings were closed in {RING_SECONDS} s")
    except KeyboardInterrupt:
        sys.exit(130)
