"""The trace of a `Signal`: what its sessions and the server have said to each other, as sequence
diagrams that people read and put into bug reports.

Owns: what is told of each request, answer and event, and the diagrams (Mermaid, in a Markdown
file). Must not know a connection, or whether anything is right. It is never handed a token or a
`line`; texts of users only where they are asked for.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import trio

from signal_sdk.client.log import warn
from signal_sdk.client.request import CallRequest, MessageRequest, Request
from signal_sdk.errors import ProtocolError
from signal_sdk.printable import one_line
from signal_sdk.wire import call_functions, events, names
from signal_sdk.wire.lines import MessageLine
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.properties import Properties, is_binary, size_of_bytes

__all__ = ["FIRST_LINES", "LAST_LINES", "SessionTrace", "Trace"]

FIRST_LINES: Final = 500
LAST_LINES: Final = 1500
"""How many lines of a diagram are kept, from its beginning and its end; what was between them is
said to be missing."""
CALLS: Final = 100
"""Of how many calls of a session there is a diagram: the latest."""
TEXT_CHARS: Final = 80
"""How much of a text is shown."""
_ENTITIES: Final = str.maketrans({";": "#59;", "#": "#35;", "<": "#lt;", ">": "#gt;"})
"""What Mermaid would take for its own."""
_PEER_FIELDS: Final = ("peer", "account", "channel", "name")
_TEXT_FIELDS: Final = ("content", "msg", "value", "extra", "digits")

TraceFile: TypeAlias = "str | os.PathLike[str]"
"""Where a trace is written."""
_CallKey: TypeAlias = "tuple[str, str]"


def _plain(text: str) -> str:
    """A foreign text as Mermaid shows it: one line, and nothing of its syntax."""
    shown = text if len(text) <= TEXT_CHARS else f"{text[:TEXT_CHARS]}…"
    return one_line(shown).translate(_ENTITIES)


class Diagram:
    """One diagram between an account and the server, of which not too much is kept."""

    def __init__(self, title: str, account: str) -> None:
        self.title = title
        self._account = account
        self._first: list[str] = []
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._dropped = 0

    def add(self, line: str) -> None:
        """Add a line."""
        if len(self._first) < FIRST_LINES:
            self._first.append(line)
            return
        self._dropped += len(self._last) == LAST_LINES
        self._last.append(line)

    def lines(self) -> Iterator[str]:
        """The diagram as Markdown."""
        yield f"## {self.title}"
        yield ""
        yield "```mermaid"
        yield "sequenceDiagram"
        yield f"    participant a as {_plain(self._account)}"
        yield "    participant s as server"
        yield from self._first
        if self._dropped:
            yield f"    Note over a,s: {self._dropped} lines are left out here"
        yield from self._last
        yield "```"
        yield ""


class SessionTrace:
    """The diagrams of one session: its own, and one of each call."""

    def __init__(self, account: str, *, began_at: float, with_texts: bool) -> None:
        self._account = account
        self._began_at = began_at
        self._with_texts = with_texts
        self._session = Diagram(f"Session of {_plain(account)}", account)
        self._calls: deque[Diagram] = deque(maxlen=CALLS)
        self._live: dict[_CallKey, Diagram] = {}
        self._asked: dict[int, Diagram] = {}
        """Which call's diagram has a request that was not answered yet."""

    # --- what happens ---

    def sent(self, callid: int, request: Request[Any]) -> None:
        """A request goes out."""
        what = _plain(request.what)
        diagram = None
        if isinstance(request, MessageRequest):
            what += f" to {_plain(request.peer)}, {self._said(request.content)}"
        elif isinstance(request, CallRequest):
            what += self._about(request.args)
            diagram = self._call_of_request(request.args)
        self._add("a->>s", f"{what} ({callid})", diagram)
        if diagram is not None:
            self._asked[callid] = diagram

    def answered(self, callid: int, what: str, outcome: str) -> None:
        """A request was answered, or is given up: `outcome` is `ok`, or a code's name."""
        diagram = self._asked.pop(callid, None)
        self._add("s-->>a", f"{_plain(what)} ({callid}): {outcome}", diagram)

    def entry(self, version: int, line: MessageLine) -> None:
        """An inbox entry has come."""
        what = f"entry {version}: {_plain(line.type)} of {_plain(line.src)}"
        diagram = None
        if line.type == events.INSTANT:
            what += f", {self._said(line.content, line.properties)}"
        else:
            diagram = self._call_of_entry(line)
        self._add("s->>a", what, diagram)

    def event(self, event: events.ChannelEvent) -> None:
        """A channel's event has come."""
        kind = type(event.content).__name__.removeprefix("Channel")
        what = f"{_plain(event.channel)} {event.msgid}: {kind} of {_plain(event.content.account)}"
        if isinstance(event.content, events.ChannelMessage):
            what += f", {self._said(event.content.msg, event.content.properties)}"
        self._add("s->>a", what)

    def note(self, text: str) -> None:
        """Something has become of the session or its connection."""
        self._add("Note over a", _plain(text))

    # --- how it is told ---

    def _add(self, arrow: str, text: str, call: Diagram | None = None) -> None:
        line = f"    {arrow}: +{trio.current_time() - self._began_at:.3f} s {text}"
        self._session.add(line)
        if call is not None:
            call.add(line)

    def _said(self, text: JsonValue, properties: Properties | None = None) -> str:
        shown = names.json_text(text)
        if is_binary(properties):
            return f"{size_of_bytes(shown)} bytes"
        if self._with_texts:
            return f"“{_plain(shown)}”"
        return f"{len(shown)} characters"

    def _about(self, args: object) -> str:
        told = ""
        for field in _PEER_FIELDS:
            value = getattr(args, field, None)
            if isinstance(value, str):
                told += f" {field} {_plain(value)}"
        for field in _TEXT_FIELDS:
            value = getattr(args, field, "")
            if value != "":
                told += f", {self._said(value, getattr(args, 'properties', None))}"
        return told

    # --- calls ---

    def _call_of_request(self, args: object) -> Diagram | None:
        if not isinstance(args, call_functions.CallArguments):
            return None
        return self._call(
            (args.channel, args.peer), begins=isinstance(args, call_functions.VoipInvite)
        )

    def _call_of_entry(self, line: MessageLine) -> Diagram | None:
        try:
            content = events.decode_call_content(line)
        except ProtocolError:
            return None
        key = content.channel, content.peer
        return self._call(key, begins=line.type == events.VOIP_INVITE)

    def _call(self, key: _CallKey, *, begins: bool) -> Diagram:
        if begins or key not in self._live:
            channel, peer = map(_plain, key)
            title = f"Call of {_plain(self._account)} with {peer} about {channel}"
            self._live[key] = diagram = Diagram(title, self._account)
            self._calls.append(diagram)
            while len(self._live) > CALLS:
                del self._live[next(iter(self._live))]
        return self._live[key]

    def lines(self) -> Iterator[str]:
        """All of it, as Markdown."""
        for diagram in (self._session, *self._calls):
            yield from diagram.lines()


class Trace:
    """The trace of one `Signal`, written to `file` when that ends. Raises `OSError` where the file
    cannot be written.
    """

    SESSIONS: Final = 100
    """Of how many sessions there are diagrams: the latest."""

    def __init__(self, file: TraceFile, *, with_texts: bool) -> None:
        self._path = Path(file)
        self._with_texts = with_texts
        self._sessions: deque[SessionTrace] = deque(maxlen=self.SESSIONS)
        # What cannot be written is told before anything happens.
        self._path.write_text("", encoding="utf-8")

    def session(self, account: str) -> SessionTrace:
        """There is another session."""
        began_at = trio.current_time()
        trace = SessionTrace(account, began_at=began_at, with_texts=self._with_texts)
        self._sessions.append(trace)
        return trace

    def write(self) -> None:
        """Write all that has happened. Where that fails, the log says so: a program must not end by
        it.
        """
        lines = [line for session in self._sessions for line in session.lines()]
        try:
            self._path.write_text("\n".join(lines), encoding="utf-8", errors="backslashreplace")
        except OSError as exc:
            warn("the trace was not written to %s: %s", self._path, exc.strerror or exc)
