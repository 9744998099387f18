"""The sample page with the original web SDK in headless Chromium, driven as a user would.

The server, the bots and the page's own server are real processes.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import attrs
import pytest
import trio

from tests.browser.page import Page, browser
from tests.samples.programs import ROOT, Program, program

# One Chromium at a time is enough for a small machine.
pytestmark = pytest.mark.xdist_group("browser")

SDK = ROOT / "samples" / "web" / "node_modules" / "agora-signaling-sdk"

WELCOME = "Dial 1 for our opening hours, 2 for a colleague, 9 to hang up."


@attrs.frozen
class Site:
    """Everything that runs: the signaling server, and where it and the page are."""

    server: Program
    address: str
    url: str
    profile: Path

    async def visit(self, act: Callable[[Page], None]) -> None:
        """Do something in a new browser, in a thread; the console must stay free of errors."""

        def run() -> None:
            with browser(self.url, self.address, self.profile) as page:
                act(page)
                assert page.errors() == []

        await trio.to_thread.run_sync(run)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A server in dev mode, the echo bot, the desk, and the page."""
    if not SDK.exists():
        pytest.fail("the web SDK is not installed: run `npm ci` in samples/web", pytrace=False)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            program("-m", "signal_sdk", "serve", "--dev", "--port", "0")
        )
        address = (await server.expect(r"listening on ws://([\d.:]+)/"))[1]
        for bot in ("echo_bot", "call_desk"):
            running = await stack.enter_async_context(
                program(f"samples/{bot}.py", "--server", address)
            )
            await running.expect("is online")
        page = await stack.enter_async_context(program("samples/web_server.py", "--port", "0"))
        url = (await page.expect(r"the page is at (\S+)"))[1]
        yield Site(server, address, url, tmp_path / "profile")


async def test_a_visitor_chats_joins_a_channel_and_calls_the_desk(site: Site) -> None:
    def act(page: Page) -> None:
        page.open("alice")
        assert page.text("status") == "Not logged in."
        assert not page.can_press("chat", "Send")
        page.press("login", "Log in")
        page.expect("status", "Logged in as alice.")

        page.press("chat", "Online?")
        page.expect("presence", "echo is online")
        page.fill("chat", "Message", "Hello, echo! 🦉<b>")
        page.press("chat", "Send")
        page.expect_lines(
            "chat-lines", ["alice → echo Hello, echo! 🦉<b>", "echo Hello, echo! 🦉<b>"]
        )
        assert page.value("chat", "Message") == ""

        page.press("room", "Join")
        page.expect_line("channel-lines", "echo Welcome, alice!")
        page.expect_lines("members", ["echo", "alice"])
        page.fill("room", "Attribute", "topic")
        page.fill("room", "Value", "tea and biscuits")
        page.press("room", "Set")
        page.expect_lines("attributes", ["topictea and biscuits"])
        page.fill("room", "Message", "echo Good morning!")
        page.press("room", "Send")
        page.expect_lines(
            "channel-lines",
            [
                "You are in lobby.",
                "echo Welcome, alice!",
                "alice echo Good morning!",
                "echo Good morning!",
            ],
        )

        assert not page.can_press("phone", "Dial 1")
        page.press("phone", "Call")
        page.expect("call-state", "desk has answered.")
        page.expect_line("call-lines", f"desk Welcome! {WELCOME}")
        page.press("phone", "Dial 1")
        page.expect_line("call-lines", "You dial 1.")
        page.expect_line("chat-lines", "desk We are open from 9 to 5, Monday to Friday.")
        page.keep_screenshot("web_page")
        page.press("phone", "Dial 9")
        page.expect("call-state", "desk hung up.")
        page.expect_line("call-lines", "desk Goodbye.")

        page.press("room", "Leave")
        page.expect_line("channel-lines", "You have left lobby.")
        page.expect_lines("members", [])
        page.press("login", "Log out")
        page.expect("status", "Logged out: 101 (as asked).")
        assert not page.can_press("chat", "Send")

    await site.visit(act)


