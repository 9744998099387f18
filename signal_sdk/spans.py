"""Spans: what becomes of a message, told to OpenTelemetry by a program that uses that.

Owns: all that the package knows of OpenTelemetry, which is its API: what a span is called, which
attributes it has (docs/tracing.md), and how a trace's context becomes a message's properties and
comes out of them. Must not know who sends or receives, nor see what a message says. The diagrams of
`Signal(…, trace=…)` are another thing: client/trace.py makes those.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from signal_sdk.errors import SignalError
from signal_sdk.extras import needs_extra
from signal_sdk.raised import text_of, type_name
from signal_sdk.wire import call_functions, events, functions, names
from signal_sdk.wire.arguments import Arguments
from signal_sdk.wire.lines import MessageLine
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.properties import Properties, is_binary, size_of_bytes

if TYPE_CHECKING:
    from opentelemetry import trace as otel

__all__ = ["NO_API", "About", "Kind", "Span", "Spans", "Step", "spans_in_use"]

API: Final = "opentelemetry.trace"
SYSTEM: Final = "signal_sdk"
"""What `messaging.system` is, and the tracer's name."""
Warn: TypeAlias = Callable[..., None]
"""Logs a line: its text, and what is put into that."""
NO_API: Final = needs_extra("tracing", "otel")


class Step(enum.Enum):
    """What is done with a message: the first word of its span's name."""

    SEND = "send"
    ACCEPT = "accept"
    DELIVER = "deliver"
    PROCESS = "process"


class Kind(enum.Enum):
    """What a message is: the second word."""

    ACCOUNT = "account"
    CHANNEL = "channel"
    INVITATION = "invitation"


_OPERATION_TYPES: Final = {Step.SEND: "send", Step.PROCESS: "process"}
"""What the messaging conventions have a word for; a server's own steps they have not."""


class About(msgspec.Struct, frozen=True, gc=False):
    """Which message a span is about: the account or the channel that it is for, its id (empty where
    that is not known), and how many bytes it has.
    """

    kind: Kind
    destination: str
    message_id: str = ""
    size: int = 0

    @classmethod
    def of_request(cls, args: Arguments) -> About | None:
        """What a request sends; None where it sends no message."""
        match args:
            case functions.UserSendMessage(peer=peer, message_id=message_id, content=content):
                return cls(Kind.ACCOUNT, peer, message_id, _size(content, args.properties))
            case functions.ChannelSendMessage(channel=name, message_id=message_id, msg=msg):
                return cls(Kind.CHANNEL, name, message_id, _size(msg, args.properties))
            case call_functions.VoipInvite(peer=peer, call_id=call_id, extra=extra):
                return cls(Kind.INVITATION, peer, call_id, _size(extra))
        return None

    @classmethod
    def of_line(cls, line: MessageLine) -> About | None:
        """What an inbox entry brings; None where that is no message."""
        kind = _ENTRY_KINDS.get(line.type)
        if kind is None:
            return None
        return cls(kind, line.dst, line.msg_id or "", _size(line.content, line.properties))

    @classmethod
    def of_message(cls, message: events.ChannelMessage) -> About:
        """What a channel brings."""
        return cls(Kind.CHANNEL, message.channel, message.id, message.size)


_ENTRY_KINDS: Final = {events.INSTANT: Kind.ACCOUNT, events.VOIP_INVITE: Kind.INVITATION}


def _size(content: JsonValue, properties: Properties | None = None) -> int:
    text = names.json_text(content)
    return size_of_bytes(text) if is_binary(properties) else len(text.encode())


class Span:
    """One step of a message, from `Spans.start` to `end`."""

    def __init__(self, span: otel.Span, failed: Callable[[Exception], None]) -> None:
        self._span = span
        self._failed = failed

    @property
    def properties(self) -> Properties | None:
        """What the message has to carry for its next step to belong to this one; None where nobody
        would hear of that.
        """
        from opentelemetry.trace import set_span_in_context  # noqa: PLC0415  as in `spans_in_use`
        from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415

        carrier: dict[str, str] = {}
        propagator = tracecontext.TraceContextTextMapPropagator()
        propagator.inject(carrier, set_span_in_context(self._span))
        if "traceparent" not in carrier:
            return None
        return Properties(
            traceparent=carrier["traceparent"], tracestate=carrier.get("tracestate", "")
        )

    def current(self) -> AbstractContextManager[object]:
        """Within it, spans that the program begins are below this one."""
        from opentelemetry.trace import use_span  # noqa: PLC0415

        # What is raised may quote what a user has said: of that no span tells.
        return use_span(self._span, record_exception=False, set_status_on_exception=False)

    def end(self, error: BaseException | None = None) -> None:
        """The step is done, or has failed. Of an error its code is told, or its type."""
        if error is not None:
            from opentelemetry.trace import StatusCode  # noqa: PLC0415

            name = error.ecode.name if isinstance(error, SignalError) else type_name(error)
            self._span.set_attribute("error.type", name)
            self._span.set_status(StatusCode.ERROR)
        try:
            self._span.end()
        except Exception as exc:  # noqa: BLE001  a processor's, which is anybody's code
            self._failed(exc)


class Spans:
    """Where spans go: the tracer of one who sends, receives or serves. What that raises (a sampler,
    a processor) is told by `warn`, once: no message is lost by it.
    """

    def __init__(self, tracer: otel.Tracer, warn: Warn) -> None:
        self._tracer = tracer
        self._warn = warn
        self._has_failed = False

    def start(self, step: Step, about: About, parent: Properties | None = None) -> Span:
        """Begin a step: below the one that `parent` carries, else below what the program is in the
        midst of.
        """
        from opentelemetry.trace import INVALID_SPAN, SpanKind  # noqa: PLC0415
        from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415

        kinds = {
            Step.SEND: SpanKind.PRODUCER,
            Step.ACCEPT: SpanKind.SERVER,
            Step.DELIVER: SpanKind.INTERNAL,
            Step.PROCESS: SpanKind.CONSUMER,
        }
        attributes: dict[str, str | int] = {
            "messaging.system": SYSTEM,
            "messaging.operation.name": step.value,
            "messaging.destination.name": about.destination,
            "messaging.message.body.size": about.size,
        }
        if step in _OPERATION_TYPES:
            attributes["messaging.operation.type"] = _OPERATION_TYPES[step]
        if about.message_id:
            attributes["messaging.message.id"] = about.message_id
        context = None
        if parent is not None:
            carrier = {"traceparent": parent.traceparent, "tracestate": parent.tracestate}
            context = tracecontext.TraceContextTextMapPropagator().extract(carrier)
        try:
            span = self._tracer.start_span(
                f"{step.value} {about.kind.value}",
                context=context,
                kind=kinds[step],
                attributes=attributes,
            )
        except Exception as exc:  # noqa: BLE001  as above
            self._failed(exc)
            span = INVALID_SPAN
        return Span(span, self._failed)

    def _failed(self, exc: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            self._warn("a span was not told: %s: %s", type_name(exc), text_of(exc))


def spans_in_use(warn: Warn, *, is_asked: bool = False) -> Spans | None:
    """Where this process's spans go; None where it has set no tracer provider, which whoever wants
    spans does first. Unless it is `asked` for, the API is not imported where nobody else has done
    so. `warn` hears what goes wrong with them. Raises `ImportError` where it is asked for, and not
    installed.
    """
    if not is_asked and API not in sys.modules:
        return None
    from opentelemetry import trace  # noqa: PLC0415  an extra, and not quick to import

    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return None
    return Spans(provider.get_tracer(SYSTEM), warn)
