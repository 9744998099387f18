"""The flat API inside programs that have an event loop: their loop is never blocked."""

from __future__ import annotations

import asyncio
import threading
import time

import trio

from signal_sdk.testing.server import LocalServer
from tests.agora.conftest import Make, ThreadedServer
from tests.agora.ears import Ears

NO_TOKEN = "_no_need_token"
CALLS = 500
LATE_SECONDS = 1.0
"""How late a loop's turn may be on a busy machine; a login or an answer that was waited for while
the server stands still would take far longer."""


async def test_inside_a_trio_program(server: LocalServer, make: Make) -> None:
    """The server itself runs in this loop: a method that waited for it would wait for ever."""
    api, ears = make(server.address)
    begun = time.monotonic()
    api.login("app", "alice", NO_TOKEN)
    api.channel_join("room")
    for number in range(CALLS):
        api.message_instant_send("alice", 0, str(number))
    assert time.monotonic() - begun < LATE_SECONDS
    for number in range(CALLS):
        await ears.hear("on_message_instant_receive", "alice", 0, str(number))
    assert not ears.seen("on_message_send_error")
    api.destroy()
    await ears.hear("on_logout", 101)
    assert not any(name.startswith("trio") for name in ears.threads)


async def test_a_callback_may_call_into_the_trio_program(server: LocalServer, make: Make) -> None:
    api, ears = make(server.address)
    token = trio.lowlevel.current_trio_token()
    send, receive = trio.open_memory_channel[str](10)

    def react(name: str, args: tuple[object, ...]) -> None:
        if name == "on_login_success":
            trio.from_thread.run(send.send, "from a callback", trio_token=token)

    ears.react = react
    api.login("app", "alice", NO_TOKEN)
    with trio.fail_after(10):
        assert await receive.receive() == "from a callback"
    send.close()
    receive.close()


def test_inside_an_asyncio_program(far_server: ThreadedServer, make: Make) -> None:
    async def program() -> list[str]:
        loop = asyncio.get_running_loop()
        heard: asyncio.Queue[str] = asyncio.Queue()

        class Bridge(Ears):
            def on_message_instant_receive(self, account: str, uid: int, msg: str) -> None:
                loop.call_soon_threadsafe(heard.put_nowait, msg)

        api, _ = make(far_server.address)
        api.callback_set(Bridge())
        late: list[float] = []
        ticking = asyncio.create_task(tick(late))
        api.login("app", "alice", NO_TOKEN)
        for number in range(CALLS):
            api.message_instant_send("alice", 0, str(number))
        async with asyncio.timeout(30):
            messages = [await heard.get() for _ in range(CALLS)]
        api.destroy()
        ticking.cancel()
        assert max(late, default=0) < LATE_SECONDS
        return messages

    assert asyncio.run(program()) == [str(number) for number in range(CALLS)]


async def tick(late: list[float]) -> None:
    """How late each turn of the loop was."""
    while True:
        begun = time.monotonic()
        await asyncio.sleep(0.01)
        late.append(time.monotonic() - begun - 0.01)


def test_many_threads_call_one_instance(far_server: ThreadedServer, make: Make) -> None:
    api, ears = make(far_server.address)
    api.login("app", "alice", NO_TOKEN)

    def ask() -> None:
        for _ in range(20):
            api.query_user_status("alice")

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    for _ in range(200):
        ears.wait("on_query_user_status_result", "alice", "1")
