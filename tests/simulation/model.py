"""What docs/delivery.md promises, held against what a simulated world's clients wrote down.

Owns: the promises, one function each. Must not know how a world comes about.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from signal_sdk.ecodes import ECode
from signal_sdk.server.engine.base import Presence
from tests.simulation.actor import CHANNELS, Actor, Ghost, Stay

WANTED: Final = (ECode.LOGOUT_E_USER, ECode.LOGIN_E_CANCEL, ECode.LOGIN_E_NET)
"""How a session may end in a world where nobody takes another's account: a login that fails is not
tried again by itself."""


def _number(text: str) -> int:
    return int(text.rpartition("#")[2])


def check_messages(actors: list[Actor]) -> Iterator[str]:
    """What was acknowledged came once, or was told to live for a second only; what was not came at
    most once; each sender's messages came in their order.
    """
    heard = {actor.name: Counter(text for _, text in actor.heard) for actor in actors}
    for actor in actors:
        for sent in actor.sent:
            if sent.to in CHANNELS:
                continue
            count = heard[sent.to][sent.text]
            if sent.is_acked and sent.ttl is None and count != 1:
                yield f"{sent.text} was acknowledged at {sent.at:.3f} and came {count} times"
            elif count > 1:
                yield f"{sent.text} came {count} times"
    for actor in actors:
        last: dict[str, int] = {}
        for at, text in actor.heard:
            sender = text.partition(">")[0]
            if _number(text) < last.get(sender, -1):
                yield f"{text} came to {actor.name} out of order at {at:.3f}"
            last[sender] = _number(text)


def check_channels(actors: list[Actor]) -> Iterator[str]:
    """What was acknowledged came once to all who were members before and stayed, or they were told
    of a gap; nothing came twice, or out of its sender's order.
    """
    for actor in actors:
        for stay in actor.stays:
            yield from (f"{actor.name} in {stay.channel}: {it}" for it in stay.surprises)
            texts = Counter(text for _, text in stay.heard)
            yield from (f"{it} came to {actor.name} {n} times" for it, n in texts.items() if n > 1)
            last: dict[str, int] = {}
            for at, text in stay.heard:
                sender = text.partition(">")[0]
                if _number(text) < last.get(sender, -1):
                    yield f"{text} came to {actor.name} out of order at {at:.3f}"
                last[sender] = _number(text)
            yield from _missed(actors, actor, stay, texts)


def _missed(actors: list[Actor], member: Actor, stay: Stay, texts: Counter[str]) -> Iterator[str]:
    if stay.joined_at is None or stay.left_at is not None or stay.asked_to_leave_at is not None:
        return
    gaps = [at for at, reason in member.gaps if repr(stay.channel) in reason]
    last_gap = max(gaps, default=-math.inf)
    for actor in actors:
        for sent in actor.sent:
            is_due = sent.to == stay.channel and sent.is_acked and sent.at > stay.joined_at
            if is_due and not texts[sent.text] and last_gap < sent.at:
                yield (
                    f"{sent.text} was acknowledged at {sent.at:.3f} and never came to "
                    f"{member.name}, a member since {stay.joined_at:.3f}"
                )


def check_sessions(actors: list[Actor]) -> Iterator[str]:
    """Every session ended once, and only since its user wanted it to."""
    for actor in actors:
        if len(actor.logouts) != actor.logins:
            yield f"{actor.name} logged in {actor.logins} times, and heard {actor.logouts}"
        wrong = [ecode for ecode in actor.logouts if ecode not in WANTED]
        if wrong:
            yield f"{actor.name} was logged out with {wrong}"


def check_calls(actors: list[Actor]) -> Iterator[str]:
    """Each side of each call heard of its end, once."""
    for actor in actors:
        for number, side in enumerate(actor.sides):
            # A refusal that crosses the call's end succeeds, too, and ends nothing.
            ends = side.ends or (["refused"] if side.is_refused else [])
            if len(ends) != 1:
                yield f"{actor.name}'s call {number} as {side.role} ended so: {ends}"


def check_online(
    online: Mapping[str, Presence], actors: list[Actor], ghosts: Sequence[Ghost]
) -> Iterator[str]:
    """Who takes himself to be online is, with a connection, and nobody else, but for one who has
    vanished and whose lease is long.
    """
    waiting = [it.name for it in ghosts if not it.is_forgotten_soon and it.name in online]
    if any(online[name].lease_ends is None for name in waiting):
        yield f"of {waiting}, who have vanished, not every one has a lease"
    online = {name: presence for name, presence in online.items() if name not in waiting}
    sure = sorted(actor.name for actor in actors if actor.session is not None)
    if sorted(online) != sure:
        yield f"{sorted(online)} are online, and {sure} take themselves to be"
    lost = sorted(name for name, presence in online.items() if presence.lease_ends is not None)
    if lost:
        yield f"the connections of {lost} are taken for lost"


def check_roster(channel: str, server: list[str], actors: list[Actor]) -> Iterator[str]:
    """Everybody's idea of who is in a channel is the server's."""
    members = []
    for actor in actors:
        for stay in actor.stays:
            if stay.channel != channel or stay.joined_at is None or stay.left_at is not None:
                continue
            members.append(actor.name)
            if sorted(stay.roster) != sorted(server):
                yield f"{actor.name} has {sorted(stay.roster)} in {channel}, not {sorted(server)}"
    if sorted(members) != sorted(server):
        yield f"{sorted(members)} take themselves to be in {channel}, not {sorted(server)}"
