"""The metrics of a node's clients: who is connected, and what is said.

Owns: these names and what they mean. Must not know how a number is read (readings.py does).
"""

from __future__ import annotations

from typing import Final

from signal_sdk.server.metrics import readings
from signal_sdk.server.metrics.metric import APP, COUNTER, GAUGE, Metric, metric

METRICS: Final[tuple[Metric, ...]] = (
    metric(
        GAUGE,
        "info",
        "1; the labels say which release it is, and where its state is: `memory`, `journal` or "
        "`redis`.",
        readings.info,
        "version",
        "state",
    ),
    metric(
        GAUGE,
        "ready",
        "1 where clients are let in, as `/readyz` says; 0 where the server goes away, its state "
        "cannot be changed, or memory is short.",
        lambda seen: int(not seen.of.acceptor.admission.why_not_ready()),
    ),
    metric(
        GAUGE,
        "workers",
        "Processes that serve on the same ports, this one included; each has metrics of its own.",
        readings.workers,
    ),
    # --- who is connected
    metric(
        GAUGE,
        "connections",
        "Connections on which somebody is logged in: by `wire` (`websocket`, `native`), and by "
        "what the client says it is (`websdk`; `javasdk`, which our SDK says, too; `none`, which "
        "native ones say; `other`).",
        readings.connections,
        "wire",
        "device",
    ),
    metric(
        GAUGE,
        "app_connections",
        "The same by app, where `[[apps]]` are configured.",
        readings.connections_of_apps,
        APP,
    ),
    metric(
        GAUGE,
        "connections_not_logged_in",
        "Open connections on which nobody is logged in: a handshake or a login is on its way, or "
        "somebody only holds them.",
        readings.not_logged_in,
    ),
    metric(
        GAUGE,
        "connections_max",
        "`max_connections`, beyond which nobody is let in; left out where there is no limit.",
        lambda seen: seen.of.config.limits.max_connections or None,
    ),
    metric(
        COUNTER,
        "connections_opened_total",
        "Connections whose handshake was done, by `wire`.",
        lambda seen: {(wire,): count for wire, count in seen.of.tallies.opened.items()},
        "wire",
    ),
    metric(
        COUNTER,
        "logins_total",
        'Answers to logins (`kind="login"`) and to those who come back to a session '
        '(`kind="resume"`), by their error code; 0 is success.',
        readings.logins,
        "kind",
        "code",
    ),
    # --- what is said
    metric(
        COUNTER,
        "requests_total",
        "Requests that could be read, by function, also those that were refused then.",
        lambda seen: {(function,): count for function, count in readings.requests(seen).items()},
        "function",
    ),
    metric(
        COUNTER,
        "refusals_total",
        "Requests that were answered with an error, by function and error code; of some the "
        "function is not known.",
        readings.refusals,
        "function",
        "code",
    ),
    metric(
        COUNTER,
        "limits_hit_total",
        "How often somebody was refused something, or sent away, over each key of `[limits]`.",
        lambda seen: {(limit,): count for limit, count in seen.of.refusals.items()},
        "limit",
    ),
    metric(
        COUNTER,
        "messages_received_total",
        "Of these requests, those that say something to others: to an `account`, to a `channel`, "
        "or a step of a `call`.",
        readings.received,
        "kind",
    ),
    metric(
        COUNTER,
        "messages_sent_total",
        "What was handed to clients: inbox entries to an `account` that is connected here, those "
        "that one has asked for (`account_polled`), and events of a `channel`, each once however "
        "many hear it here.",
        readings.sent,
        "kind",
    ),
    metric(
        COUNTER,
        "deliveries_total",
        "How often an event of a channel was handed to somebody: by how much it is more than the "
        "events is the fan-out.",
        lambda seen: seen.of.hub.deliveries,
    ),
    metric(
        COUNTER,
        "received_bytes_total",
        "Bytes that came in on clients' sockets, those of TLS encrypted.",
        lambda seen: seen.of.reactor.traffic.received,
    ),
    metric(
        COUNTER,
        "sent_bytes_total",
        "Bytes that went out there.",
        lambda seen: seen.of.reactor.traffic.sent,
    ),
    metric(
        GAUGE,
        "outbox_bytes",
        "Bytes that wait to be sent.",
        lambda seen: seen.of.reactor.flusher.waiting_bytes,
    ),
    metric(
        GAUGE,
        "slow_readers",
        "Connections for which more waits than their sockets take at once. Those over "
        "`outbox_bytes` are closed, which `signal_sdk_limits_hit_total` counts.",
        lambda seen: seen.of.reactor.flusher.slow,
    ),
)
"""All of these."""