async def test_calls_are_refused_hung_up_and_fail(site: Site) -> None:
    def act(page: Page) -> None:
        page.log_in("alice")
        page.fill("phone", "Channel", "closed")
        page.press("phone", "Call")
        page.expect("call-state", "desk refused.")
        page.expect_line("call-lines", "desk The desk is closed.")

        page.fill("phone", "Channel", "reception")
        page.press("phone", "Call")
        page.expect("call-state", "desk has answered.")
        page.press("phone", "Hang up")
        page.expect("call-state", "You hung up.")

        page.fill("phone", "Account", "no body")
        page.press("phone", "Call")
        page.expect(
            "call-state",
            "no body could not be reached: account 'no body' holds white space.",
        )

    await site.visit(act)


async def test_the_desk_transfers_the_call_to_a_colleague_in_another_page(site: Site) -> None:
    def act(page: Page) -> None:
        page.log_in("alice")
        alice, colleague = page.open_another("colleague")
        page.press("login", "Log in")
        page.expect("status", "Logged in as colleague.")

        page.switch(alice)
        page.press("phone", "Call")
        page.expect("call-state", "desk has answered.")
        page.press("phone", "Dial 2")
        page.expect("call-state", "It rings at colleague.")
        page.expect_line("call-lines", "desk Please call colleague.")

        page.switch(colleague)
        page.expect("call-state", "alice calls about reception.")
        page.expect_line("chat-lines", "desk alice will call you about reception.")
        page.press("phone", "Accept")
        page.expect("call-state", "You talk with alice.")
        page.press("phone", "Dial hash")

        page.switch(alice)
        page.expect("call-state", "colleague has answered.")
        page.expect_line("call-lines", "colleague dials #.")
        page.press("phone", "Hang up")
        page.switch(colleague)
        page.expect("call-state", "alice hung up.")

        page.switch(alice)
        page.fill("phone", "Account", "colleague")
        page.press("phone", "Call")
        page.switch(colleague)
        page.press("phone", "Refuse")
        page.expect("call-state", "You refused alice.")
        page.switch(alice)
        page.expect("call-state", "colleague refused.")

    await site.visit(act)


async def test_a_login_that_fails_and_one_that_is_pushed_out_say_why(site: Site) -> None:
    def act(page: Page) -> None:
        page.open("alice", server="127.0.0.1:1")
        page.press("login", "Log in")
        page.expect("status", "Login failed: 201 (the server cannot be reached).")
        assert page.errors() != []
        page.open("al ice")
        page.press("login", "Log in")
        page.expect("status", "Login failed: 209 (the account is not valid).")

        page.log_in("alice")
        first, _ = page.open_another("alice")
        page.press("login", "Log in")
        page.expect("status", "Logged in as alice.")
        page.switch(first)
        page.expect("status", "Logged out: 103 (the account logged in elsewhere).")
        assert page.can_press("login", "Log in")

    await site.visit(act)


async def test_the_page_is_in_its_channel_again_after_a_reconnection(site: Site) -> None:
    def stop_the_server() -> None:
        site.server.send(signal.SIGKILL)

    restart = trio.Event()

    async def restart_the_server() -> None:
        await restart.wait()
        await site.server.end()
        port = site.address.partition(":")[2]
        again = program("-m", "signal_sdk", "serve", "--dev", "--port", port)
        async with again as server:
            await server.expect("listening on")
            await trio.sleep_forever()

    def act(page: Page) -> None:
        page.log_in("alice")
        page.press("room", "Join")
        page.expect_lines("members", ["echo", "alice"])
        stop_the_server()
        trio.from_thread.run_sync(restart.set)
        # The SDK logs in anew by itself, and so does the bot: this server knows nothing of either,
        # and which of them is first is open.
        page.expect_among_lines("channel-lines", "You are in lobby.", 2)
        page.fill("room", "Message", "Is anybody there?")
        page.press("room", "Send")
        page.expect_among_lines("channel-lines", "alice Is anybody there?")
        page.errors()  # the attempts to connect while there was no server

    async with trio.open_nursery() as nursery:
        nursery.start_soon(restart_the_server)
        await site.visit(act)
        nursery.cancel_scope.cancel()
