"""What becomes of a presence that comes to a channel, and goes from it."""

from __future__ import annotations

from signal_sdk.server.engine.facts import MAX_REMOVED, Presence, joining, leaving


def test_from_how_many_channels_a_session_was_removed_is_bounded() -> None:
    """One that joins and is taken out without end: the latest are remembered."""
    presence = Presence(
        uid=1,
        generation=1,
        line_digest=b"",
        device="",
        ver=0,
        token_expires=None,
        many_channels=True,
    )
    names = [f"c{number}" for number in range(MAX_REMOVED + 5)]
    for name in names:
        presence = leaving(joining(presence, name), name, is_removed=True)
    assert presence.removed == tuple(names[5:])
    assert presence.channels == ()
    # Each is there once, and last where it was the last.
    presence = leaving(joining(presence, names[9]), names[9], is_removed=True)
    assert presence.removed == (*names[5:9], *names[10:], names[9])
