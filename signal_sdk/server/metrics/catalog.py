"""Every metric: its name, its labels, what it means, and where its number is.

Owns: the list, which docs/monitoring.md prints (`python -m signal_sdk.server.metrics.catalog`).
Must not know how a number is written for whoever asks. No account, channel or token is a label: an
app is one where it is configured, and of what clients say only what is well known.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

import attrs

from signal_sdk.server.memory import resident_bytes
from signal_sdk.server.metrics import process, readings
from signal_sdk.server.metrics.readings import Value
from signal_sdk.server.metrics.sources import Seen

__all__ = ["METRICS", "Metric", "table"]

PREFIX: Final = "signal_sdk_"
COUNTER: Final = "counter"
GAUGE: Final = "gauge"
HISTOGRAM: Final = "histogram"


@attrs.frozen
class Metric:
    """One metric. `read` has its value of what was seen; None of what prometheus-client's own
    collector tells.
    """

    name: str
    """With the suffix that its samples have; those of a histogram have more."""
    kind: str
    doc: str
    read: Callable[[Seen], Value] | None
    labels: tuple[str, ...] = ()


# --- the list ---


def _metric(kind: str, name: str, doc: str, read: Callable[[Seen], Value], *labels: str) -> Metric:
    return Metric(PREFIX + name, kind, doc, read, labels)


APP: Final = "app"
SHARED: Final = "On Redis it is the whole system's, the same on each node."
METRICS: Final[tuple[Metric, ...]] = (
    _metric(
        GAUGE,
        "info",
        "1; the labels say which release it is, and where its state is: `memory`, `journal` or "
        "`redis`.",
        readings.info,
        "version",
        "state",
    ),
    _metric(
        GAUGE,
        "ready",
        "1 where clients are let in, as `/readyz` says; 0 where the server goes away, its state "
        "cannot be changed, or memory is short.",
        lambda seen: int(not seen.of.acceptor.why_not_ready()),
    ),
    _metric(
        GAUGE,
        "workers",
        "Processes that serve on the same ports, this one included; each has metrics of its own.",
        readings.workers,
    ),
    # --- who is connected
    _metric(
        GAUGE,
        "connections",
        "Connections on which somebody is logged in: by `wire` (`websocket`, `native`), and by "
        "what the client says it is (`websdk`; `javasdk`, which our SDK says, too; `none`, which "
        "native ones say; `other`).",
        readings.connections,
        "wire",
        "device",
    ),
    _metric(
        GAUGE,
        "app_connections",
        "The same by app, where `[[apps]]` are configured.",
        readings.connections_of_apps,
        APP,
    ),
    _metric(
        GAUGE,
        "connections_not_logged_in",
        "Open connections on which nobody is logged in: a handshake or a login is on its way, or "
        "somebody only holds them.",
        readings.not_logged_in,
    ),
    _metric(
        GAUGE,
        "connections_max",
        "`max_connections`, beyond which nobody is let in; left out where there is no limit.",
        lambda seen: seen.of.config.limits.max_connections or None,
    ),
    _metric(
        COUNTER,
        "connections_opened_total",
        "Connections whose handshake was done, by `wire`.",
        lambda seen: {(wire,): count for wire, count in seen.of.tallies.opened.items()},
        "wire",
    ),
    _metric(
        COUNTER,
        "logins_total",
        'Answers to logins (`kind="login"`) and to those who come back to a session '
        '(`kind="resume"`), by their error code; 0 is success.',
        readings.logins,
        "kind",
        "code",
    ),
    # --- what is said
    _metric(
        COUNTER,
        "requests_total",
        "Requests that could be read, by function, also those that were refused then.",
        lambda seen: {(function,): count for function, count in readings.requests(seen).items()},
        "function",
    ),
    _metric(
        COUNTER,
        "refusals_total",
        "Requests that were answered with an error, by function and error code; of some the "
        "function is not known.",
        readings.refusals,
        "function",
        "code",
    ),
    _metric(
        COUNTER,
        "limits_hit_total",
        "How often somebody was refused something, or sent away, over each key of `[limits]`.",
        lambda seen: {(limit,): count for limit, count in seen.of.refusals.items()},
        "limit",
    ),
    _metric(
        COUNTER,
        "messages_received_total",
        "Of these requests, those that say something to others: to an `account`, to a `channel`, "
        "or a step of a `call`.",
        readings.received,
        "kind",
    ),
    _metric(
        COUNTER,
        "messages_sent_total",
        "What was handed to clients: inbox entries to an `account` that is connected here, those "
        "that one has asked for (`account_polled`), and events of a `channel`, each once however "
        "many hear it here.",
        readings.sent,
        "kind",
    ),
    _metric(
        COUNTER,
        "deliveries_total",
        "How often an event of a channel was handed to somebody: by how much it is more than the "
        "events is the fan-out.",
        lambda seen: seen.of.hub.deliveries,
    ),
    _metric(
        COUNTER,
        "received_bytes_total",
        "Bytes that came in on clients' sockets, those of TLS encrypted.",
        lambda seen: seen.of.reactor.traffic.received,
    ),
    _metric(
        COUNTER,
        "sent_bytes_total",
        "Bytes that went out there.",
        lambda seen: seen.of.reactor.traffic.sent,
    ),
    _metric(
        GAUGE,
        "outbox_bytes",
        "Bytes that wait to be sent.",
        lambda seen: seen.of.reactor.flusher.waiting_bytes,
    ),
    _metric(
        GAUGE,
        "slow_readers",
        "Connections for which more waits than their sockets take at once. Those over "
        "`outbox_bytes` are closed, which `signal_sdk_limits_hit_total` counts.",
        lambda seen: seen.of.reactor.flusher.slow,
    ),
    # --- what there is
    _metric(
        GAUGE,
        "accounts",
        f"Accounts of which anything is kept. {SHARED}",
        readings.of_each_app(lambda it: it.accounts),
        APP,
    ),
    _metric(
        GAUGE,
        "accounts_online",
        "Accounts that are online, also while they have lost their connection and may come back. "
        + SHARED,
        readings.of_each_app(lambda it: it.online),
        APP,
    ),
    _metric(
        GAUGE, "channels", f"Channels. {SHARED}", readings.of_each_app(lambda it: it.channels), APP
    ),
    _metric(
        GAUGE,
        "channel_members",
        "Members of all channels together. Not known on Redis.",
        readings.of_each_app(lambda it: it.members),
        APP,
    ),
    _metric(
        GAUGE,
        "inbox_entries",
        "Entries that wait in inboxes. Not known on Redis.",
        readings.of_each_app(lambda it: it.entries),
        APP,
    ),
    _metric(
        GAUGE,
        "kept_bytes",
        "Bytes of the entries and attributes that are kept, which `app_bytes` bounds. Not known on "
        "Redis.",
        readings.of_each_app(lambda it: it.bytes),
        APP,
    ),
    _metric(
        GAUGE,
        "inbox_oldest_entry_seconds",
        "Age of the eldest inbox entry, as the last look at all inboxes has found it; 0 where none "
        "waits. Not known on Redis.",
        lambda seen: seen.engine.oldest_seconds,
    ),
    _metric(
        GAUGE,
        "calls",
        f"Live calls, by `state`; all together on Redis. {SHARED}",
        lambda seen: {(state,): count for state, count in seen.engine.calls.items()},
        "state",
    ),
    _metric(
        COUNTER,
        "calls_started_total",
        "Invitations that were made. Not known on Redis, where the requests for `voip_invite` are.",
        lambda seen: seen.engine.invited,
    ),
    _metric(
        COUNTER,
        "calls_ended_total",
        "Calls that have ended: by a `bye`, `refused`, `unanswered`, since who was called was "
        "`offline`, since a side was `gone`, or by an `operator`. Not known on Redis.",
        readings.ends,
        "end",
    ),
    # --- the journal
    _metric(
        HISTOGRAM,
        "journal_batch_rows",
        "Rows of each batch that was written to the journal; how many batches that were is its "
        "count.",
        readings.of_journal(lambda it: it.rows),
    ),
    _metric(
        HISTOGRAM,
        "journal_durable_seconds",
        "Time from a batch's first change until it was written: what is acknowledged has waited no "
        "longer than that.",
        readings.of_journal(lambda it: it.seconds),
    ),
    _metric(
        COUNTER,
        "journal_failures_total",
        "How often a batch could not be written, and was kept to be tried again.",
        readings.of_journal(lambda it: it.failed),
    ),
    # --- Redis
    _metric(
        COUNTER,
        "redis_commands_total",
        "Commands that Redis has answered.",
        readings.of_redis(lambda _, trips: trips.answered),
    ),
    _metric(
        GAUGE,
        "redis_pending_commands",
        "What was asked of Redis and is not answered yet.",
        readings.of_redis(lambda seen, _: seen.asked),
    ),
    _metric(
        HISTOGRAM,
        "redis_round_trip_seconds",
        "Time from a command's write to its reply: of each server, of one command at a time.",
        readings.of_redis(lambda _, trips: trips.seconds),
    ),
    _metric(
        GAUGE,
        "redis_servers",
        "Redis servers in use, by whether this node has a connection there (`up`) or not (`down`).",
        readings.of_redis(lambda seen, _: {("up",): seen.up, ("down",): seen.down}),
        "state",
    ),
    # --- the process
    _metric(
        HISTOGRAM,
        "loop_lag_seconds",
        "By how much a task was woken later than it had asked for, at a look every 0.7 s: how long "
        "everybody waits.",
        lambda seen: seen.of.lag,
    ),
    _metric(
        GAUGE,
        "memory_max_bytes",
        "Resident memory beyond which nobody new is let in (`memory_percent`); left out where the "
        "system does not say.",
        lambda seen: seen.of.memory.most_bytes or None,
    ),
    Metric(
        "process_resident_memory_bytes",
        GAUGE,
        "Memory that the process has; left out where the system does not say.",
        lambda _: resident_bytes() or None,
    ),
    Metric(
        "process_cpu_seconds_total",
        COUNTER,
        "Processor time that it has used.",
        lambda _: process.cpu_seconds(),
    ),
    Metric(
        "process_start_time_seconds",
        GAUGE,
        "When it was started, in Unix seconds.",
        lambda _: process.start_seconds(),
    ),
    Metric(
        "process_max_fds",
        GAUGE,
        "Descriptors that it may have open; each connection is one.",
        lambda _: process.max_descriptors(),
    ),
    Metric(
        "python_gc_collections_total",
        COUNTER,
        "How often the garbage collector has looked at a generation; for that time all else stands "
        "still.",
        None,
        ("generation",),
    ),
    Metric(
        "python_gc_objects_collected_total",
        COUNTER,
        "Objects that it has taken away.",
        None,
        ("generation",),
    ),
    Metric(
        "python_gc_objects_uncollectable_total",
        COUNTER,
        "Objects that it could not.",
        None,
        ("generation",),
    ),
)
"""All of them."""


def table() -> str:
    """The list as Markdown: a row for each."""
    rows = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for it in METRICS:
        labels = ", ".join(f"`{label}`" for label in it.labels)
        rows.append(f"| `{it.name}` | {it.kind} | {labels} | {it.doc} |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.stdout.write(f"{table()}\n")
