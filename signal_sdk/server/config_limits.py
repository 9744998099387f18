"""The keys of `[limits]`: how much one client, one channel and the whole server may use.

Owns: everything about such a key, declared as those of the other tables are in `config_keys`. Must
not know: files, or what the server does with a value.
"""

from __future__ import annotations

import attrs

from signal_sdk.server.config_fields import config_key

__all__ = ["LimitsConfig"]


@attrs.define(kw_only=True)
class LimitsConfig:
    """`[limits]`: how much one client, one channel and the whole server may use. 0 is no limit."""

    user_messages_per_second: int = config_key(
        60,
        "How many messages an account may send in a second, to peers and channels. 0 is no limit.",
        least=0,
    )
    channel_messages_per_second: int = config_key(
        1000,
        "How many messages a channel takes in a second; its attribute `_sendmsg_limit` may lower "
        "that. 0 is no limit.",
        least=0,
    )
    channel_joins_per_second: int = config_key(
        3000,
        "How many joins a channel takes in a second where its members are told of them, as they "
        "are unless its attribute `_userNotification` is 0. Each counts as several in a large "
        "channel: as one for each 200 members. 0 is no limit.",
        least=0,
    )
    channel_attributes_per_second: int = config_key(
        60,
        "How many attribute changes a channel takes in a second; its attribute `_setattr_limit` "
        "has precedence. 0 is no limit.",
        least=0,
    )
    frames_per_second: int = config_key(
        500,
        "How many messages, pings among them (but for one that comes a second after all else), are "
        "read of a connection in a second; what comes faster waits in the network for its turn. "
        "One that goes to many counts as one more for each 200 of them. 0 is no limit.",
        least=0,
    )
    changes_per_second: int = config_key(
        100,
        "How many joins, leaves, changes of attributes, requests about locks and steps of calls a "
        "session may ask for in a second; what is set counts as one more for each 512 bytes. 0 is "
        "no limit.",
        least=0,
    )
    questions_per_second: int = config_key(
        300,
        "How many questions and polls of its inbox a session may ask in a second; a long answer "
        "counts as several. 0 is no limit.",
        least=0,
    )
    count_push_seconds: int = config_key(
        5,
        "How many seconds there are at least between two pushes of a channel's `_member_num` or "
        "`_total_member_num`, whatever `_auto_update_num` says. 0 is no limit.",
        least=0,
    )
    max_frame_bytes: int = config_key(
        131072,
        "How long a WebSocket message or a native packet may be, in bytes, a compressed one also "
        "when it is inflated; a longer one ends its connection. 0 is no limit.",
        least=0,
    )
    compress_over_bytes: int = config_key(
        4096,
        "How long a frame may be, in bytes, before it goes compressed to clients that read that, "
        "as the web SDK 1.4 does. 0 is no limit: nothing is compressed.",
        least=0,
    )
    lookups_per_second: int = config_key(
        20,
        "How many questions of native clients an IP address is answered in a second. 0 is no "
        "limit.",
        least=0,
    )
    max_connections: int = config_key(
        20_000,
        "How many connections may be open at once. The last tenth of them is for clients that come "
        "back to a session. 0 is no limit.",
        least=0,
    )
    app_connections: int = config_key(
        15_000,
        "How many accounts of one app may be connected at once. The last tenth of them is for "
        "clients that come back to a session. 0 is no limit.",
        least=0,
    )
    connections_per_address: int = config_key(
        1000,
        "How many connections an IP address, or an IPv6 network of 64 bits, may have at once. 0 is "
        "no limit.",
        least=0,
    )
    connections_per_second: int = config_key(
        200,
        "How many connections an address, as above, may begin in a second. 0 is no limit.",
        least=0,
    )
    logins_per_second: int = config_key(
        100, "How many logins an address may try in a second. 0 is no limit.", least=0
    )
    wrong_logins_per_minute: int = config_key(
        60,
        "How many wrong tokens and wrong session lines an address may give in a minute before its "
        "logins wait, for 2 s and then ever longer, up to a minute. 0 is no limit.",
        least=0,
    )
    account_logins_per_minute: int = config_key(
        60,
        "How many times an account may log in in a minute; coming back to a session is no login. "
        "0 is no limit.",
        least=0,
    )
    memory_percent: int = config_key(
        80,
        "How many percent of the memory that the process may have (its control group's limit, or "
        "what the machine has, as it was at the start) may be in use. Over that nobody new is let "
        "in, and the newest go that are not logged in. 0 is no limit.",
        least=0,
        most=100,
    )
    outbox_bytes: int = config_key(
        4194304,
        "How many bytes may wait for a client that reads slowly; one that lets more come together "
        "is disconnected, and may resume. 0 is no limit.",
        least=0,
    )
    inbox_messages: int = config_key(
        10000,
        "How many messages and call events may wait for an account; sending to an account with a "
        "full inbox fails. 0 is no limit.",
        least=0,
    )
    inbox_bytes: int = config_key(
        16_777_216,
        "How many bytes of messages may wait for an account. Call events have a tenth more room, "
        "in messages and bytes. 0 is no limit.",
        least=0,
    )
    inbox_sender_messages: int = config_key(
        2000,
        "How many messages of one sender may wait for one account, so that nobody's inbox is "
        "filled by a stranger. 0 is no limit.",
        least=0,
    )
    session_channels: int = config_key(
        100,
        "How many channels a session may be in that has said at its login that it is in many; any "
        "other is in one. 0 is no limit.",
        least=0,
        most=1000,
    )
    account_channels: int = config_key(
        1000,
        "How many channels that one account has made, by joining them or by an attribute, may be "
        "there. 0 is no limit.",
        least=0,
    )
    account_calls: int = config_key(
        100, "How many live calls one account may have made. 0 is no limit.", least=0
    )
    account_locks: int = config_key(
        100,
        "How many locks of channels one account may have and wait for. 0 is no limit.",
        least=0,
    )
    channel_locks: int = config_key(
        100, "How many locks of one channel may be held. 0 is no limit.", least=0
    )
    lock_waiters: int = config_key(1000, "How many may wait for one lock. 0 is no limit.", least=0)
    app_accounts: int = config_key(
        1_000_000,
        "How many accounts an app may have of which something is kept: who is online, has messages "
        "or attributes. 0 is no limit.",
        least=0,
    )
    app_channels: int = config_key(
        100_000, "How many channels an app may have. 0 is no limit.", least=0
    )
    app_bytes: int = config_key(
        1_073_741_824,
        "How many bytes of messages and attributes are kept for an app. 0 is no limit.",
        least=0,
    )
    attributes: int = config_key(
        256,
        "How many attributes a user, and how many a channel, may have: a channel's go to everybody "
        "who joins it. 0 is no limit.",
        least=0,
    )
    session_watches: int = config_key(
        100,
        "How many accounts a session may watch at a time. 0 is no limit.",
        least=0,
    )
    handshake_seconds: int = config_key(
        10,
        "How many seconds a client may say nothing before it is logged in. 0 is no limit.",
        least=0,
    )
    history_events: int = config_key(
        256,
        "How many events a channel keeps for members that lose their connection and come back. "
        "0 is no limit but `history_seconds`; not both may be 0, or all would be kept.",
        least=0,
    )
    history_seconds: int = config_key(
        60,
        "For how many seconds a channel keeps an event for members that come back. 0 is no limit "
        "but `history_events`; not both may be 0, or all would be kept.",
        least=0,
    )
    silence_seconds: int = config_key(
        40,
        "How many seconds a client that is logged in may say nothing before its connection is "
        "taken for dead; clients ping every 10 s. For one of this SDK, half as long, but not less "
        "than 20 s. 0 is no limit.",
        least=0,
    )
