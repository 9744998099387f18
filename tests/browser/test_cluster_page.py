"""The page on one node and the bots on another, as `make cluster` has them: chat, channel, call."""

from __future__ import annotations

import signal
from pathlib import Path
from uuid import uuid4

import pytest
import trio

from tests.browser.page import Page, browser
from tests.samples.programs import MARK, marked, program

# One Chromium at a time is enough for a small machine.
pytestmark = pytest.mark.xdist_group("browser")


async def test_a_page_on_one_node_chats_with_bots_on_another_and_calls_them(tmp_path: Path) -> None:
    mark = uuid4().hex
    command = ("-m", "samples.cluster", "--port", "0", "0", "--page-port", "0")
    async with program(*command, env={MARK: mark}) as cluster:
        await cluster.expect("visitor has done all")
        bots = (await cluster.expect(r"the bots are on (\S+), and the page is on"))[1]
        found = await cluster.expect(r"it is your turn: (\S+)/\?server=(\S+) is the page")
        url, node = found[1], found[2]
        assert node != bots
        # Nobody but the node that they came to has logged them in.
        assert len([it for it in cluster.written if "listening on ws://" in it]) == 2

        def visit() -> None:
            with browser(f"{url}/", node, tmp_path / "profile") as page:
                act(page)
                assert page.errors() == []

        await trio.to_thread.run_sync(visit)
        await cluster.expect(r"^    echo \| alice has left lobby")
        await cluster.expect(r"^    desk \| the call with alice is over")
        cluster.send(signal.SIGINT)
        assert await cluster.end() == 0
        assert cluster.written[-1] == " cluster | all has ended"
    assert marked(mark) == []


def act(page: Page) -> None:
    page.log_in("alice")
    page.fill("chat", "Message", "Hello!")
    page.press("chat", "Send")
    page.expect_lines("chat-lines", ["alice → echo Hello!", "echo Hello!"])
    page.press("room", "Join")
    page.expect_line("channel-lines", "echo Welcome, alice!")
    page.expect_lines("members", ["echo", "alice"])
    page.fill("room", "Message", "echo Good morning!")
    page.press("room", "Send")
    page.expect_among_lines("channel-lines", "echo Good morning!")
    page.press("room", "Leave")
    page.expect_lines("members", [])
    page.press("phone", "Call")
    page.expect("call-state", "desk has answered.")
    page.press("phone", "Dial 1")
    page.expect_line("chat-lines", "desk We are open from 9 to 5, Monday to Friday.")
    page.press("phone", "Dial 9")
    page.expect("call-state", "desk hung up.")
