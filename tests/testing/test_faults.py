"""The fault kit: each fault alone, between a real server and clients of both levels."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk import LinkError, LoginError, Signal, SignalError
from signal_sdk.net.reactor import Reactor
from signal_sdk.server import config as configs
from signal_sdk.testing import (
    Faults,
    FaultyLink,
    FaultyNetwork,
    LocalServer,
    local_server,
    memory_transport_pair,
)
from tests.client.fakes import Heard
from tests.net.pairs import running_reactor
from tests.wire_client import WireClient, wire_client

NO_TOKEN = "_no_need_token"


@asynccontextmanager
async def faulty_network(
    faults: Faults | None = None, seed: int = 1
) -> AsyncIterator[tuple[LocalServer, FaultyNetwork]]:
    """A server and the network before it. Only what a test does goes wrong on it."""
    async with (
        local_server(configs.dev(), listens=False) as server,
        FaultyNetwork(server, seed=seed, faults=faults) as network,
    ):
        yield server, network


@asynccontextmanager
async def logged_in(network: FaultyNetwork, name: str) -> AsyncIterator[WireClient]:
    """A client at wire level that has logged in, on its own link, and says nothing by itself."""
    async with wire_client(network.connect(name)) as client:
        assert (await client.login(name, device="test"))["result"] == "ok"
        yield client


async def stay(network: FaultyNetwork, name: str, task_status: trio.TaskStatus[WireClient]) -> None:
    """Keep a client logged in until cancelled."""
    async with logged_in(network, name) as client:
        task_status.started(client)
        await trio.sleep_forever()


def pongs(client: WireClient) -> list[int]:
    return [payload for event, payload in client.seen if event == "pong"]


def whats(network: FaultyNetwork) -> list[str]:
    return [what for _, _, what in network.history]


# --- a network on which nothing goes wrong ---


async def test_without_faults_everything_passes_and_takes_no_time(
    autojump_clock: MockClock,
) -> None:
    async with faulty_network() as (server, network):
        async with logged_in(network, "ann") as ann:
            big = "x" * 8000
            await ann.call("channel_join", name="room")
            for _ in range(50):
                ann.request("channel_sendmsg", name="room", msg=big)
            assert (await ann.call("channel_query_num", name="room"))["num"] == 1
            sent = [content["msg"] for *_, content in ann.channel_events()]
            assert sent == [big] * 50
            assert repr(network) == "<FaultyNetwork seed=1: 1 links>"
        await wait_all_tasks_blocked()
        assert trio.current_time() == 0
        assert server.node.sessions == 0
        assert network.links == []
        assert network.history == [(0, 1, "dial ann"), (0, 1, "ended")]


async def test_an_end_comes_behind_what_was_sent_before_it(autojump_clock: MockClock) -> None:
    """A receiver that has closed does not keep what it has said from the other side."""
    client, near = memory_transport_pair()
    server, far = memory_transport_pair()
    link = FaultyLink(
        number=1,
        name="",
        ends=(near, far),
        faults=Faults(),
        draw=random.Random(1),
        record=lambda *_: None,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        server.send_nowait(b"HTTP/1.1 101 Switching Protocols\r\n\r\nlast")
        server.close()
        client.send_nowait(b"GET / HTTP/1.1\r\n\r\n")
        await wait_all_tasks_blocked()
        assert (await client.receive_some()).endswith(b"last")
        assert await client.receive_some() == b""
        with pytest.raises(LinkError, match="broken pipe"):
            client.send_nowait(b"x")
    assert not link.is_open


async def test_a_receiver_that_does_not_read_holds_its_sender_up(autojump_clock: MockClock) -> None:
    client, near = memory_transport_pair()
    server, far = memory_transport_pair()
    link = FaultyLink(
        number=1,
        name="",
        ends=(near, far),
        faults=Faults(),
        draw=random.Random(1),
        record=lambda *_: None,
    )
    frame = b"\x82\x7e" + (1000).to_bytes(2) + b"x" * 1000
    sent = bytearray(b"GET / HTTP/1.1\r\n\r\n" + frame * 2000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        left = memoryview(bytes(sent))
        with trio.move_on_after(60):
            while left:
                left = left[client.send_nowait(left) :]
                await client.wait_writable()
        assert 0 < len(sent) - len(left) < 600_000
        received = bytearray()
        while len(received) < len(sent):
            left = left[client.send_nowait(left) :]
            received += await server.receive_some()
        assert received == sent
        link.cut()


# --- each fault by the seed ---


async def test_delays_make_frames_late_and_keep_their_order(autojump_clock: MockClock) -> None:
    async with (
        faulty_network(Faults(mean_delay_seconds=0.5)) as (_, network),
        logged_in(network, "ann") as ann,
    ):
        began = trio.current_time()
        assert 0 < began < 10
        for number in range(30):
            ann.send("ping", number)
        await ann.expect(lambda frame: frame == ["pong", 29])
        assert pongs(ann) == list(range(29))
        assert trio.current_time() > began
        # They are under way at the same time, not one behind the other.
        assert trio.current_time() - began < 15


async def test_a_dropped_frame_never_comes_and_the_next_ones_do(autojump_clock: MockClock) -> None:
    async with faulty_network() as (_, network), logged_in(network, "ann") as ann:
        [link] = network.links
        link.faults = Faults(drop_rate=1)
        ann.send("ping", 1)
        await trio.sleep(1)
        network.heal()
        ann.send("ping", 2)
        await ann.expect(lambda frame: frame == ["pong", 2])
        assert pongs(ann) == []
        assert whats(network) == ["dial ann", "up frame 2 dropped"]


async def test_a_repeated_frame_comes_twice(autojump_clock: MockClock) -> None:
    async with (
        faulty_network(Faults(repeat_rate=1)) as (_, network),
        logged_in(network, "ann") as a,
    ):
        for _ in range(4):
            a.send("ping", 5)
        await trio.sleep(1)
        assert pongs(a) == [5] * 16
        assert whats(network).count("up frame 2 repeated") == 1


async def test_rates_strike_as_often_as_they_say(autojump_clock: MockClock) -> None:
    faults = Faults(drop_rate=0.3, repeat_rate=0.2)
    async with faulty_network() as (_, network), logged_in(network, "ann") as ann:
        network.links[0].faults = faults
        for number in range(1000):
            ann.send("ping", number)
            if number % 100 == 0:
                await trio.sleep(0.1)
        await trio.sleep(1)
        up = [what for what in whats(network) if what.startswith("up")]
        assert 240 < sum(what.endswith("dropped") for what in up) < 360
        # What is dropped is not repeated.
        assert 90 < sum(what.endswith("repeated") for what in up) < 190


async def test_links_are_cut_after_a_while(autojump_clock: MockClock) -> None:
    async with faulty_network(Faults(mean_cut_seconds=10)) as (server, network):
        lives = []
        for _ in range(20):
            began = trio.current_time()
            async with wire_client(network.connect()) as client:
                assert (await client.wait_closed()).code in (1006, 1008)
            lives.append(trio.current_time() - began)
        assert len(set(lives)) > 10
        await wait_all_tasks_blocked()
        assert network.links == []
        assert whats(network).count("cut") > 10
        assert server.node.sessions == 0


async def test_a_process_that_stood_still_has_the_rest_of_its_time_for_dialing(
    autojump_clock: MockClock,
) -> None:
    class Silent:
        def connect(self) -> object:
            near, self.far = memory_transport_pair()
            return near

    silent: Any = Silent()
    async with running_reactor() as reactor, FaultyNetwork(silent, seed=1) as network:
        autojump_clock.jump(1.5)
        with pytest.raises(LinkError, match="no connection in 5 s"):
            await network.dial("app", reactor)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def dial() -> None:
                with pytest.raises(LinkError, match="no connection in 5 s"):
                    await network.dial("app", reactor)

            nursery.start_soon(dial)
            await wait_all_tasks_blocked()
            autojump_clock.jump(100)
        assert trio.current_time() - began > 105


async def test_links_go_half_open_after_a_while(autojump_clock: MockClock) -> None:
    async with faulty_network(Faults(mean_half_open_seconds=3)) as (_, network):
        for _ in range(20):
            network.connect()
        await trio.sleep(100)
        struck = [what for what in whats(network) if what.endswith("half-open")]
        assert 20 < len(struck) < 40
        assert {"up half-open", "down half-open"} == set(struck)


async def test_dialing_fails_as_often_as_it_says(autojump_clock: MockClock) -> None:
    async with faulty_network(Faults(refuse_rate=0.5)) as (_, network):
        failed = 0
        for _ in range(100):
            try:
                network.connect("ann").close()
            except LinkError:
                failed += 1
        assert 30 < failed < 70
        assert whats(network).count("dial ann failed") == failed


@pytest.mark.parametrize(
    ("name", "value"),
    [("drop_rate", 1.1), ("drop_rate", -0.1), ("repeat_rate", 2), ("mean_cut_seconds", -1)],
)
def test_a_fault_that_makes_no_sense_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Faults(**{name: value})


# --- by hand ---


async def test_a_cut_ends_a_link_for_both_sides_and_loses_what_is_under_way(
    autojump_clock: MockClock,
) -> None:
    async with faulty_network() as (server, network), logged_in(network, "ann") as ann:
        network.links[0].faults = Faults(mean_delay_seconds=5)
        ann.send("ping", 1)
        await wait_all_tasks_blocked()
        network.cut_all()
        assert network.links == []
        assert (await ann.wait_closed()).code == 1006
        await wait_all_tasks_blocked()
        assert server.node.sessions == 0
        assert pongs(ann) == []
        assert whats(network) == ["dial ann", "cut"]


async def test_on_a_half_open_link_both_sides_wait_until_they_lose_patience(
    autojump_clock: MockClock,
) -> None:
    async with faulty_network() as (server, network):
        async with logged_in(network, "ann") as ann:
            network.half_open_all()
            ann.send("ping", 1)
            await trio.sleep(5)
            assert server.node.sessions == 1
            await trio.sleep(60)
            # The server has had enough, and its farewell does not arrive.
            assert server.node.sessions == 0
            assert (ann.seen, ann.closed) == ([], None)
            assert len(network.links) == 1
        await wait_all_tasks_blocked()
        assert network.links == []
        assert whats(network) == ["dial ann", "up half-open", "down half-open", "ended"]


async def test_a_link_half_open_in_one_direction_passes_the_other(
    autojump_clock: MockClock,
) -> None:
    async with (
        faulty_network() as (_, network),
        logged_in(network, "ann") as ann,
        logged_in(network, "bob") as bob,
    ):
        await bob.call("channel_join", name="room")
        network.client("ann").half_open(up=False)
        ann.request("channel_join", name="room")
        await trio.sleep(1)
        assert [kind for _, _, kind, _ in bob.channel_events()] == ["channel_user_join"]
        assert ann.seen == []
        network.client("bob").half_open(down=False)
        bob.request("channel_leave", name="room")
        await trio.sleep(1)
        assert bob.seen == []


async def test_one_clients_links_can_be_cut_alone(autojump_clock: MockClock) -> None:
    async with (
        faulty_network() as (_, network),
        logged_in(network, "ann") as ann,
        logged_in(network, "bob") as bob,
    ):
        assert [(link.number, link.name) for link in network.links] == [(1, "ann"), (2, "bob")]
        [link] = network.client("ann").links
        network.client("ann").cut()
        assert not link.is_open
        assert repr(link) == "<FaultyLink 1 'ann': closed>"
        assert (await ann.wait_closed()).code == 1006
        assert (await bob.call("user_query_user_status", account="bob"))["status"] == 1
        assert repr(network.client("bob")) == "<ClientDialer 'bob': 1 links>"


async def test_a_healed_network_has_no_new_faults(autojump_clock: MockClock) -> None:
    faults = Faults(mean_cut_seconds=50, mean_half_open_seconds=50, drop_rate=0.01)
    async with faulty_network(faults) as (_, network), logged_in(network, "ann") as ann:
        network.heal()
        network.connect("late")
        for number in range(100):
            ann.send("ping", number)
            await trio.sleep(10)
        assert pongs(ann) == list(range(100))
        assert set(whats(network)) <= {"dial ann", "dial late", "ended"}


async def test_dialing_fails_where_there_is_no_server(autojump_clock: MockClock) -> None:
    servers: list[LocalServer | None] = [None]
    async with FaultyNetwork(lambda: servers[0], seed=1) as network:
        for is_down, source in [(False, network.server), (False, None), (True, None)]:
            network.server, network.is_down = source, is_down
            with pytest.raises(LinkError, match="the network is down"):
                network.connect()
        async with local_server(listens=False) as server:
            servers[0], network.server = server, lambda: servers[0]
            network.is_down = True
            with pytest.raises(LinkError):
                network.connect("ann")
            network.is_down = False
            async with logged_in(network, "ann"):
                pass
        # It has ended, whoever still names it.
        with pytest.raises(LinkError):
            network.connect()
        with pytest.raises(LinkError):
            await network.dial("app", None)  # type: ignore[arg-type]


async def test_a_server_can_be_killed_and_another_put_in_its_place(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with FaultyNetwork(None, seed=1) as network:
        async with local_server(listens=False) as first:
            network.server = first
            ann: WireClient = await nursery.start(stay, network, "ann")
        assert (await ann.wait_closed()).code == 1006
        async with local_server(listens=False) as second:
            network.server = second
            async with logged_in(network, "bob") as bob:
                assert (await bob.call("user_query_user_status", account="ann"))["status"] == 0
                assert second.node.sessions == 1


async def test_dialing_takes_five_seconds_at_most(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with faulty_network() as (_, network):
        reactor = Reactor()
        nursery.start_soon(reactor.run)

        real = network.server

        def server() -> LocalServer | None:
            # Asked in the middle of the dialing, before anything has passed.
            nursery.start_soon(half_open)
            return real if isinstance(real, LocalServer) else None

        async def half_open() -> None:
            network.half_open_all()

        network.server = server
        with pytest.raises(LinkError, match="no connection in 5 s"):
            await network.dial("app", reactor)
        assert trio.current_time() == 5


# --- the block ---


async def test_a_block_is_entered_once_and_dialed_in() -> None:
    network = FaultyNetwork(None, seed=1)
    with pytest.raises(RuntimeError, match="inside the network's block"):
        network.connect()
    with pytest.raises(RuntimeError, match="was not entered"):
        await network.__aexit__(None, None, None)
    async with network:
        pass
    with pytest.raises(RuntimeError, match="inside the network's block"):
        network.connect()
    with pytest.raises(RuntimeError, match="entered once"):
        await network.__aenter__()


async def test_leaving_the_block_cuts_all_links(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with local_server(listens=False) as server:
        async with FaultyNetwork(server, seed=1) as network:
            ann: WireClient = await nursery.start(stay, network, "ann")
        assert (await ann.wait_closed()).code == 1006
        assert network.links == []
        await wait_all_tasks_blocked()
        assert server.node.sessions == 0


async def test_an_exception_of_the_block_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    async def fail() -> None:
        async with local_server(listens=False) as server, FaultyNetwork(server, seed=1) as network:
            network.connect()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await fail()


# --- the same seed ---


def story(seed: int, *names: str) -> list[tuple[float, int, str]]:
    """What happens to clients that do the same, on a network with all faults."""
    faults = Faults(
        mean_delay_seconds=0.2,
        drop_rate=0.1,
        repeat_rate=0.1,
        mean_cut_seconds=20,
        mean_half_open_seconds=30,
        refuse_rate=0.1,
    )

    async def live(network: FaultyNetwork, name: str) -> None:
        while trio.current_time() < 200:
            # Odd numbers, so that no two things happen at one moment, in whatever order.
            with trio.move_on_after(15.17):
                try:
                    transport = network.connect(name)
                except LinkError:
                    await trio.sleep(1)
                    continue
                async with wire_client(transport) as client:
                    for number in range(100):
                        client.send("ping", number)
                        await trio.sleep(0.503)

    async def run() -> list[tuple[float, int, str]]:
        async with faulty_network(faults, seed) as (_, network):
            async with trio.open_nursery() as nursery:
                for name in names:
                    nursery.start_soon(live, network, name)
            return network.history

    return trio.run(run, clock=MockClock(autojump_threshold=0))


def test_the_same_seed_has_the_same_history() -> None:
    first = story(7, "ann")
    assert story(7, "ann") == first
    assert story(8, "ann") != first
    kinds = {what.split(" ")[-1] for _, _, what in first}
    assert kinds >= {"ann", "dropped", "repeated", "half-open", "cut"}


def test_what_strikes_a_client_does_not_depend_on_the_others() -> None:
    """Not even on the order in which their tasks run."""

    def of_ann(history: list[tuple[float, int, str]]) -> list[tuple[float, str]]:
        links = {number for _, number, what in history if what.startswith("dial ann")}
        return [(when, what) for when, number, what in history if number in links]

    assert of_ann(story(7, "ann", "bob", "eve")) == of_ann(story(7, "ann"))


async def test_the_history_is_bounded(autojump_clock: MockClock) -> None:
    async with FaultyNetwork(None, seed=1) as network:
        for _ in range(10_010):
            with pytest.raises(LinkError):
                network.connect()
        assert [number for _, number, _ in network.history] == list(range(11, 10_011))


# --- with the SDK ---


async def test_messages_of_the_sdk_are_late_and_in_order(autojump_clock: MockClock) -> None:
    heard = Heard()
    async with (
        faulty_network(Faults(mean_delay_seconds=0.3)) as (_, network),
        Signal("app", server=network.client("ann")) as signal,
        Signal("app", server=network.client("bob")) as other,
    ):
        ann = await signal.login("ann", NO_TOKEN)
        await other.login("bob", NO_TOKEN, heard.login)
        began = trio.current_time()
        sent = [f"message {number}" for number in range(20)]
        for message in sent:
            await ann.message_instant_send("bob", message)
        await heard.wait("on_message_instant_receive", 20)
        assert [message for *_, message in heard.of("on_message_instant_receive")] == sent
        assert trio.current_time() - began > 1
        network.heal()


async def test_what_the_sdk_asks_on_a_half_open_link_fails_in_time(
    autojump_clock: MockClock,
) -> None:
    async with faulty_network() as (_, network), Signal("app", server=network) as signal:
        session = await signal.login("ann", NO_TOKEN)
        network.half_open_all()
        network.is_down = True
        with trio.fail_after(60), pytest.raises(SignalError):
            await session.query_user_status("bob")


async def test_a_login_fails_while_the_network_is_down(autojump_clock: MockClock) -> None:
    async with faulty_network() as (_, network), Signal("app", server=network) as signal:
        network.is_down = True
        with pytest.raises(LoginError) as caught:
            await signal.login("ann", NO_TOKEN)
        assert caught.value.ecode == 201
        network.is_down = False
        await signal.login("ann", NO_TOKEN)
