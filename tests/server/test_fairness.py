"""Nobody takes more than a share: what comes too fast waits in the network, and others do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from signal_sdk.server.config import Config
from signal_sdk.server.connection import FRAMES_PART, Connection
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.pending import Pending
from signal_sdk.server.engine.schema import CHUNKS, Batch
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.wire import typed
from tests.server.helpers import LogIn, dev_config, told
from tests.wire_client import WireClient, logged_in


async def answered(client: WireClient, first: int, count: int) -> float:
    """Wait until so many requests are answered; when that was."""
    for number in range(first, first + count):
        assert (await client.reply(number))["result"] == "ok"
    return trio.current_time()


def ask(client: WireClient, first: int, count: int) -> None:
    for number in range(first, first + count):
        client.send("call2", ["channel_query_num", number, {"line": client.line, "name": "room"}])


class TestPace:
    @pytest.fixture
    def config(self) -> Config:
        return dev_config(frames_per_second=20, questions_per_second=0)

    async def test_what_comes_too_fast_is_read_later_and_all_of_it_in_order(
        self, log_in: LogIn
    ) -> None:
        ann = await log_in("ann")
        await trio.sleep(2)
        began = trio.current_time()
        ask(ann, 1000, 60)
        assert await answered(ann, 1000, 20) - began < 0.1
        assert await answered(ann, 1020, 40) - began == pytest.approx(2.0, abs=0.1)

    async def test_others_do_not_wait_meanwhile(self, log_in: LogIn) -> None:
        ann, bob = await log_in("ann"), await log_in("bob")
        await trio.sleep(2)
        began = trio.current_time()
        ask(ann, 1000, 60)
        ask(bob, 1000, 10)
        assert await answered(bob, 1000, 10) - began < 0.1
        await answered(ann, 1000, 60)

    async def test_whoever_waits_for_its_turn_is_not_silent(
        self, server: LocalServer, log_in: LogIn
    ) -> None:
        ann = await log_in("ann")
        for start in range(1000, 3000, 100):
            ask(ann, start, 100)
            await trio.sleep(5)
        assert server.node.sessions == 1
        await answered(ann, 1000, 2000)

    async def test_frames_that_say_nothing_count_too(self, log_in: LogIn) -> None:
        ann = await log_in("ann")
        await trio.sleep(2)
        for number in range(60):
            ann.send("surprise", number)
        began = trio.current_time()
        ask(ann, 1000, 1)
        assert await answered(ann, 1000, 1) - began > 1.5

    async def test_a_node_that_stops_does_not_wait_for_it(
        self, server: LocalServer, log_in: LogIn
    ) -> None:
        ann = await log_in("ann")
        ask(ann, 1000, 2000)
        await trio.sleep(0.1)
        began = trio.current_time()
        server.node.stop()
        while server.node.sessions:
            await trio.lowlevel.checkpoint()
        assert trio.current_time() - began < 5


class TestFastPace:
    @pytest.fixture
    def config(self) -> Config:
        return dev_config(frames_per_second=10 * FRAMES_PART, questions_per_second=0)

    async def test_where_some_are_counted_at_once_as_many_are_read_in_a_second(
        self, log_in: LogIn
    ) -> None:
        ann = await log_in("ann")
        await trio.sleep(2)
        for _ in range(2):
            began = trio.current_time()
            ask(ann, 1000, 25 * FRAMES_PART)
            # As many as there may be in a quiet second, but for a part's, and the rest in turn.
            assert await answered(ann, 1000, 9 * FRAMES_PART) - began < 0.1
            ended = await answered(ann, 1000 + 9 * FRAMES_PART, 16 * FRAMES_PART)
            assert ended - began == pytest.approx(1.5, abs=0.1)
            await trio.sleep(2)


class TestManyListeners:
    @pytest.fixture
    def config(self) -> Config:
        return dev_config(frames_per_second=20, channel_messages_per_second=0)

    async def test_a_message_to_many_counts_as_several(
        self, server: LocalServer, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("signal_sdk.server.connection.DELIVERIES_PER_FRAME", 1)
        ann = await log_in("ann")
        others = [await log_in(f"user{number}") for number in range(9)]
        for client in (ann, *others):
            await client.call("channel_join", name="room")
        await trio.sleep(2)
        await told(ann)
        began = trio.current_time()
        for number in range(1000, 1010):
            args: dict[str, Any] = {"line": ann.line, "name": "room", "msg": f"{number}"}
            ann.send("call2", ["channel_sendmsg", number, args])
        # Each is 11: two are in the first second's worth, and the others wait for half a second.
        assert await answered(ann, 1000, 2) - began < 0.1
        assert await answered(ann, 1002, 8) - began == pytest.approx(4.2, abs=0.4)
        assert server.node._hub.deliveries >= 100


class TestManyAtOnce:
    """Each message takes a while, by the mock clock: a hundred clients send more than there is
    time for, and one asks now and then.
    """

    HOSTILE = 100
    COST_SECONDS = 0.0005

    @pytest.fixture
    def config(self) -> Config:
        return dev_config(
            frames_per_second=0,
            questions_per_second=0,
            connections_per_second=0,
            logins_per_second=0,
            connections_per_address=0,
        )

    @pytest.fixture
    def costly(self, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
        handle = Connection._handle

        def slowly(self: Connection, frame: typed.ClientFrame) -> Pending[None] | None:
            autojump_clock.jump(TestManyAtOnce.COST_SECONDS)
            return handle(self, frame)

        monkeypatch.setattr(Connection, "_handle", slowly)

    async def test_who_asks_seldom_is_answered_before_them(
        self, log_in: LogIn, costly: None, autojump_clock: MockClock
    ) -> None:
        ann = await log_in("ann")
        others = [await log_in(f"user{number}") for number in range(self.HOSTILE)]
        for other in others:
            ask(other, 1000, 50)
        waits = []
        for number in range(1000, 1008):
            await trio.sleep(0.25)
            began = trio.current_time()
            ask(ann, number, 1)
            waits.append(await answered(ann, number, 1) - began)
        # In the order in which they came, each would be behind 0.05 s of the others' first.
        assert max(waits[1:]) < 0.01
        # Nobody starves, and nothing is lost.
        for other in others:
            await answered(other, 1000, 50)

    async def test_one_that_is_alone_has_all_the_time(
        self, log_in: LogIn, costly: None, autojump_clock: MockClock
    ) -> None:
        ann = await log_in("ann")
        began = trio.current_time()
        ask(ann, 1000, 1000)
        assert await answered(ann, 1000, 1000) - began < 1.2 * 1000 * self.COST_SECONDS


class TestManyChanges:
    """A journal takes long for very much: whoever waits for what it has changed is not heard before
    that is written, so that a batch has a bound, and others' changes wait for short ones.
    """

    async def test_a_connection_is_not_read_further_while_very_many_wait(
        self, tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("signal_sdk.server.engine.commits.BEHIND", 10)
        sizes: list[int] = []

        async def write(write: Callable[[Batch], None], batch: Batch) -> None:
            sizes.append(len(batch.get(CHUNKS, ())))
            await trio.sleep(0.1)
            write(batch)

        engine = EmbeddedEngine(journal=Journal.open(tmp_path), write_in_thread=write)
        config = dev_config(user_messages_per_second=0)
        async with (
            local_server(config, engine=engine, listens=False) as server,
            logged_in(server, "ann") as ann,
            logged_in(server, "bob") as bob,
        ):
            for number in range(1000, 1100):
                message = {"peer": "carl", "flag": "v1:E:60", "t": "instant", "content": "x"}
                ann.send("call2", ["user_sendmsg", number, {"line": ann.line, **message}])
            await trio.sleep(0.05)
            # It has not asked for anything yet, and is heard.
            assert (await bob.call("user_set_attr", name="a", value="b"))["result"] == "ok"
            await answered(ann, 1000, 100)
        assert sum(sizes) == 100
        assert max(sizes) <= 10


class TestNoLimit:
    @pytest.fixture
    def config(self) -> Config:
        return dev_config(frames_per_second=0, questions_per_second=0)

    async def test_zero_is_no_limit(self, log_in: LogIn) -> None:
        ann = await log_in("ann")
        began = trio.current_time()
        ask(ann, 1000, 3000)
        assert await answered(ann, 1000, 3000) - began < 1
