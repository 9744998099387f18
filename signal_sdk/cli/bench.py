"""`signal-sdk bench`: how fast a server of ours is, measured by bots.

Owns: what is asked for and its bounds, whose server it may be, and how the outcome is printed. Must
not know what bots do.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import click
import trio

from signal_sdk.cli.account import Account, server_options
from signal_sdk.cli.bots import Bots, Plan
from signal_sdk.cli.certificates import CERTIFICATE_VARIABLE, app_of, certificate_options
from signal_sdk.cli.events import as_json, json_option
from signal_sdk.cli.failures import FAILED
from signal_sdk.cli.hangup import hangup_ignored
from signal_sdk.cli.histogram import Histogram
from signal_sdk.cli.numbers import Positive
from signal_sdk.cli.output import say
from signal_sdk.cli.screen import screen
from signal_sdk.client.dialer import SERVER_VARIABLE
from signal_sdk.ecodes import ECode
from signal_sdk.wire import names, tokens
from signal_sdk.wire.jwt_tokens import Claims, make_jwt
from signal_sdk.wire.rights import ALL

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["bench"]

MAX_UPDATES: Final = 1000
"""How many steps a progress bar has: to draw it costs more than to send a message."""

MAX_CONNECTIONS: Final = 10_000
MAX_RATE: Final = 100_000
MAX_SECONDS: Final = 3600
MAX_LOGIN_RATE: Final = 1000
TOKEN_SECONDS: Final = 2 * MAX_SECONDS
BAR_CHARS: Final = 40
MIN_SIZE: Final = 32
"""When it was due stands in each message."""


@click.command(short_help="Have bots send messages at a pace, and time them.")
@server_options
@certificate_options
@click.option(
    "--connections",
    type=click.IntRange(1, MAX_CONNECTIONS),
    default=100,
    metavar="N",
    help="How many bots log in.  [default: 100]",
)
@click.option(
    "--rate",
    type=Positive(MAX_RATE),
    default=100.0,
    metavar="N",
    help="How many messages are sent in a second, by all together.  [default: 100]",
)
@click.option(
    "--seconds",
    type=Positive(MAX_SECONDS),
    default=10.0,
    metavar="SECONDS",
    help="For how long they are sent.  [default: 10]",
)
@click.option(
    "--messages",
    type=click.IntRange(1, MAX_RATE * MAX_SECONDS),
    metavar="N",
    help="How many are sent, in place of --seconds.",
)
@click.option(
    "--size",
    type=click.IntRange(MIN_SIZE, names.MAX_MESSAGE_CHARS),
    default=64,
    metavar="CHARS",
    help="How long each is.  [default: 64]",
)
@click.option(
    "--to",
    type=click.Choice(["accounts", "channel"]),
    default="accounts",
    help="Who gets them: each bot the next one's, or all bots, in one channel."
    "  [default: accounts]",
)
@click.option(
    "--login-rate",
    type=Positive(MAX_LOGIN_RATE),
    default=50.0,
    metavar="N",
    help="How many bots log in in a second.  [default: 50]",
)
@click.option(
    "--yes-i-run-it",
    "is_mine",
    is_flag=True,
    help="The server is not on this machine, and it is mine to flood.",
)
@json_option
def bench(
    *,
    app: str,
    server: str | None,
    ca: str | None,
    certificate_file: str | None,
    config: str | None,
    connections: int,
    rate: float,
    seconds: float,
    messages: int | None,
    size: int,
    to: str,
    login_rate: float,
    is_mine: bool,
    is_json: bool,
) -> int:
    """Log bots in to a server, have them send messages to each other, and tell how long these took.

    It is for servers of one's own: one that is not on this machine is refused without
    --yes-i-run-it. Where the app needs tokens, its certificate is read as `token make` does. All
    bots are in this process, so that it may be what is slow. Exit codes: 0 all logged in, and every
    message came; 1 not so.
    """
    if not is_mine and not _is_here(server):
        raise click.UsageError(
            "That server is not on this machine, and is to be flooded by nobody but whoever runs"
            " it: if that is you, give --yes-i-run-it."
        )
    plan = Plan(
        connections=connections,
        rate=rate,
        messages=messages or max(1, int(rate * seconds)),
        size=size,
        login_rate=login_rate,
        in_channel=to == "channel",
    )
    account = Account(app=app, name="", server=server, ca=ca, token=None)
    token_of = _tokens(app, certificate_file, config)
    with hangup_ignored():
        bots = trio.run(_measure, account, plan, token_of, not is_json)
    if not bots.sessions and bots.first_refusal is not None:
        raise bots.first_refusal
    told = _outcome(bots)
    if is_json:
        say(as_json(told))
    else:
        _print(bots)
    return 0 if told["ok"] else FAILED


def _is_here(server: str | None) -> bool:
    """Is it a server of this machine, for certain?"""
    text = server or os.environ.get(SERVER_VARIABLE) or "127.0.0.1"
    try:
        host = urlsplit(text if "://" in text else f"//{text}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _tokens(app: str, file: str | None, config: str | None) -> Callable[[str], str]:
    """What makes the token of an account, which is none where no certificate is named."""
    if not (file or config or os.environ.get(CERTIFICATE_VARIABLE)):
        return lambda _: names.NO_TOKEN
    found = app_of(app, file, config)
    now = int(time.time())

    def token_of(account: str) -> str:
        expiry = now + TOKEN_SECONDS
        if found.allow_old_tokens:
            return tokens.make_token(app, found.certificate, account, expiry)
        claims = Claims(aud=app, sub=account, exp=expiry, iat=now, nbf=now, jti="", rights=ALL)
        return make_jwt(claims, found.certificate)

    return token_of


async def _measure(
    account: Account, plan: Plan, token_of: Callable[[str], str], shows: bool
) -> Bots:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            async with account.signal() as door:
                bots = Bots(door=door, plan=plan, token_of=token_of)
                nursery.start_soon(_stop_on_signal, signals, bots, nursery.cancel_scope)
                with _progress("logins", plan.connections, shows=shows) as tell:
                    await bots.log_in(tell)
                with _progress("messages", plan.messages, shows=shows) as tell:
                    await bots.talk(tell)
            nursery.cancel_scope.cancel()
    return bots


async def _stop_on_signal(
    signals: AsyncIterator[int], bots: Bots, everything: trio.CancelScope
) -> None:
    """At the first signal, tell what was measured until then; at the second, end at once."""
    await anext(signals)
    bots.stop()
    await anext(signals)
    everything.cancel()


@contextmanager
def _progress(what: str, total: int, *, shows: bool) -> Iterator[Callable[[int], object]]:
    """How far it is, on a terminal."""
    terminal = screen() if shows else None
    if terminal is None:
        yield lambda _: None
        return
    from rich import progress as bars  # noqa: PLC0415  only somebody at a terminal sees it

    with bars.Progress(console=terminal, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield partial(_update, progress, task, max(1, total // MAX_UPDATES))


def _update(progress: Progress, task: TaskID, step: int, done: int) -> None:
    if not done % step:
        progress.update(task, completed=done)


def _outcome(bots: Bots) -> dict[str, Any]:
    """What was measured, for programs."""
    seconds = bots.seconds or 1.0
    is_well = not (bots.refused_logins or bots.refused or bots.held_back or bots.missing)
    return {
        "ok": is_well and not bots.is_stopped,
        "connections": len(bots.sessions),
        "refused_logins": _by_code(bots.refused_logins),
        "seconds": round(bots.seconds, 3),
        "sent": bots.sent,
        "held_back": bots.held_back,
        "acknowledged": bots.acknowledged,
        "refused": _by_code(bots.refused),
        "delivered": bots.deliveries.count,
        "missing": bots.missing,
        "sent_per_second": round(bots.sent / seconds, 1),
        "delivered_per_second": round(bots.deliveries.count / seconds, 1),
        "login_ms": bots.logins.summary(),
        "answer_ms": bots.answers.summary(),
        "delivery_ms": bots.deliveries.summary(),
        "histogram": [
            {"to_ms": round(end * 1000, 3), "count": count} for end, count in bots.deliveries.bars()
        ],
    }


def _by_code(counts: Counter[int]) -> dict[str, int]:
    return {str(code): count for code, count in sorted(counts.items())}


def _print(bots: Bots) -> None:
    """What was measured, for people."""
    told = _outcome(bots)
    say(f"logins: {told['connections']}{_refused(bots.refused_logins)}, {_times(bots.logins)}")
    held = f", held back: {bots.held_back}" if bots.held_back else ""
    say(
        f"sent: {bots.sent} in {bots.seconds:.1f} s ({told['sent_per_second']:g}/s)"
        f"{_refused(bots.refused)}{held}, answered in {_times(bots.answers)}"
    )
    missing = f", missing: {bots.missing}" if bots.missing else ""
    say(
        f"delivered: {bots.deliveries.count} ({told['delivered_per_second']:g}/s){missing},"
        f" {_times(bots.deliveries)}"
    )
    bars = list(bots.deliveries.bars())
    most = max((count for _, count in bars), default=1)
    for end, count in bars:
        bar = "#" * max(bool(count), round(count / most * BAR_CHARS))
        say(f"{_shown(end):>8} {count:>9} {bar}".rstrip())


def _refused(counts: Counter[int]) -> str:
    """How many, and why: by the codes' names."""
    said = [f"{count} by {code} {ECode(code).name}" for code, count in sorted(counts.items())]
    return f", refused: {', '.join(said)}" if said else ""


def _times(histogram: Histogram) -> str:
    if not histogram.count:
        return "nothing to measure"
    parts = [f"p{percent} {_shown(histogram.at(percent))}" for percent in (50, 90, 99)]
    return f"{', '.join(parts)}, max {_shown(histogram.largest)}"


def _shown(seconds: float) -> str:
    """A time, in three digits."""
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1000:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"
