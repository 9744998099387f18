"""What a process gives back of what it has freed."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from signal_sdk.server.engine.memory import give_back
from signal_sdk.server.engine.redis import core as redis
from signal_sdk.server.wires.web import _pong
from signal_sdk.wire import lines, names


class Looped:
    """Holds itself, so that only the collector can free it."""

    def __init__(self) -> None:
        self.itself = self


def test_who_names_very_many_once_leaves_nothing_behind() -> None:
    """Each name that is kept keeps the megabyte that it is in."""
    give_back()
    for number in range(100):
        names.check_account(f"nobody{number}")
        names.check_channel(f"room{number}")
        lines.cut_flag(f"v1:E:{number}")
        _pong(b'["ping", %d]' % number)
        redis.tag(f"app{number}")
        redis.first_uid("app", f"nobody{number}")
    caches: list[Any] = [
        *(names.check_account_text, names.check_channel_text, lines.parse_flag, lines.cut_flag),
        *(_pong, redis.tag, redis.first_uid),
    ]
    assert [cache.cache_info().currsize for cache in caches] == [100] * 7
    give_back()
    assert [cache.cache_info().currsize for cache in caches] == [0] * 7


def test_giving_back_looks_through_nothing_and_leaves_all_to_the_collector() -> None:
    looped = weakref.ref(Looped())
    gc.disable()
    try:
        give_back()
        assert looped() is not None, "it would take 30 ms for each 100,000 objects"
        assert gc.get_freeze_count() == 0
        gc.collect()
        assert looped() is None
    finally:
        gc.enable()
