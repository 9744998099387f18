"""The programs in docs/asyncio.md and docs/sync.md do what they say."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from signal_sdk import ChannelJoined, ChannelMessage, Message
from signal_sdk.sync import Signal
from tests.threads import threaded_server

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with threaded_server() as server:
        yield server.address


def program(page: str, address: str) -> Any:
    """A page's first program, at a server of the test's."""
    block, *_ = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert block.count("127.0.0.1:8001") == 1
    return compile(block.replace("127.0.0.1:8001", address), f"docs/{page}", "exec")


def in_a_thread(do: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=do)
    thread.start()
    return thread


def test_the_asyncio_page(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    exec(program("asyncio.md", address), names)  # noqa: S102  our own document
    with (
        Signal("demo", server=address) as signal,
        signal.login("ann", "_no_need_token") as ann,
        ann.messages(timeout=20) as messages,
        ann.channel("lobby") as lobby,
        lobby.events(timeout=20) as events,
    ):
        assert isinstance(next(events), ChannelJoined)
        thread = in_a_thread(lambda: asyncio.run(names["main"]()))
        next(events)
        ann.message_instant_send("greeter", "hi")
        assert next(messages) == Message("greeter", "You said: hi")
        lobby.message_channel_send("bye")
        thread.join(20)
    assert capsys.readouterr().out == "ann says good-bye\n"


def test_the_sync_page(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = program("sync.md", address)
    with (
        Signal("demo", server=address) as signal,
        signal.login("desk", "_no_need_token") as desk,
        desk.messages(timeout=20) as messages,
        signal.login("door", "_no_need_token") as door,
        door.channel("lobby") as lobby,
        lobby.events(timeout=20) as events,
    ):
        assert isinstance(next(events), ChannelJoined)
        thread = in_a_thread(lambda: exec(code, {"__name__": "page"}))  # noqa: S102  as above
        assert next(messages) == Message("reporter", "I am there")
        desk.message_instant_send("reporter", "come in")
        next(events)
        with desk.channel("lobby"):
            heard = [next(events), next(events)]
            assert isinstance(heard[1], ChannelMessage)
            assert heard[1].text == "Hello desk!"
            thread.join(20)
    assert capsys.readouterr().out == "desk says come in\n"


@pytest.mark.parametrize("page", ["asyncio.md", "sync.md"])
def test_what_a_page_links_to_is_there(page: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", (DOCS / page).read_text()):
        assert (DOCS / link).exists(), link
