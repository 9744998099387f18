"""The server's spans: a message that is accepted, and one that is delivered.

Owns: which of them have spans, and from when to when. Must not know OpenTelemetry, which
`signal_sdk/spans.py` does. A node that has none of this made knows nothing of it: its rules and its
hub are then as they are without.

Only a message that carries its sender's trace has spans here: whether there is a trace, and how
many are looked at, whoever sends decides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs

from signal_sdk.errors import ConfigError, ProtocolError, SignalError
from signal_sdk.net.reactor import Reactor
from signal_sdk.server.config import ServerConfig
from signal_sdk.server.engine.base import AccountKey, Answer, Asked, ChannelKey, Engine, Pending
from signal_sdk.server.engine.pending import after
from signal_sdk.server.functions import Change, Handlers
from signal_sdk.server.hub import Hub
from signal_sdk.server.inbox import Polled
from signal_sdk.server.session import Session
from signal_sdk.spans import NO_API, About, Span, Spans, Step, spans_in_use
from signal_sdk.wire import call_functions, events, functions, lines
from signal_sdk.wire.properties import NONE, SEPARATOR

__all__ = ["TracedHub", "hub_and_spans", "traced"]

logger: logging.Logger = logging.getLogger("signal_sdk.server")

NO_PROVIDER = (
    "[server] tracing: this process has set no tracer provider, so that there are no spans; "
    "`opentelemetry-instrument signal-sdk serve …` sets one"
)
MESSAGES = (functions.UserSendMessage, functions.ChannelSendMessage, call_functions.VoipInvite)
"""What has properties."""


def _spans_of(config: ServerConfig) -> Spans | None:
    if not config.tracing:
        return None
    try:
        spans = spans_in_use(logger.warning, is_asked=True)
    except ImportError:
        raise ConfigError(f"[server] tracing: {NO_API}") from None
    if spans is None:
        logger.warning(NO_PROVIDER)
    return spans


def traced(handlers: Handlers, spans: Spans, engine: Engine) -> Handlers:
    """The same rules, with spans of what they accept and of what is polled."""
    changes, questions = dict(handlers.changes), dict(handlers.questions)
    for kind in MESSAGES:
        changes[kind] = partial(_accept, spans, engine, changes[kind])
    read = questions[functions.UserGetMessages]

    def polled(session: Session, args: Any) -> Answer[Any]:
        return after(read(session, args), partial(_polled, spans))

    questions[functions.UserGetMessages] = polled
    return attrs.evolve(handlers, changes=changes, questions=questions)


def _accept(
    spans: Spans, engine: Engine, change: Change, session: Session, args: Any, asked: Asked
) -> Answer[Any]:
    about = About.of_request(args)
    if about is None or args.properties is None or not args.properties.traceparent:
        return change(session, args, asked)
    span = spans.start(Step.ACCEPT, about, args.properties)
    try:
        result = change(session, args, asked)
    except SignalError as exc:
        span.end(exc)
        raise
    if isinstance(result, Pending):
        result.when_done(partial(_done, span, engine, args, result))
    else:
        _accepted(span, engine, args)
    return result


def _done(span: Span, engine: Engine, args: Any, result: Pending[Any]) -> None:
    try:
        result.result()
    except SignalError as exc:
        span.end(exc)
    else:
        _accepted(span, engine, args)


def _accepted(span: Span, engine: Engine, args: Any) -> None:
    """It ends where it is acknowledged: what is in an inbox, when that is durable."""
    if isinstance(args, functions.ChannelSendMessage):
        span.end()
    else:
        engine.when_durable(span.end)


def _polled(spans: Spans, found: Polled) -> Polled:
    for _, line in found.page.msgs:
        _deliver(spans, line, _nothing)
    return found


def _deliver(spans: Spans, line: str, deliver: Callable[[], None]) -> None:
    """Deliver an entry, within a span where it carries a trace."""
    message: lines.MessageLine | None = None
    if SEPARATOR in line:
        try:
            message = lines.decode(line)
        except ProtocolError as exc:
            logger.debug("an entry that cannot be read has no span: %s", exc)
    about = About.of_line(message) if message is not None else None
    if message is None or about is None or not (message.properties or NONE).traceparent:
        deliver()
        return
    span = spans.start(Step.DELIVER, about, message.properties)
    deliver()
    span.end()


def _nothing() -> None:
    """It has been delivered."""


class TracedHub(Hub):
    """A hub that makes spans of what it hands to clients."""

    def __init__(self, spans: Spans, reactor: Reactor) -> None:
        super().__init__(reactor)
        self._spans = spans

    def deliver_entry(self, key: AccountKey, version: int, line: str) -> None:
        """As `Delivery` has it."""
        deliver = partial(super().deliver_entry, key, version, line)
        if self.find(key) is None:
            deliver()
        else:
            _deliver(self._spans, line, deliver)

    def deliver_event(
        self, key: ChannelKey, msgid: int, content: events.ChannelContent, time_ms: int
    ) -> None:
        """As `Delivery` has it: one span, however many hear of it."""
        deliver = partial(super().deliver_event, key, msgid, content, time_ms)
        if (
            not isinstance(content, events.ChannelMessage)
            or content.properties is None
            or not content.properties.traceparent
            or not self.is_heard(key)
        ):
            deliver()
            return
        span = self._spans.start(Step.DELIVER, About.of_message(content), content.properties)
        deliver()
        span.end()


def hub_and_spans(config: ServerConfig, reactor: Reactor) -> tuple[Hub, Spans | None]:
    """A node's hub, and where its spans go, where it is to have some. Raises `ConfigError` where
    the API is not there.
    """
    spans = _spans_of(config)
    return (Hub(reactor) if spans is None else TracedHub(spans, reactor)), spans
