"""The program in docs/streams.md does what it says, and its table names what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import trio
from trio.testing import MockClock

import signal_sdk
from signal_sdk import CallEvent, ChannelEvent, LoginSession, Signal
from signal_sdk.testing.server import local_server
from tests.signals import log_in

TEXT = (Path(__file__).parents[1] / "docs" / "streams.md").read_text()


def program(number: int = 0) -> dict[str, Any]:
    block = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[number]
    names: dict[str, Any] = {"__name__": "streams"}
    exec(compile(block, "docs/streams.md", "exec"), names)  # noqa: S102  our own document
    return names


async def test_the_program_answers_greets_and_ends(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    names = program()
    async with local_server(listens=False) as server:
        # The same program on a server in memory.
        names["Signal"] = lambda app, **_: Signal(app, server=server)
        async with Signal("demo", server=server) as signal, trio.open_nursery() as nursery:
            ann = await log_in(signal, "ann")
            nursery.start_soon(names["main"])
            room = await ann.channel_join("lobby")
            assert room.name == "lobby"
            async with ann.messages() as messages:
                await trio.sleep(1)
                await ann.message_instant_send("greeter", "hi")
                assert (await anext(messages)).text == "You said: hi"
                await _leave_and_join(ann)
        assert capsys.readouterr().out == "ann says good-bye\n"


async def test_the_program_with_bytes_gets_them_and_is_refused(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    names = program(1)
    async with local_server(listens=False) as server:
        names["Signal"] = lambda app, **_: Signal(app, server=server)
        await names["main"]()
    told = sorted(capsys.readouterr().out.splitlines())
    assert told == [
        "1004 'ann' is not online with a client that takes bytes: send it text",
        "ann has sent 8 bytes",
        "b'\\x00\\x01\\x02\\x03\\x04\\x05\\x06\\x07'",
    ]


async def _leave_and_join(ann: LoginSession) -> None:
    await ann.channel_join("elsewhere")
    async with ann.channel("lobby") as room, room.events() as events:
        async for event in events:
            if isinstance(event, signal_sdk.ChannelMessage):
                assert (event.account, event.text) == ("greeter", "Hello ann!")
                break
        await room.message_channel_send("bye")
        await trio.sleep(1)


@pytest.mark.parametrize("union", [ChannelEvent, CallEvent])
def test_the_table_names_every_event(union: Any) -> None:
    assert all(f"`{it.__name__}" in TEXT for it in get_args(union))
