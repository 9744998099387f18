"""Events as lines: what `signal-sdk listen` prints, for people and for programs.

Owns: the names of the events, and how they look. Must not know where they come from or go to.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from signal_sdk.printable import one_line

__all__ = ["EVENTS", "Event", "as_json", "as_text", "json_option"]

Event = Mapping[str, Any]
"""`event`, its name; `ts`, when it was, in Unix milliseconds; and what the name asks for."""

EVENTS: Final[Mapping[str, str]] = {
    "login": "logged in as {account}",
    "logout": "logged out: {reason} ({ecode})",
    "reconnecting": "the connection is lost: try {attempt}",
    "reconnected": "connected again",
    "message": "{account}: {msg}",
    "bytes": "{account}: {size} bytes",
    "invitation": "{account} calls about {channel} {extra}",
    "joined": "[{channel}] joined",
    "left": "[{channel}] left ({ecode})",
    "users": "[{channel}] here are: {accounts}",
    "user_joined": "[{channel}] {account} has joined",
    "user_left": "[{channel}] {account} has left",
    "attribute": "[{channel}] attribute {name} ({type}): {value}",
    "channel_message": "[{channel}] {account}: {msg}",
    "channel_bytes": "[{channel}] {account}: {size} bytes",
    "online": "{account} is online",
    "offline": "{account} is offline",
    "join": "{account} has joined {channel}",
    "leave": "{account} has left {channel}",
    "joining": "joining {channel}",
    "sent": "to {to}: {msg}",
    "bytes_sent": "to {to}: {size} bytes",
    "channel_sent": "[{channel}] to all: {msg}",
    "channel_bytes_sent": "[{channel}] to all: {size} bytes",
    "calling": "calling {account} about {channel}",
    "ringing": "{account} is told that it rings",
    "accepted": "{account} has accepted {extra}",
    "answered": "the call of {account} about {channel} is accepted",
    "refused": "{account} has refused {extra}",
    "failed": "the call has failed: {reason} ({ecode})",
    "ended": "{by} has ended the call {extra}",
    "dtmf": "{account} dials {digits}",
    "dialled": "dialled {digits}",
    "call_message": "{account} says within the call: {extra}",
    "error": "error: {reason} ({ecode})",
}
"""How each event reads."""


json_option: Final = click.option(
    "--json", "is_json", is_flag=True, help="Print it as one JSON object."
)
"""The flag of commands that print one thing."""


def as_json(event: Event) -> str:
    """The event as one JSON object on one line."""
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    # Whatever is not printable stands in a string, where an escape means the same.
    return _replaced(text, lambda char: json.dumps(char)[1:-1])


def as_text(event: Event) -> str:
    """The event as one line to read, with the local time."""
    clock = time.strftime("%H:%M:%S", time.localtime(event["ts"] / 1000))
    template = EVENTS.get(event["event"])
    if template is None:
        # A newer server's special channel may tell what this release has no words for.
        text = " ".join(f"{name}={value}" for name, value in event.items() if name != "ts")
    else:
        text = template.format_map({name: _shown(value) for name, value in event.items()}).rstrip()
    return f"{clock} {one_line(text)}"


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _replaced(text: str, escape: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else escape(char) for char in text)
