"""What happens, on Redis: who follows it, and what is kept for hooks.

Owns: what this node follows in which app, that Redis knows so for as long as it does, and the
operations of those who take what is kept. Must not know when something happens, nor how it is kept:
happenings.lua does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from msgspec import structs

from signal_sdk.server.engine import happened
from signal_sdk.server.engine.happened import AnyHappening, Backlog, Follow, Happening
from signal_sdk.server.engine.pending import Pending, drive
from signal_sdk.server.engine.redis.core import pack, tag
from signal_sdk.server.engine.redis.events import unpack
from signal_sdk.server.engine.redis.lives import Lives
from signal_sdk.server.engine.redis.pipeline import Ask, Pipeline

FOLLOWED_SECONDS: Final = 30
"""For how long Redis takes it that a node follows what it has said."""
SAID_EVERY: Final = 10
"""After so many heartbeats a node says so again."""


class HappeningOperations(Lives):
    """What happens, as the contract has it."""

    def _start_living(self) -> None:
        super()._start_living()
        self._follows: dict[bytes, tuple[str, Follow]] = {}
        """What this node follows, by its topic."""
        self._beats = 0

    def follow(self, app: str, follow: Follow) -> Pending[None]:
        """As the contract has it."""
        topic = f"{self._base(app)}f".encode()
        is_new = topic not in self._follows
        if follow.kinds:
            self._follows[topic] = app, follow
            if is_new:
                self._if_there(app, topic)
        elif not is_new:
            del self._follows[topic]
            self._if_there(app, topic, ends=True)
        # Behind the subscription: what happens from its answer on is heard.
        return self._say_follow(app, follow)

    def _say_follow(self, app: str, follow: Follow) -> Ask[None]:
        said = pack([sorted(it) for it in (follow.kinds, follow.accounts, follow.channels)])
        return self._ask(app, "follow", (FOLLOWED_SECONDS, said), _nothing)

    def sweep(self) -> Pending[None]:
        """As the contract has it."""
        self._beats += 1
        if self._beats % SAID_EVERY == 0:
            self._follow_on()
        return super().sweep()

    def _follow_on(self) -> None:
        for app, follow in self._follows.values():
            self._say_follow(app, follow)

    def _be_reborn(self) -> None:
        super()._be_reborn()
        self._follow_on()

    def _heard(self, topic: bytes, message: bytes) -> None:
        followed = self._follows.get(topic)
        if followed is None:
            super()._heard(topic, message)
            return
        app, follow = followed
        if not message:
            self._subscribing(app, topic)
            return
        happening = unpack_kept(app, message)
        if follow.wants(happening):
            self._own.deliver_happening(happening)

    def _hear_again(self, pipeline: Pipeline) -> None:
        super()._hear_again(pipeline)
        for topic, (app, follow) in self._follows.items():
            if self._servers.of(tag(app)) is pipeline:
                self._subscribing(app, topic)
                self._say_follow(app, follow)

    # --- what is kept ---

    def backlogs(self) -> Mapping[str, Backlog] | Pending[Mapping[str, Backlog]]:
        """As the contract has it: of the apps in which something is kept, as this node was told, or
        has seen in the last second, or by its round over those that it does not serve.
        """
        return drive(self._backlogs())

    async def _backlogs(self) -> Mapping[str, Backlog]:
        apps = self._has_kept | {app for app, it in self._seen_of_apps().items() if it.kept}
        asked = {app: self._ask(app, "backlog", (), _backlog) for app in sorted(apps)}
        found = {app: await ask for app, ask in asked.items()}
        self._has_kept -= {app for app, it in found.items() if not it.kept}
        return found

    def take_happenings(
        self, app: str, most: int, *, seconds: float
    ) -> Pending[Sequence[Happening] | None]:
        """As the contract has it."""
        return self._ask(app, "take_kept", (most, f"{seconds:.3f}"), partial(_taken, app))

    def happenings_done(self, app: str, upto: int) -> Pending[bool]:
        """As the contract has it."""
        return self._ask(app, "kept_done", (upto,), _is_there)


def pack_kept(happening: Happening) -> bytes:
    """A kept happening, as happenings.lua has it."""
    facts = {"kind": happening.kind, **structs.asdict(happening)}
    for name in ("app", "number", "time"):
        del facts[name]
    return pack((happening.number, happening.time, facts))


def unpack_kept(app: str, packed: bytes) -> AnyHappening:
    """The happening of the app that this is."""
    number, time_ms, facts = unpack(packed)
    return happened.of_facts({**facts, "app": app, "number": number, "time": time_ms})


def _taken(app: str, reply: Any) -> Sequence[Happening] | None:
    if reply is None or len(reply) == 1:
        return None
    return [unpack_kept(app, packed) for packed in reply[2]]


def _backlog(reply: Any) -> Backlog:
    _, _, kept, oldest, dropped = reply
    return Backlog(kept=kept, oldest=oldest, dropped=dropped)


def _is_there(reply: Any) -> bool:
    return reply is not None and len(reply) > 1


def _nothing(_: object) -> None:
    return None
