"""The metrics of a node itself: what there is, where that is kept, who is told of it, and how the
process does.

Owns: these names and what they mean. Must not know how a number is read (readings.py does).
"""

from __future__ import annotations

from typing import Final

from signal_sdk.server.memory import resident_bytes
from signal_sdk.server.metrics import process, readings
from signal_sdk.server.metrics.metric import (
    APP,
    COUNTED,
    COUNTER,
    GAUGE,
    HISTOGRAM,
    SHARED,
    Metric,
    metric,
)

METRICS: Final[tuple[Metric, ...]] = (
    # --- what there is
    metric(
        GAUGE,
        "accounts",
        f"Accounts of which anything is kept. {SHARED}",
        readings.of_each_app(lambda it: it.accounts),
        APP,
    ),
    metric(
        GAUGE,
        "accounts_online",
        "Accounts that are online, also while they have lost their connection and may come back. "
        + SHARED,
        readings.of_each_app(lambda it: it.online),
        APP,
    ),
    metric(
        GAUGE, "channels", f"Channels. {SHARED}", readings.of_each_app(lambda it: it.channels), APP
    ),
    metric(
        GAUGE,
        "channel_members",
        f"Members of all channels together. {COUNTED}",
        readings.of_each_app(lambda it: it.members),
        APP,
    ),
    metric(
        GAUGE,
        "inbox_entries",
        f"Entries that wait in inboxes. {COUNTED}",
        readings.of_each_app(lambda it: it.entries),
        APP,
    ),
    metric(
        GAUGE,
        "kept_bytes",
        f"Bytes of the entries and attributes that are kept, which `app_bytes` bounds. {SHARED}",
        readings.of_each_app(lambda it: it.bytes),
        APP,
    ),
    metric(
        GAUGE,
        "inbox_oldest_entry_seconds",
        "Age of the eldest inbox entry, as the last look at all inboxes has found it; 0 where none "
        "waits. A look at all takes a second for each 5,000 inboxes, on Redis for each 200. "
        + SHARED,
        lambda seen: seen.engine.oldest_seconds,
    ),
    metric(
        GAUGE,
        "calls",
        f"Live calls, by `state`. {SHARED[:-1]}; without their states while nodes of release 0.2.0 "
        "are there.",
        lambda seen: {(state,): count for state, count in seen.engine.calls.items()},
        "state",
    ),
    metric(
        COUNTER,
        "calls_started_total",
        "Invitations that were made, as this process has asked for them.",
        lambda seen: seen.engine.invited,
    ),
    metric(
        COUNTER,
        "calls_ended_total",
        "Calls that have ended: by a `bye`, `refused`, `unanswered`, since who was called was "
        "`offline`, since a side was `gone`, or by an `operator`. Each process counts those that "
        "it has ended, on Redis too.",
        readings.ends,
        "end",
    ),
    # --- the journal
    metric(
        HISTOGRAM,
        "journal_batch_rows",
        "Rows of each batch that was written to the journal; how many batches that were is its "
        "count.",
        readings.of_journal(lambda it: it.rows),
    ),
    metric(
        HISTOGRAM,
        "journal_durable_seconds",
        "Time from a batch's first change until it was written: what is acknowledged has waited no "
        "longer than that.",
        readings.of_journal(lambda it: it.seconds),
    ),
    metric(
        COUNTER,
        "journal_failures_total",
        "How often a batch could not be written, and was kept to be tried again.",
        readings.of_journal(lambda it: it.failed),
    ),
    # --- Redis
    metric(
        COUNTER,
        "redis_commands_total",
        "Commands that Redis has answered.",
        readings.of_redis(lambda _, trips: trips.answered),
    ),
    metric(
        GAUGE,
        "redis_pending_commands",
        "What was asked of Redis and is not answered yet.",
        readings.of_redis(lambda seen, _: seen.asked),
    ),
    metric(
        HISTOGRAM,
        "redis_round_trip_seconds",
        "Time from a command's write to its reply: of each server, of one command at a time.",
        readings.of_redis(lambda _, trips: trips.seconds),
    ),
    metric(
        GAUGE,
        "redis_servers",
        "Redis servers in use, by whether this node has a connection there (`up`) or not (`down`).",
        readings.of_redis(lambda seen, _: {("up",): seen.up, ("down",): seen.down}),
        "state",
    ),
    # --- hooks, and who follows
    metric(
        COUNTER,
        "hook_events_delivered_total",
        "Events that the backend has, as this process has sent them.",
        readings.of_hooks(lambda it: it.delivered),
    ),
    metric(
        COUNTER,
        "hook_requests_total",
        'Requests with events that the backend has (`outcome="done"`), and that have failed.',
        readings.of_hooks(lambda it: {("done",): it.posted, ("failed",): it.failed}),
        "outcome",
    ),
    metric(
        GAUGE,
        "hook_queued_events",
        f"Events that wait for the backend. {SHARED}",
        readings.of_hooks(lambda it: it.queued),
    ),
    metric(
        GAUGE,
        "hook_oldest_event_seconds",
        f"Age of the eldest of them; 0 where none waits. {SHARED}",
        readings.oldest_event,
    ),
    metric(
        COUNTER,
        "hook_dropped_events_total",
        f"Events that the backend never gets, since too many waited (`queue_events`). {SHARED}",
        readings.of_hooks(lambda it: it.dropped),
    ),
    metric(
        COUNTER,
        "hook_questions_total",
        "Questions that the backend was asked, by its answer: `allowed`, `refused`, or "
        "`unanswered`, where the default has decided.",
        readings.of_hooks(
            lambda it: {
                ("allowed",): it.allowed,
                ("refused",): it.refused,
                ("unanswered",): it.unanswered,
            }
        ),
        "answer",
    ),
    metric(
        GAUGE,
        "feed_readers",
        "Streams of an app's events that somebody follows at the admin address.",
        lambda seen: len(seen.of.feed),
    ),
    metric(
        COUNTER,
        "feed_lost_events_total",
        "Events that these have lost since they were read too slowly.",
        lambda seen: seen.of.feed.lost,
    ),
    # --- the process
    metric(
        HISTOGRAM,
        "loop_lag_seconds",
        "By how much a task was woken later than it had asked for, at a look every 0.7 s: how long "
        "everybody waits.",
        lambda seen: seen.of.lag,
    ),
    metric(
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
"""All of these."""
