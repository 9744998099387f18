"""How each number is read of what was seen of a node.

Owns: what has to be put together for a metric. Must not know its name, or who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Final, TypeAlias

from signal_sdk.server.counts import Histogram
from signal_sdk.server.engine.base import Batches, Holdings, Measures, Trips
from signal_sdk.server.hooks.counts import HookCounts
from signal_sdk.server.metrics.sources import Seen
from signal_sdk.wire import call2, call_functions, functions
from signal_sdk.wire.arguments import Arguments

Value: TypeAlias = "float | Mapping[tuple[str, ...], float] | Histogram | None"
"""One number, or one for each combination of labels, or a histogram; None where it is not known."""
Labelled: TypeAlias = "dict[tuple[str, ...], float]"


def of_each_app(number: Callable[[Holdings], float | None]) -> Callable[[Seen], Value]:
    """What each app has: those that are configured by their ids, and all else without one."""

    def read(seen: Seen) -> Value:
        found: dict[tuple[str, ...], float | None] = {
            (app,): number(it) for app, it in seen.engine.apps.items()
        }
        known = {labels: value for labels, value in found.items() if value is not None}
        return _without_empty(known) if len(known) == len(found) else None

    return read


def _without_empty(found: Labelled) -> Labelled:
    """Of an app that is not configured there is mostly nothing."""
    if len(found) == 1 or found.get(("",)):
        return found
    return {labels: value for labels, value in found.items() if labels != ("",)}


def connections_of_apps(seen: Seen) -> Value:
    """Logged-in connections by app, where any is configured."""
    apps = seen.of.apps
    if not apps:
        return None
    found: Labelled = {(app,): 0.0 for app in ("", *apps)}
    for app, count in seen.of.hub.of_apps.items():
        found[(app if app in apps else "",)] += count
    return _without_empty(found)


def requests(seen: Seen) -> dict[str, int]:
    """How often each function was asked for."""
    tallies = seen.of.tallies
    found = {call2.Message.function: tallies.messages}
    for kind, count in tallies.requests.items():
        found[kind.function] = found.get(kind.function, 0) + count
    return found


def received(seen: Seen) -> Value:
    """Requests by what is said to whom."""
    asked = requests(seen)
    return {
        (kind,): sum(asked.get(name, 0) for name in {it.function for it in some})
        for kind, some in MESSAGES.items()
    }


MESSAGES: Final[Mapping[str, tuple[type[Arguments], ...]]] = {
    "account": (functions.UserSendMessage, functions.PushSendMessage),
    "channel": (functions.ChannelSendMessage,),
    "call": (
        call_functions.VoipInvite,
        call_functions.VoipInviteAck,
        call_functions.VoipInviteAccept,
        call_functions.VoipInviteRefuse,
        call_functions.VoipInviteBye,
        call_functions.VoipInviteMsg,
        call_functions.CallBye,
        call_functions.PstnInvite,
        call_functions.PstnDtmf,
    ),
}
"""Which functions say something to others."""


def logins(seen: Seen) -> Value:
    """Answers to logins, by kind and code."""
    return {
        ("resume" if is_resume else "login", str(int(ecode))): count
        for (is_resume, ecode), count in seen.of.tallies.logins.items()
    }


def refusals(seen: Seen) -> Value:
    """Requests that were refused, by function and code."""
    return {
        (function, str(int(ecode))): count
        for (function, ecode), count in seen.of.tallies.refused.items()
    }


def not_logged_in(seen: Seen) -> Value:
    """Open connections on which nobody is logged in."""
    # A login that was taken over may be counted until its connection has closed.
    return max(len(seen.of.acceptor) - len(seen.of.hub), 0)


def sent(seen: Seen) -> Value:
    """What was handed to clients, by kind."""
    hub, tallies = seen.of.hub, seen.of.tallies
    return {
        ("account",): hub.entries,
        ("account_polled",): tallies.polled,
        ("channel",): hub.events,
    }


def ends(seen: Seen) -> Value:
    """Calls that have ended, by why."""
    ended = seen.engine.ended
    if ended is None:
        return None
    return {(why,): count for why, count in ended.items()}


def info(seen: Seen) -> Value:
    """The release, and where state is."""
    engine = seen.engine
    kind = "redis" if engine.trips else "journal" if engine.batches else "memory"
    return {(version("signal-sdk"), kind): 1}


def workers(seen: Seen) -> Value:
    """How many processes there are; not known where each core has one."""
    return seen.of.config.server.workers or None


def of_journal(read: Callable[[Batches], Value]) -> Callable[[Seen], Value]:
    """What a journal says, where there is one."""
    return lambda seen: None if (it := seen.engine.batches) is None else read(it)


def of_redis(read: Callable[[Measures, Trips], Value]) -> Callable[[Seen], Value]:
    """What is known of Redis, where state is there."""
    return lambda seen: None if (it := seen.engine.trips) is None else read(seen.engine, it)


def of_hooks(read: Callable[[HookCounts], Value]) -> Callable[[Seen], Value]:
    """What hooks count, where there are any."""
    return lambda seen: None if (it := seen.of.hooks) is None else read(it)


def oldest_event(seen: Seen) -> Value:
    """The age of the eldest event that waits for a backend."""
    hooks = seen.of.hooks
    if hooks is None:
        return None
    return max(seen.of.clock() - hooks.oldest / 1000, 0.0) if hooks.oldest else 0


def connections(seen: Seen) -> Value:
    """Logged-in connections by wire and device."""
    return {(wire, device): count for (wire, device), count in seen.of.hub.of_kinds.items()}
